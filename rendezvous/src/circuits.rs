//! libp2p's relay behind the rules of [`Meshes`]: only hubs that entered reserve, and circuits
//! are opened only within a mesh.
//!
//! The relay asks its "rate limiters" whether a request is allowed, and tells them who asks but
//! not whom it asks for. What a request is about is known a moment before, when it comes out of
//! the connection: there the verdict is found, and the limiter only passes it on.

use crate::config::{Limits, Timing};
use crate::meshes::Meshes;
use crate::metrics::Metrics;
use crate::rate::Rate;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, relay};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

/// Refusals after which a connection is closed: whoever asks on and on is no hub.
const STRIKES: u32 = 64;

/// The left part of a choice: the relay's words for what comes out of a connection have no
/// public name of their own.
trait Inside {
    type Event;
}

impl<L, R> Inside for Either<L, R> {
    type Event = L;
}

type HopEvent = <THandlerOutEvent<relay::Behaviour> as Inside>::Event;

/// The relay and its rules.
pub(crate) struct Circuits {
    /// Who is here.
    pub(crate) meshes: Meshes,
    relay: relay::Behaviour,
    /// What the relay's limiters say to the request that is being handed to it.
    verdict: Arc<AtomicBool>,
    requests: Rate<PeerId>,
    /// Connections on which something was refused.
    strikes: HashMap<ConnectionId, u32>,
    /// On which connection a hub has its reservation.
    reserved: HashMap<PeerId, ConnectionId>,
    /// Where each open circuit ends.
    ends: HashMap<relay::CircuitId, [ConnectionId; 2]>,
    close: VecDeque<(PeerId, ConnectionId)>,
    metrics: Metrics,
}

impl Circuits {
    pub(crate) fn new(
        local: PeerId,
        limits: &Limits,
        timing: &Timing,
        meshes: Meshes,
        metrics: Metrics,
    ) -> Self {
        let verdict = Arc::new(AtomicBool::new(false));
        let ask = || {
            let verdict = verdict.clone();
            move |_, _: &Multiaddr, _| verdict.swap(false, Ordering::Relaxed)
        };
        let config = relay::Config {
            // One per connection at most; the bounds per mesh and origin are ours.
            max_reservations: usize::try_from(limits.connections).unwrap_or(usize::MAX),
            max_reservations_per_peer: 4,
            reservation_duration: timing.reservation,
            reservation_rate_limiters: vec![Box::new(ask())],
            max_circuits: limits.circuits,
            max_circuits_per_peer: limits.circuits_per_hub,
            max_circuit_duration: timing.circuit,
            // No bound: a circuit lives as long as the hubs need it.
            max_circuit_bytes: 0,
            circuit_src_rate_limiters: vec![Box::new(ask())],
        };
        Self {
            meshes,
            relay: relay::Behaviour::new(local, config),
            verdict,
            requests: Rate::new(limits.requests_per_minute),
            strikes: HashMap::new(),
            reserved: HashMap::new(),
            ends: HashMap::new(),
            close: VecDeque::new(),
            metrics,
        }
    }

    /// Finds the verdict over a request.
    fn judge(
        &mut self,
        reason: &'static str,
        peer: PeerId,
        connection: ConnectionId,
        allowed: bool,
    ) {
        let allowed = allowed && self.requests.allows(peer, Instant::now());
        self.verdict.store(allowed, Ordering::Relaxed);
        if !allowed {
            self.metrics.refuse(reason);
            let strikes = self.strikes.entry(connection).or_default();
            *strikes += 1;
            if *strikes == STRIKES {
                self.close.push_back((peer, connection));
            }
        }
    }

    fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        self.strikes.remove(&connection);
        if self.reserved.get(peer) == Some(&connection) {
            self.reserved.remove(peer);
            self.meshes.unreserved(peer);
        }
        let meshes = &mut self.meshes;
        self.ends.retain(|id, ends| {
            let ended = ends.contains(&connection);
            if ended {
                meshes.disconnected(*id);
            }
            !ended
        });
    }
}

impl NetworkBehaviour for Circuits {
    type ConnectionHandler = THandler<relay::Behaviour>;
    type ToSwarm = relay::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.relay
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.relay
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = &event {
            self.closed(&closed.peer_id, closed.connection_id);
        }
        self.relay.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if let Either::Left(event) = &event {
            match event {
                HopEvent::ReservationReqReceived { .. } => {
                    let allowed = self.meshes.may_reserve(&peer);
                    self.judge("reservation", peer, connection, allowed);
                }
                HopEvent::ReservationReqAccepted { .. } => {
                    self.reserved.insert(peer, connection);
                    self.meshes.reserved(peer);
                }
                // The relay would forget the connection, and panic if the same moment brings it a
                // renewal. A hub that does not renew is not well: it begins anew.
                HopEvent::ReservationTimedOut {} => {
                    self.close.push_back((peer, connection));
                    return;
                }
                HopEvent::CircuitReqReceived {
                    inbound_circuit_req,
                    ..
                } => {
                    let to = inbound_circuit_req.dst();
                    let allowed = self.meshes.may_connect(&peer, &to);
                    self.judge("circuit", peer, connection, allowed);
                }
                HopEvent::CircuitReqAccepted {
                    circuit_id,
                    dst_peer_id,
                } => {
                    let end = self.reserved.get(dst_peer_id).copied();
                    self.ends
                        .insert(*circuit_id, [connection, end.unwrap_or(connection)]);
                    self.meshes.connected(*circuit_id, peer, *dst_peer_id);
                    self.metrics.circuits.inc();
                }
                HopEvent::CircuitClosed { circuit_id, .. } => {
                    self.ends.remove(circuit_id);
                    self.meshes.disconnected(*circuit_id);
                }
                _ => {}
            }
        }
        self.relay
            .on_connection_handler_event(peer, connection, event);
        self.verdict.store(false, Ordering::Relaxed);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.close.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        // The relay keeps the waker, and what it is told always follows an event of the swarm.
        self.relay.poll(cx)
    }
}
