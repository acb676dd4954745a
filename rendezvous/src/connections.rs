//! What is known of each connection: who, from where, and what it is good for.

use crate::hub_stream::Say;
use crate::origin::Origin;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) origin: Origin,
    pub(crate) remote: Multiaddr,
    /// To its hub's stream, if it opened one.
    pub(crate) hub: Option<mpsc::Sender<Say>>,
    /// Streams on which it pairs.
    pub(crate) pipes: u32,
    /// Since when it is good for nothing.
    idle_since: Instant,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Connections(HashMap<ConnectionId, Connection>);

impl Connections {
    pub(crate) fn add(&mut self, id: ConnectionId, peer: PeerId, remote: Multiaddr) {
        let connection = Connection {
            peer,
            origin: Origin::of(&remote),
            remote,
            hub: None,
            pipes: 0,
            idle_since: Instant::now(),
        };
        self.0.insert(id, connection);
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.0.remove(&id)
    }

    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.0.get_mut(&id)
    }

    /// Notes that one of its streams for pairing has ended.
    pub(crate) fn pipe_closed(&mut self, id: ConnectionId) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.pipes = connection.pipes.saturating_sub(1);
            connection.idle_since = Instant::now();
        }
    }

    /// Returns those that have been good for nothing for so long: their hubs have not entered,
    /// and do not pair.
    pub(crate) fn idle(
        &self,
        entered: impl Fn(&PeerId) -> bool,
        now: Instant,
        longest: Duration,
    ) -> Vec<ConnectionId> {
        let idle = |connection: &Connection| {
            connection.pipes == 0
                && !entered(&connection.peer)
                && now.saturating_duration_since(connection.idle_since) > longest
        };
        self.0
            .iter()
            .filter(|(_, connection)| idle(connection))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Returns those of an origin.
    pub(crate) fn of(&self, origin: Origin) -> Vec<ConnectionId> {
        let of = self.0.iter().filter(|(_, one)| one.origin == origin);
        of.map(|(id, _)| *id).collect()
    }

    /// Returns whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the streams of all hubs, which are forgotten, and the connections without one.
    pub(crate) fn part(&mut self) -> (Vec<mpsc::Sender<Say>>, Vec<ConnectionId>) {
        let (mut hubs, mut others) = (Vec::new(), Vec::new());
        for (id, connection) in &mut self.0 {
            match connection.hub.take() {
                Some(hub) => hubs.push(hub),
                None => others.push(*id),
            }
        }
        (hubs, others)
    }
}
