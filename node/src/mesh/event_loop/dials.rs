//! Dials on their way, and what is told when one fails.

use super::super::dialer::{Dial, Target};
use super::super::doubts::Failed;
use super::super::{names, resolve, transport};
use super::EventLoop;
use ecorelay_hub::{DialFailure, MeshInput};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError};
use libp2p::{Multiaddr, PeerId};
use std::time::Instant;

impl EventLoop {
    /// Looks the names up in the addresses of a dial, which then comes back.
    pub(super) fn look_up(&self, mut dial: Dial) {
        let named = self.named.clone();
        tokio::spawn(async move {
            dial.addresses = resolve::resolve(dial.addresses).await;
            // Without the swarm's task nobody dials.
            let _ = named.send(dial).await;
        });
    }

    pub(super) fn dial(&mut self, dial: Dial, now: Instant) {
        let Dial {
            target,
            peer,
            addresses,
        } = dial;
        let options = match (peer, addresses.first()) {
            (Some(peer), Some(_)) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(addresses)
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (_, None) => {
                self.on_unknown_name(&target, now);
                return;
            }
        };
        let id = options.connection_id();
        tracing::debug!(?target, %id, "dialling");
        match (self.swarm.dial(options), &target) {
            (Ok(()), _) => {
                self.dials.insert(id, target);
            }
            // It has an address, and libp2p leaves this hub's own out.
            (Err(DialError::NoAddresses), Target::Address(address)) => {
                self.on_failure(None, address.clone(), DialFailure::Own, now);
                self.dialer.failed(&target, now);
            }
            (Err(error), _) => {
                tracing::debug!(?target, %error, "cannot be dialled");
                self.dialer.failed(&target, now);
            }
        }
    }

    fn on_unknown_name(&mut self, target: &Target, now: Instant) {
        if let Target::Address(address) = target {
            let failure = DialFailure::Unreachable("the name is not known".into());
            self.on_failure(None, address.clone(), failure, now);
        }
        self.dialer.failed(target, now);
    }

    pub(super) fn on_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        error: DialError,
    ) {
        let now = Instant::now();
        tracing::debug!(?peer, %id, %error, "a dial failed");
        if let Some(target) = self.dials.remove(&id) {
            self.dialer.failed(&target, now);
            // It answers, and needs no second connection.
            if let (Some(peer), DialError::Denied { .. }) = (peer, &error)
                && self.dialer.is_connected(&peer)
            {
                self.dialer.found(&target, peer);
            }
        } else if let Some(peer) = peer {
            self.on_punch_failed(peer, error);
            return;
        }
        // A better way was looked for, or two were tried; that this one leads nowhere is no
        // trouble.
        if peer.is_some_and(|peer| self.dialer.is_connected(&peer)) {
            return;
        }
        let peer = peer.as_ref().and_then(names::text);
        for (address, failure) in transport::dial_failures(error) {
            let (address, _) = names::split(address);
            self.on_failure(peer.clone(), address, failure, now);
        }
    }

    fn on_failure(
        &mut self,
        peer: Option<ecorelay_protocol::PeerId>,
        address: Multiaddr,
        failure: DialFailure,
        at: Instant,
    ) {
        let place = address.to_string();
        self.doubt(Failed {
            at,
            peer,
            address,
            place,
            failure,
        });
    }

    pub(super) fn on_greeting_failed(&mut self, from: Multiaddr, error: &ListenError) {
        tracing::debug!(%from, %error, "someone who dialled did not get through");
        if let Some(failure) = transport::listen_failure(error) {
            self.doubt(Failed {
                at: Instant::now(),
                peer: None,
                // The port is another each time.
                place: format!("from {}", names::host(&from)),
                address: from,
                failure,
            });
        }
    }

    fn doubt(&mut self, failed: Failed) {
        if let Some(failed) = self.doubts.keep(failed) {
            self.tell_failure(failed);
        }
    }

    pub(super) fn settle_doubts(&mut self, now: Instant) {
        while let Some(failed) = self.doubts.take(now) {
            let at_once = failed.at.checked_sub(self.timing.at_once);
            let host = names::host(&failed.address);
            if !at_once.is_some_and(|since| self.connections.came_up(&host, since)) {
                self.tell_failure(failed);
            }
        }
    }

    fn tell_failure(&mut self, failed: Failed) {
        let address = failed.address.to_string();
        let input = |failure| MeshInput::DialFailed {
            peer: failed.peer,
            address,
            failure,
        };
        let now = Instant::now();
        self.reports
            .failure(failed.place, input, failed.failure, now);
    }
}
