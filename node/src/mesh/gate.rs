//! One connection per hub: refuses a second one before any protocol runs on it.
//!
//! Of each pair of hubs the one with the smaller PeerId decides which is kept, so that they
//! cannot decide differently. It must be decided this early, for gossip says what it subscribes
//! to only once per hub: said on a connection that is then closed, it would be silent for good.
//! A direct connection may come beside one that goes through a server and is about to end, never
//! the other way round. Connections with servers are not its business, but nobody else dials them.

use super::config::Timing;
use super::rendezvous::{Hops, is_relayed};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The hub is connected already.
#[derive(Debug, thiserror::Error)]
#[error("connected already")]
struct Second;

/// Too many hubs, or none at all, come through servers at once.
#[derive(Debug, thiserror::Error)]
#[error("too many come through servers at once")]
struct TooMany;

/// This is a rendezvous server, and no hub.
#[derive(Debug, thiserror::Error)]
#[error("a rendezvous server is no hub")]
struct NoHub;

/// A hub dials that is connected: it must have lost its connection. The old one is to be closed,
/// and the hub will dial again.
#[derive(Debug)]
pub(super) struct LostIt {
    pub(super) peer: PeerId,
    /// Where it dialled from.
    pub(super) from: Multiaddr,
}

/// Handshakes at a time with whoever comes through servers: half of all, so that a server that
/// brings nobody keeps no hub out that comes directly.
const PENDING_RELAYED: usize = 32;

/// What is to become of a new connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Refuse,
    /// Refuse it, and close the others as well.
    Replace,
}

/// A connection that is up.
#[derive(Debug)]
struct Entry {
    id: ConnectionId,
    since: Instant,
    relayed: bool,
}

/// Lets connections in.
#[derive(Debug)]
pub(super) struct Gate {
    local: String,
    hops: Hops,
    at_once: Duration,
    /// The connections of each hub.
    peers: HashMap<PeerId, Vec<Entry>>,
    /// Handshakes with whoever comes through servers.
    pending: HashSet<ConnectionId>,
    lost: VecDeque<LostIt>,
    waker: Option<Waker>,
}

impl Gate {
    pub(super) fn new(local: PeerId, hops: &Hops, timing: &Timing) -> Self {
        Self {
            local: local.to_base58(),
            hops: hops.clone(),
            at_once: timing.at_once,
            peers: HashMap::new(),
            pending: HashSet::new(),
            lost: VecDeque::new(),
            waker: None,
        }
    }

    fn verdict(&self, peer: &PeerId, relayed: bool, now: Instant) -> Verdict {
        let oldest = |relayed| {
            let others = self.peers.get(peer).into_iter().flatten();
            let others = others.filter(|entry| entry.relayed == relayed);
            let ages = others.map(|entry| now.saturating_duration_since(entry.since));
            ages.max()
        };
        let direct = oldest(false);
        let Some(oldest) = direct.or_else(|| oldest(true).filter(|_| relayed)) else {
            return Verdict::Keep;
        };
        if oldest >= self.at_once {
            Verdict::Replace
        } else if (relayed && direct.is_some()) || self.local < peer.to_base58() {
            Verdict::Refuse
        } else {
            // The other hub refuses one of them.
            Verdict::Keep
        }
    }

    fn admit(
        &mut self,
        peer: PeerId,
        relayed: bool,
        from: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        let verdict = self.verdict(&peer, relayed, Instant::now());
        if verdict == Verdict::Keep {
            return Ok(dummy::ConnectionHandler);
        }
        if verdict == Verdict::Replace {
            let from = from.clone();
            self.lost.push_back(LostIt { peer, from });
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        Err(ConnectionDenied::new(Second))
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = LostIt;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if is_relayed(local) {
            if self.pending.len() >= PENDING_RELAYED {
                return Err(ConnectionDenied::new(TooMany));
            }
            self.pending.insert(connection);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.admit(peer, is_relayed(local), from)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let server = peer.is_some_and(|peer| self.hops.is_server(&peer));
        if server && !self.hops.leads_to_server(connection) {
            return Err(ConnectionDenied::new(NoHub));
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.hops.leads_to_server(connection) {
            return Ok(dummy::ConnectionHandler);
        }
        self.admit(peer, is_relayed(address), address)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) if !self.hops.leads_to_server(connection_id) => {
                let entry = self.peers.entry(peer_id).or_default();
                entry.push(Entry {
                    id: connection_id,
                    since: Instant::now(),
                    relayed: endpoint.is_relayed(),
                });
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                if let Some(entry) = self.peers.get_mut(&peer_id) {
                    entry.retain(|entry| entry.id != connection_id);
                    if entry.is_empty() {
                        self.peers.remove(&peer_id);
                    }
                }
            }
            FromSwarm::ListenFailure(failure) => {
                self.pending.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<LostIt, THandlerInEvent<Self>>> {
        if let Some(lost) = self.lost.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(lost));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const AT_ONCE: Duration = Duration::from_secs(5);

    fn gate(local: PeerId, peer: PeerId, since: Instant) -> Gate {
        gate_with(local, peer, since, false)
    }

    fn gate_with(local: PeerId, peer: PeerId, since: Instant, relayed: bool) -> Gate {
        let mut gate = Gate::new(local, &Hops::default(), &Timing::default());
        let id = ConnectionId::new_unchecked(1);
        gate.peers.insert(peer, vec![Entry { id, since, relayed }]);
        gate
    }

    #[test]
    fn a_direct_connection_may_come_beside_a_relayed_one_and_never_the_other_way_round() {
        let (local, peer, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let later = now + 10 * AT_ONCE;
        for at in [now, later] {
            let verdict = gate_with(local, peer, now, true).verdict(&peer, false, at);
            assert_eq!(verdict, Verdict::Keep);
        }
        let verdict = gate(local, peer, now).verdict(&peer, true, now);
        assert_eq!(verdict, Verdict::Refuse);
        // It comes through a server because it has lost the direct one.
        let verdict = gate(local, peer, now).verdict(&peer, true, later);
        assert_eq!(verdict, Verdict::Replace);
        let verdict = gate_with(local, peer, now, true).verdict(&peer, true, later);
        assert_eq!(verdict, Verdict::Replace);
    }

    #[test]
    fn of_two_that_came_at_once_one_side_refuses_the_second() {
        let mut hubs = [PeerId::random(), PeerId::random()];
        hubs.sort_by_key(|peer| peer.to_base58());
        let [smaller, larger] = hubs;
        let now = Instant::now();
        let at = now + AT_ONCE / 2;
        let verdict = gate(smaller, larger, now).verdict(&larger, false, at);
        assert_eq!(verdict, Verdict::Refuse);
        let verdict = gate(larger, smaller, now).verdict(&smaller, false, at);
        assert_eq!(verdict, Verdict::Keep);
        let verdict = gate(larger, smaller, now).verdict(&PeerId::random(), false, at);
        assert_eq!(verdict, Verdict::Keep);
    }

    #[test]
    fn whoever_comes_through_servers_keeps_nobody_out_who_does_not() {
        let mut gate = Gate::new(PeerId::random(), &Hops::default(), &Timing::default());
        let far = "/ip4/203.0.113.1/tcp/1".parse().unwrap();
        let way = crate::mesh::rendezvous::circuit(&far, PeerId::random(), None);
        let come = |gate: &mut Gate, number, local: &Multiaddr| {
            let id = ConnectionId::new_unchecked(number);
            gate.handle_pending_inbound_connection(id, local, &far)
        };
        for number in 0..PENDING_RELAYED {
            come(&mut gate, number, &way).unwrap();
        }
        assert!(come(&mut gate, 1_000, &way).is_err());
        assert!(come(&mut gate, 1_001, &far).is_ok());
        let id = ConnectionId::new_unchecked(0);
        let peer = PeerId::random();
        gate.handle_established_inbound_connection(id, peer, &way, &far)
            .unwrap();
        come(&mut gate, 1_002, &way).unwrap();
    }

    #[test]
    fn a_hub_that_dials_again_has_lost_its_connection() {
        let (local, peer, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let verdict = gate(local, peer, now).verdict(&peer, false, now + AT_ONCE);
        assert_eq!(verdict, Verdict::Replace);
    }
}
