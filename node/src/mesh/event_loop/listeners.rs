//! Where this hub listens, and what others are told of it.

use super::EventLoop;
use ecorelay_hub::MeshInput;
use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use std::time::{Duration, Instant};

/// Addresses that come and go together are told together.
const SETTLE: Duration = Duration::from_millis(50);
/// A listener that failed is opened again after this long.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);

impl EventLoop {
    pub(super) fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        addresses: &[Multiaddr],
        reason: std::io::Result<()>,
    ) {
        tracing::warn!(?addresses, ?reason, "a listener has ended");
        for address in addresses {
            self.listening.remove(address);
        }
        for known in self.listeners.values_mut() {
            if *known == Some(listener) {
                *known = None;
                self.listen_at = Some(Instant::now() + LISTEN_AGAIN);
            }
        }
        self.settle();
    }

    pub(super) fn listen_again(&mut self, now: Instant) {
        for (address, listener) in &mut self.listeners {
            if listener.is_none() {
                *listener = self.swarm.listen_on(address.clone()).ok();
                if listener.is_none() {
                    self.listen_at = Some(now + LISTEN_AGAIN);
                }
            }
        }
    }

    pub(super) fn settle(&mut self) {
        self.tell_at.get_or_insert_with(|| Instant::now() + SETTLE);
    }

    pub(super) fn tell_listening(&mut self) {
        if let Some(addresses) = self.listening.news() {
            tracing::info!(?addresses, "the mesh listens");
            let input = MeshInput::Listening {
                addresses: addresses.clone(),
            };
            self.dialer.moved(Instant::now());
            self.servers.moved(Instant::now());
            if self.reports.news(input) {
                self.listening.told(addresses);
            } else {
                self.settle();
            }
        }
    }
}
