//! The connections that are up, and the links on them.

use super::names;
use super::queue::LinkQueue;
use super::rendezvous::is_relayed;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A connection without a link stream is closed after this long.
const IDLE: Duration = Duration::from_secs(10);

/// A connection that is up.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// The other end, a multiaddr.
    pub(super) address: String,
    /// It goes through a server.
    pub(super) relayed: bool,
    /// Its machine; of a relayed one it is not known.
    host: Multiaddr,
    since: Instant,
    /// It is to be closed, or has lost its link: it no longer counts.
    closing: bool,
    pub(super) link: Option<Running>,
}

/// The link on a connection.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) queue: Arc<LinkQueue>,
    pub(super) task: JoinHandle<()>,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: HashMap<ConnectionId, Connection>,
    peers: HashMap<PeerId, Vec<ConnectionId>>,
    /// When each must have a link, in order.
    idle: VecDeque<(Instant, ConnectionId)>,
}

impl Connections {
    /// Takes a new connection in.
    pub(super) fn add(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        now: Instant,
    ) {
        let relayed = is_relayed(address);
        let connection = Connection {
            peer,
            address: address.to_string(),
            relayed,
            host: if relayed {
                Multiaddr::empty()
            } else {
                names::host(address)
            },
            since: now,
            closing: false,
            link: None,
        };
        self.all.insert(id, connection);
        self.peers.entry(peer).or_default().push(id);
        self.idle.push_back((now + IDLE, id));
    }

    /// Returns a connection that is not being closed.
    pub(super) fn get_live(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.all.get_mut(&id).filter(|entry| !entry.closing)
    }

    /// Returns the connections to a hub that are not being closed.
    pub(super) fn live(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let ids = self.peers.get(peer).into_iter().flatten().copied();
        ids.filter(|id| self.all.get(id).is_some_and(|entry| !entry.closing))
            .collect()
    }

    /// Returns the connections to a hub that go through a server and are not being closed.
    pub(super) fn live_relayed(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let mut live = self.live(peer);
        live.retain(|id| self.all.get(id).is_some_and(|entry| entry.relayed));
        live
    }

    /// Returns whether there is a connection from machine to machine that is not being closed.
    pub(super) fn has_direct(&self, peer: &PeerId) -> bool {
        self.live(peer).len() > self.live_relayed(peer).len()
    }

    /// Notes that a connection is being closed; returns how long it was up if it counted until
    /// now.
    pub(super) fn condemn(&mut self, id: ConnectionId, now: Instant) -> Option<(PeerId, Duration)> {
        let entry = self.all.get_mut(&id).filter(|entry| !entry.closing)?;
        entry.closing = true;
        Some((entry.peer, now.saturating_duration_since(entry.since)))
    }

    /// Forgets a connection that is gone, and returns it.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let entry = self.all.remove(&id)?;
        if let Some(ids) = self.peers.get_mut(&entry.peer) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.peers.remove(&entry.peer);
            }
        }
        Some(entry)
    }

    /// Takes the links of a hub's other connections out, to be replaced by the one on `id`.
    pub(super) fn take_links_beside(
        &mut self,
        id: ConnectionId,
        peer: &PeerId,
    ) -> Vec<(ConnectionId, Running)> {
        let ids = self.peers.get(peer).cloned().unwrap_or_default();
        ids.into_iter()
            .filter(|other| *other != id)
            .filter_map(|other| Some((other, self.all.get_mut(&other)?.link.take()?)))
            .collect()
    }

    /// Returns whether a connection with this machine has come up since then.
    pub(super) fn came_up(&self, host: &Multiaddr, since: Instant) -> bool {
        let mut all = self.all.values();
        all.any(|entry| entry.since >= since && entry.host == *host)
    }

    /// Returns every connection.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.all.keys().copied().collect()
    }

    /// Takes the tasks of all links.
    pub(super) fn take_tasks(&mut self) -> Vec<JoinHandle<()>> {
        let entries = self.all.values_mut();
        entries
            .filter_map(|entry| Some(entry.link.take()?.task))
            .collect()
    }

    /// Returns when [`Connections::idle`] is to be called next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.idle.front().map(|(at, _)| *at)
    }

    /// Returns the connections that should have had a link by now and have none.
    pub(super) fn idle(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut idle = Vec::new();
        while let Some((at, id)) = self.idle.front().copied()
            && at <= now
        {
            self.idle.pop_front();
            if self.get_live(id).is_some_and(|entry| entry.link.is_none()) {
                idle.push(id);
            }
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn a_connection_without_a_link_is_noticed() {
        let (mut connections, now) = (Connections::default(), Instant::now());
        let peer = PeerId::random();
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        connections.add(id(1), peer, &address, now);
        let host = names::host(&address);
        assert!(connections.came_up(&host, now));
        assert!(!connections.came_up(&host, now + Duration::from_secs(1)));
        assert_eq!(connections.idle(now), []);
        assert_eq!(connections.next(), Some(now + IDLE));
        assert_eq!(connections.idle(now + IDLE), [id(1)]);
        let (gone, lived) = connections.condemn(id(1), now + IDLE).unwrap();
        assert_eq!((gone, lived), (peer, IDLE));
        assert_eq!(connections.condemn(id(1), now + IDLE), None);
        connections.remove(id(1));
        assert!(connections.peers.is_empty() && connections.ids().is_empty());
    }
}
