//! Who is in which namespace, and how much each mesh and origin has. Plain tables: no I/O, no
//! clock. The server holds nothing else of anybody.

use crate::config::{Limits, Namespace};
use crate::origin::Origin;
use ecorelay_protocol::rendezvous::NAMESPACES;
use libp2p::PeerId;
use libp2p::relay::CircuitId;
use libp2p::swarm::ConnectionId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

/// Why a hub is not let in; the reason of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The namespace is not on the list.
    NotAllowed,
    /// No mesh more.
    Meshes,
    /// No hub more in this mesh.
    Mesh,
}

/// A hub that entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hub {
    /// On which connection.
    pub(crate) connection: ConnectionId,
    /// Its PeerId as other hubs are told.
    pub(crate) name: ecorelay_protocol::PeerId,
    origin: Origin,
    /// At most [`NAMESPACES`].
    namespaces: BTreeSet<Namespace>,
}

/// A circuit, named by the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circuit {
    from: PeerId,
    to: PeerId,
}

/// How many of something a mesh, an origin or a hub has; nothing stays at zero.
#[derive(Debug)]
struct Tally<K>(HashMap<K, usize>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Tally<K> {
    fn get(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or(0)
    }

    fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    fn remove(&mut self, key: &K) {
        if let Some(count) = self.0.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Meshes {
    limits: Limits,
    allow: Option<HashSet<Namespace>>,
    hubs: HashMap<PeerId, Hub>,
    members: HashMap<Namespace, BTreeSet<PeerId>>,
    /// Hubs with a reservation, and what they were counted under.
    reservations: HashMap<PeerId, (Vec<Namespace>, Origin)>,
    reservations_of_mesh: Tally<Namespace>,
    reservations_of_origin: Tally<Origin>,
    /// Open circuits, and what they were counted under.
    circuits: HashMap<CircuitId, (Circuit, Option<Namespace>, Option<Origin>)>,
    circuits_of_mesh: Tally<Namespace>,
    circuits_of_origin: Tally<Origin>,
    circuits_of_hub: Tally<PeerId>,
}

impl Meshes {
    pub(crate) fn new(limits: Limits, allow: Option<HashSet<Namespace>>) -> Self {
        Self {
            limits,
            allow,
            hubs: HashMap::new(),
            members: HashMap::new(),
            reservations: HashMap::new(),
            reservations_of_mesh: Tally::default(),
            reservations_of_origin: Tally::default(),
            circuits: HashMap::new(),
            circuits_of_mesh: Tally::default(),
            circuits_of_origin: Tally::default(),
            circuits_of_hub: Tally::default(),
        }
    }

    /// Lets a hub into these namespaces and out of those it was in; returns the connection on
    /// which it was before, if that was another one, and all namespaces that changed.
    pub(crate) fn enter(
        &mut self,
        peer: PeerId,
        name: ecorelay_protocol::PeerId,
        connection: ConnectionId,
        origin: Origin,
        namespaces: BTreeSet<Namespace>,
    ) -> Result<(Option<ConnectionId>, Vec<Namespace>), Full> {
        debug_assert!(namespaces.len() <= NAMESPACES);
        let allowed = |namespace| self.allow.as_ref().is_none_or(|a| a.contains(namespace));
        if !namespaces.iter().all(allowed) {
            return Err(Full::NotAllowed);
        }
        let mut new = 0;
        for namespace in &namespaces {
            match self.members.get(namespace) {
                None => new += 1,
                Some(members)
                    if members.len() >= self.limits.hubs_per_mesh && !members.contains(&peer) =>
                {
                    return Err(Full::Mesh);
                }
                Some(_) => {}
            }
        }
        if new > 0 && self.members.len() + new > self.limits.meshes {
            return Err(Full::Meshes);
        }
        let before = self.hubs.remove(&peer);
        let was = before.as_ref().map(|hub| hub.namespaces.clone());
        let was = was.unwrap_or_default();
        for namespace in was.difference(&namespaces) {
            self.take_out(peer, namespace);
        }
        for namespace in &namespaces {
            self.members.entry(*namespace).or_default().insert(peer);
        }
        // A new connection may stand for a hub that was away: others may have missed it.
        let moved = before
            .as_ref()
            .is_none_or(|hub| hub.connection != connection);
        let changed = if moved {
            was.union(&namespaces).copied().collect()
        } else {
            was.symmetric_difference(&namespaces).copied().collect()
        };
        let hub = Hub {
            connection,
            name,
            origin,
            namespaces,
        };
        self.hubs.insert(peer, hub);
        let other = before
            .map(|hub| hub.connection)
            .filter(|before| *before != connection);
        Ok((other, changed))
    }

    /// Takes out a hub whose connection is gone, unless it is here on another one; returns the
    /// namespaces that changed.
    pub(crate) fn leave(&mut self, peer: &PeerId, connection: ConnectionId) -> Vec<Namespace> {
        if !self.is_entered(peer, connection) {
            return Vec::new();
        }
        let Some(hub) = self.hubs.remove(peer) else {
            return Vec::new();
        };
        for namespace in &hub.namespaces {
            self.take_out(*peer, namespace);
        }
        hub.namespaces.into_iter().collect()
    }

    fn take_out(&mut self, peer: PeerId, namespace: &Namespace) {
        if let Some(members) = self.members.get_mut(namespace) {
            members.remove(&peer);
            if members.is_empty() {
                self.members.remove(namespace);
            }
        }
    }

    /// Returns whether this is the connection on which a hub entered.
    pub(crate) fn is_entered(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.hubs
            .get(peer)
            .is_some_and(|hub| hub.connection == connection)
    }

    /// Returns the hubs in a namespace.
    pub(crate) fn members(&self, namespace: &Namespace) -> impl Iterator<Item = &Hub> {
        let members = self.members.get(namespace);
        members
            .into_iter()
            .flatten()
            .filter_map(|peer| self.hubs.get(peer))
    }

    /// Returns how many hubs are in a namespace.
    pub(crate) fn size(&self, namespace: &Namespace) -> usize {
        self.members.get(namespace).map_or(0, BTreeSet::len)
    }

    /// Returns how many namespaces, hubs, reservations and circuits there are.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [
            self.members.len(),
            self.hubs.len(),
            self.reservations.len(),
            self.circuits.len(),
        ]
    }

    /// Returns whether a hub has entered, on any connection.
    pub(crate) fn is_here(&self, peer: &PeerId) -> bool {
        self.hubs.contains_key(peer)
    }

    /// Returns whether a hub may reserve. On which of its connections is not asked: a hub that
    /// pairs at the same time has several, and libp2p takes any.
    pub(crate) fn may_reserve(&self, peer: &PeerId) -> bool {
        let Some(hub) = self.hubs.get(peer) else {
            return false;
        };
        let room = |namespace| {
            self.reservations_of_mesh.get(namespace) < self.limits.reservations_per_mesh
        };
        self.reservations.contains_key(peer)
            || (hub.namespaces.iter().all(room)
                && self.reservations_of_origin.get(&hub.origin) < self.limits.reservations_per_ip)
    }

    /// Notes a reservation; one that is renewed counts once.
    pub(crate) fn reserved(&mut self, peer: PeerId) {
        let Some(hub) = self.hubs.get(&peer) else {
            return;
        };
        let namespaces: Vec<Namespace> = hub.namespaces.iter().copied().collect();
        let origin = hub.origin;
        self.unreserved(&peer);
        for namespace in &namespaces {
            self.reservations_of_mesh.add(*namespace);
        }
        self.reservations_of_origin.add(origin);
        self.reservations.insert(peer, (namespaces, origin));
    }

    /// Notes the end of a reservation.
    pub(crate) fn unreserved(&mut self, peer: &PeerId) {
        if let Some((namespaces, origin)) = self.reservations.remove(peer) {
            for namespace in &namespaces {
                self.reservations_of_mesh.remove(namespace);
            }
            self.reservations_of_origin.remove(&origin);
        }
    }

    /// Returns whether a hub may open a circuit to another: only within a mesh.
    pub(crate) fn may_connect(&self, from: &PeerId, to: &PeerId) -> bool {
        let limits = &self.limits;
        let Some(hub) = self.hubs.get(from) else {
            return false;
        };
        let room = |namespace| self.circuits_of_mesh.get(&namespace) < limits.circuits_per_mesh;
        self.shared(from, to).is_some_and(room)
            && self.circuits_of_origin.get(&hub.origin) < limits.circuits_per_ip
            && [from, to]
                .iter()
                .all(|peer| self.circuits_of_hub.get(peer) < limits.circuits_per_hub)
    }

    fn shared(&self, one: &PeerId, other: &PeerId) -> Option<Namespace> {
        let (one, other) = (self.hubs.get(one)?, self.hubs.get(other)?);
        one.namespaces
            .intersection(&other.namespaces)
            .next()
            .copied()
    }

    /// Notes a circuit.
    pub(crate) fn connected(&mut self, id: CircuitId, from: PeerId, to: PeerId) {
        let namespace = self.shared(&from, &to);
        let origin = self.hubs.get(&from).map(|hub| hub.origin);
        if let Some(namespace) = namespace {
            self.circuits_of_mesh.add(namespace);
        }
        if let Some(origin) = origin {
            self.circuits_of_origin.add(origin);
        }
        self.circuits_of_hub.add(from);
        self.circuits_of_hub.add(to);
        self.circuits
            .insert(id, (Circuit { from, to }, namespace, origin));
    }

    /// Notes the end of a circuit.
    pub(crate) fn disconnected(&mut self, id: CircuitId) {
        let Some((circuit, namespace, origin)) = self.circuits.remove(&id) else {
            return;
        };
        if let Some(namespace) = namespace {
            self.circuits_of_mesh.remove(&namespace);
        }
        if let Some(origin) = origin {
            self.circuits_of_origin.remove(&origin);
        }
        self.circuits_of_hub.remove(&circuit.from);
        self.circuits_of_hub.remove(&circuit.to);
    }
}
