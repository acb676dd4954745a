//! Gossip over one connection per hub at a time, also when a direct one takes the place of one
//! that goes through a server.
//!
//! Gossip says what it subscribes to once per hub, and a word that was said on a connection that
//! is about to be closed may be lost: it would be silent for good. So before a direct connection
//! is shown to it, the hub is taken away from it, and both begin anew.

use super::rendezvous::is_relayed;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

/// A protocol that sees relayed connections only while there is no direct one.
#[derive(Debug)]
pub(super) struct OnePath<B> {
    inner: B,
    /// The connections it was shown.
    shown: HashMap<PeerId, Vec<(ConnectionId, ConnectedPoint)>>,
}

impl<B: NetworkBehaviour> OnePath<B> {
    pub(super) fn new(inner: B) -> Self {
        Self {
            inner,
            shown: HashMap::new(),
        }
    }

    /// Takes a hub's relayed connections away from the protocol.
    fn before_direct(&mut self, peer: PeerId) {
        let Some(shown) = self.shown.get_mut(&peer) else {
            return;
        };
        while let Some(at) = shown.iter().position(|(_, point)| point.is_relayed()) {
            let (connection_id, endpoint) = shown.remove(at);
            let closed = ConnectionClosed {
                peer_id: peer,
                connection_id,
                endpoint: &endpoint,
                cause: None,
                remaining_established: shown.len(),
            };
            self.inner
                .on_swarm_event(FromSwarm::ConnectionClosed(closed));
        }
        if shown.is_empty() {
            self.shown.remove(&peer);
        }
    }
}

impl<B> Deref for OnePath<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for OnePath<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for OnePath<B> {
    type ConnectionHandler = THandler<B>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !is_relayed(local) {
            self.before_direct(peer);
        }
        self.inner
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !is_relayed(address) {
            self.before_direct(peer);
        }
        self.inner
            .handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let shown = self.shown.entry(established.peer_id).or_default();
                let established = ConnectionEstablished {
                    other_established: shown.len(),
                    ..established
                };
                shown.push((established.connection_id, established.endpoint.clone()));
                let event = FromSwarm::ConnectionEstablished(established);
                self.inner.on_swarm_event(event);
            }
            FromSwarm::ConnectionClosed(closed) => {
                let Some(shown) = self.shown.get_mut(&closed.peer_id) else {
                    return;
                };
                let before = shown.len();
                shown.retain(|(id, _)| *id != closed.connection_id);
                if shown.len() == before {
                    return;
                }
                let closed = ConnectionClosed {
                    remaining_established: shown.len(),
                    ..closed
                };
                if shown.is_empty() {
                    self.shown.remove(&closed.peer_id);
                }
                self.inner
                    .on_swarm_event(FromSwarm::ConnectionClosed(closed));
            }
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        // What still comes on a connection that was taken away is as good, as long as the hub is
        // there.
        if self.shown.contains_key(&peer) {
            self.inner
                .on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
