//! Circuits as a transport: what goes through them is protected by the layers above.

use super::circuit::{self, CircuitError};
use super::streams::{Inbound, Opener, ServerStreams};
use super::{Hops, is_relayed};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::Stream;
use libp2p::{Multiaddr, PeerId, Transport};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The transport. It only uses connections with servers that are up, and never dials one.
#[derive(Debug)]
pub(in crate::mesh) struct Circuits {
    opener: Opener,
    inbound: mpsc::Receiver<Inbound>,
    listener: Option<ListenerId>,
}

impl Circuits {
    /// Returns the transport with the protocol it rests on, and what opens streams.
    pub(in crate::mesh) fn new(hops: &Hops) -> (Self, ServerStreams, Opener) {
        let (streams, opener, inbound) = ServerStreams::new(hops);
        let circuits = Self {
            opener: opener.clone(),
            inbound,
            listener: None,
        };
        (circuits, streams, opener)
    }

    /// Returns what to listen on for circuits through all servers.
    pub(in crate::mesh) fn listen() -> Multiaddr {
        Protocol::P2pCircuit.into()
    }
}

impl Transport for Circuits {
    type Output = Stream;
    type Error = CircuitError;
    type ListenerUpgrade = BoxFuture<'static, Result<Stream, CircuitError>>;
    type Dial = BoxFuture<'static, Result<Stream, CircuitError>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<CircuitError>> {
        if address != Self::listen() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let known = self.listener == Some(id);
        if known {
            self.listener = None;
        }
        known
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<CircuitError>> {
        let Some((server, hub)) = ends(&address).filter(|_| options.role.is_dialer()) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let opener = self.opener.clone();
        let dial = async move {
            let mut stream = opener.open(server, circuit::HOP).await?;
            circuit::connect(&mut stream, hub).await?;
            Ok(stream)
        };
        Ok(dial.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, CircuitError>> {
        let Some(listener_id) = self.listener else {
            return Poll::Pending;
        };
        match self.inbound.poll_recv(cx) {
            Poll::Ready(Some(inbound)) => {
                let Inbound {
                    server,
                    address,
                    mut stream,
                } = inbound;
                let way = super::circuit(&address, server, None);
                let accept = async move {
                    circuit::accept(&mut stream).await?;
                    Ok(stream)
                };
                Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade: accept.boxed(),
                    local_addr: way.clone(),
                    send_back_addr: way,
                })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Returns the server and the hub of `…/p2p/SERVER/p2p-circuit/p2p/HUB`.
fn ends(address: &Multiaddr) -> Option<(PeerId, PeerId)> {
    if !is_relayed(address) {
        return None;
    }
    let mut parts = address
        .iter()
        .skip_while(|part| !matches!(part, Protocol::P2p(_)));
    match [parts.next()?, parts.next()?, parts.next()?] {
        [
            Protocol::P2p(server),
            Protocol::P2pCircuit,
            Protocol::P2p(hub),
        ] if parts.next().is_none() => Some((server, hub)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_a_way_from_one_server_to_one_hub_is_a_circuit() {
        let (server, hub) = (PeerId::random(), PeerId::random());
        let of = |text: String| ends(&text.parse().unwrap());
        let way = format!("/ip4/10.0.0.1/tcp/1/p2p/{server}/p2p-circuit");
        assert_eq!(of(format!("{way}/p2p/{hub}")), Some((server, hub)));
        assert_eq!(of(way.clone()), None);
        assert_eq!(of(format!("{way}/p2p/{hub}/p2p-circuit/p2p/{hub}")), None);
        assert_eq!(of(format!("/ip4/10.0.0.1/tcp/1/p2p/{hub}")), None);
        assert_eq!(of(format!("/p2p-circuit/p2p/{hub}")), None);
    }
}
