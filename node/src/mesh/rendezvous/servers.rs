//! All rendezvous servers: when to dial each, how it stands with it, and who is there. Plain
//! bookkeeping: no sockets, and the time comes from outside.

use super::{Hops, circuit};
use crate::mesh::config::Timing;
use crate::mesh::names;
use ecorelay_hub::ServerState;
use ecorelay_protocol::limits;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A server that was of use this long was a good one: after its loss the waits begin anew.
const GOOD: Duration = Duration::from_secs(10);
/// Doublings of the wait; far more than it takes to reach the longest.
const DOUBLINGS: u32 = 16;

/// What is known of one server.
#[derive(Debug)]
struct Server {
    /// Its addresses as they were given.
    given: Vec<String>,
    /// The same without its key.
    addresses: Vec<Multiaddr>,
    stage: Stage,
    attempts: u32,
    /// Who else is there; as many as a mesh has hubs at most.
    present: Vec<PeerId>,
    observed: Option<Multiaddr>,
    told: Option<ServerState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be dialled then.
    Waiting(Instant),
    /// Its name is looked up, or it is dialled.
    Dialling,
    /// Connected where it was dialled; of use since then.
    Up(ConnectionId, Option<Instant>),
}

/// A server that is to be dialled.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mesh) struct ServerDial {
    pub(in crate::mesh) server: PeerId,
    pub(in crate::mesh) addresses: Vec<Multiaddr>,
}

/// News of a server: its address as it was given, and how it stands.
pub(in crate::mesh) type ServerNews = (String, ServerState);

/// All servers.
#[derive(Debug)]
pub(in crate::mesh) struct Servers {
    local: PeerId,
    timing: Timing,
    hops: Hops,
    all: HashMap<PeerId, Server>,
    /// Where each connection, or dial, leads.
    ways: HashMap<ConnectionId, (PeerId, Vec<Multiaddr>)>,
    /// The hubs of the mesh: nobody else counts.
    members: HashSet<PeerId>,
    news: Vec<ServerNews>,
    random: fastrand::Rng,
}

impl Servers {
    pub(in crate::mesh) fn new(local: PeerId, timing: Timing, hops: &Hops) -> Self {
        Self {
            local,
            timing,
            hops: hops.clone(),
            all: HashMap::new(),
            ways: HashMap::new(),
            members: HashSet::new(),
            news: Vec::new(),
            random: fastrand::Rng::new(),
        }
    }

    /// Takes the whole truth about which servers there are and who belongs to the mesh; returns
    /// connections that are no longer wanted.
    pub(in crate::mesh) fn set(
        &mut self,
        given: &[String],
        members: HashSet<PeerId>,
        now: Instant,
    ) -> Vec<ConnectionId> {
        self.members = members;
        let mut wanted: HashMap<PeerId, (Vec<String>, Vec<Multiaddr>)> = HashMap::new();
        for text in given.iter().take(limits::RENDEZVOUS) {
            let address = text.parse().map(names::split);
            let Ok((address, Some(server))) = address else {
                let reason = "this is no multiaddr that ends in /p2p/ and the server's key".into();
                self.news
                    .push((text.clone(), ServerState::Failed { reason }));
                continue;
            };
            if server == self.local || address.is_empty() || super::is_relayed(&address) {
                let reason = "this leads to no rendezvous server".into();
                self.news
                    .push((text.clone(), ServerState::Failed { reason }));
                continue;
            }
            let entry = wanted.entry(server).or_default();
            entry.0.push(text.clone());
            entry.1.push(address);
        }
        self.all.retain(|server, _| wanted.contains_key(server));
        for (server, (given, addresses)) in wanted {
            let known = self.all.entry(server).or_insert_with(|| Server {
                given: Vec::new(),
                addresses: Vec::new(),
                stage: Stage::Waiting(now),
                attempts: 0,
                present: Vec::new(),
                observed: None,
                told: None,
            });
            if known.given != given {
                known.given = given;
                known.told = None;
                if let Stage::Waiting(due) = &mut known.stage {
                    *due = now;
                }
            }
            known.addresses = addresses;
        }
        self.hops.set_servers(self.all.keys().copied().collect());
        for server in self.all.keys().copied().collect::<Vec<_>>() {
            self.tell_standing(&server);
        }
        let unwanted = self
            .ways
            .iter()
            .filter(|(_, (server, _))| !self.all.contains_key(server));
        unwanted.map(|(connection, _)| *connection).collect()
    }

    /// Returns when [`Servers::due`] is to be called next.
    pub(in crate::mesh) fn next(&self) -> Option<Instant> {
        let due = self.all.values().filter_map(|server| match server.stage {
            Stage::Waiting(due) => Some(due),
            _ => None,
        });
        due.min()
    }

    /// Returns the servers that are to be dialled now; each dial ends with [`Servers::up`] or
    /// [`Servers::failed`].
    pub(in crate::mesh) fn due(&mut self, now: Instant) -> Vec<ServerDial> {
        let mut dials = Vec::new();
        for (server, known) in &mut self.all {
            if matches!(known.stage, Stage::Waiting(due) if due <= now) {
                known.stage = Stage::Dialling;
                dials.push(ServerDial {
                    server: *server,
                    addresses: known.addresses.clone(),
                });
            }
        }
        for dial in &dials {
            self.tell_standing(&dial.server);
        }
        dials
    }

    /// Opens the way for a dial: it goes without the mesh's key, to these addresses only. Returns
    /// whether the server is still wanted.
    pub(in crate::mesh) fn dialling(
        &mut self,
        connection: ConnectionId,
        server: PeerId,
        addresses: &[Multiaddr],
    ) -> bool {
        let wanted = self.all.contains_key(&server);
        if wanted {
            self.hops.open(connection, server, addresses);
            self.ways.insert(connection, (server, addresses.to_vec()));
        }
        wanted
    }

    /// Notes that a server is connected; returns whether it is still wanted.
    pub(in crate::mesh) fn up(&mut self, connection: ConnectionId, at: Multiaddr) -> bool {
        let Some((server, way)) = self.ways.get_mut(&connection) else {
            return false;
        };
        *way = vec![at];
        match self.all.get_mut(server) {
            Some(known) => {
                known.stage = Stage::Up(connection, None);
                true
            }
            None => false,
        }
    }

    /// Returns which server a connection or a dial leads to.
    pub(in crate::mesh) fn server(&self, connection: ConnectionId) -> Option<PeerId> {
        self.ways.get(&connection).map(|(server, _)| *server)
    }

    /// Notes that the server has let this hub in.
    pub(in crate::mesh) fn entered(&mut self, connection: ConnectionId, observed: Multiaddr) {
        if let Some(known) = self.on(connection) {
            known.observed = Some(observed);
        }
    }

    /// Notes that this hub can be reached through the server.
    pub(in crate::mesh) fn reserved(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(known) = self.on(connection) {
            known.stage = Stage::Up(connection, Some(now));
        }
        if let Some(server) = self.server(connection) {
            self.tell_standing(&server);
        }
    }

    /// Notes who else is at the server.
    pub(in crate::mesh) fn present(&mut self, connection: ConnectionId, peers: Vec<PeerId>) {
        if let Some(known) = self.on(connection) {
            known.present = peers;
        }
        if let Some(server) = self.server(connection) {
            self.tell_standing(&server);
        }
    }

    /// Notes that a dial has failed, or what was said on a connection is over: the server is
    /// dialled again later. The way stays open until [`Servers::closed`].
    pub(in crate::mesh) fn failed(
        &mut self,
        server: PeerId,
        connection: Option<ConnectionId>,
        reason: String,
        now: Instant,
    ) {
        let Some(known) = self.all.get_mut(&server) else {
            return;
        };
        match known.stage {
            Stage::Waiting(_) => return,
            Stage::Up(up, _) if connection != Some(up) => return,
            Stage::Up(_, Some(since)) if now.saturating_duration_since(since) >= GOOD => {
                known.attempts = 0;
            }
            Stage::Up(..) | Stage::Dialling => {}
        }
        let doubled = self.timing.retry * 2_u32.pow(known.attempts.min(DOUBLINGS));
        let jitter = 0.5 + self.random.f64() / 2.0;
        let wait = doubled.min(self.timing.retry_most).mul_f64(jitter);
        known.attempts = known.attempts.saturating_add(1);
        known.stage = Stage::Waiting(now + wait);
        known.present.clear();
        known.observed = None;
        self.tell(&server, ServerState::Failed { reason });
    }

    /// Notes that a connection is closed, or was never opened.
    pub(in crate::mesh) fn closed(&mut self, connection: ConnectionId) {
        self.ways.remove(&connection);
        self.hops.close(connection);
    }

    /// Notes that this machine is on another network: servers that could not be reached may be
    /// now.
    pub(in crate::mesh) fn moved(&mut self, now: Instant) {
        for known in self.all.values_mut() {
            if let Stage::Waiting(due) = &mut known.stage {
                *due = now.min(*due);
                known.attempts = 0;
            }
        }
    }

    /// Returns the ways to each hub of the mesh that is at a server.
    pub(in crate::mesh) fn circuits(&self) -> HashMap<PeerId, Vec<Multiaddr>> {
        let mut circuits: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (server, known) in &self.all {
            let Stage::Up(connection, Some(_)) = known.stage else {
                continue;
            };
            let Some(at) = self.ways.get(&connection).and_then(|(_, at)| at.first()) else {
                continue;
            };
            for hub in known
                .present
                .iter()
                .filter(|hub| self.members.contains(hub))
            {
                let way = circuit(at, *server, Some(*hub));
                circuits.entry(*hub).or_default().push(way);
            }
        }
        circuits
    }

    /// Returns what is to be told.
    pub(in crate::mesh) fn news(&mut self) -> Vec<ServerNews> {
        std::mem::take(&mut self.news)
    }

    fn on(&mut self, connection: ConnectionId) -> Option<&mut Server> {
        let (server, _) = self.ways.get(&connection)?;
        let known = self.all.get_mut(server)?;
        matches!(known.stage, Stage::Up(up, _) if up == connection).then_some(known)
    }

    /// Tells how it stands with a server, where that is to be seen from what is known. A server
    /// that failed has failed until it is of use again.
    fn tell_standing(&mut self, server: &PeerId) {
        let Some(known) = self.all.get(server) else {
            return;
        };
        let state = match (&known.stage, &known.observed) {
            (Stage::Up(_, Some(_)), Some(observed)) => {
                let present = known.present.iter();
                let hubs = present
                    .filter(|hub| self.members.contains(hub))
                    .collect::<HashSet<_>>();
                ServerState::Reserved {
                    observed: observed.to_string(),
                    hubs: hubs.len(),
                }
            }
            _ if known.told.is_none() => ServerState::Connecting,
            _ => return,
        };
        self.tell(server, state);
    }

    fn tell(&mut self, server: &PeerId, state: ServerState) {
        let Some(known) = self.all.get_mut(server) else {
            return;
        };
        if known.told.as_ref() != Some(&state) {
            known.told = Some(state.clone());
            let given = known.given.iter();
            self.news
                .extend(given.map(|given| (given.clone(), state.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn servers() -> Servers {
        Servers::new(PeerId::random(), Timing::default(), &Hops::default())
    }

    #[test]
    fn a_server_is_dialled_used_lost_and_dialled_again() {
        let (mut servers, server, hub, stranger, now) = (
            servers(),
            PeerId::random(),
            PeerId::random(),
            PeerId::random(),
            Instant::now(),
        );
        let text = format!("/ip4/203.0.113.7/tcp/4001/p2p/{server}");
        let given = [text.clone()];
        assert!(servers.set(&given, HashSet::from([hub]), now).is_empty());
        assert_eq!(servers.news(), [(text.clone(), ServerState::Connecting)]);
        assert_eq!(servers.next(), Some(now));
        let dial = servers.due(now).remove(0);
        assert_eq!((dial.server, servers.next()), (server, None));
        assert!(servers.dialling(id(1), server, &dial.addresses));
        assert!(servers.hops.leads_to_server(id(1)));
        let at: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
        assert!(servers.up(id(1), at.clone()));
        let observed: Multiaddr = "/ip4/198.51.100.1/tcp/7".parse().unwrap();
        servers.entered(id(1), observed.clone());
        servers.present(id(1), vec![hub, hub, stranger]);
        assert!(servers.circuits().is_empty() && servers.news().is_empty());
        servers.reserved(id(1), now);
        let reserved = ServerState::Reserved {
            observed: observed.to_string(),
            hubs: 1,
        };
        assert_eq!(servers.news(), [(text.clone(), reserved)]);
        let circuits = servers.circuits();
        assert_eq!(circuits.len(), 1);
        assert!(circuits[&hub].contains(&circuit(&at, server, Some(hub))));

        servers.failed(server, Some(id(1)), "gone".into(), now + SECOND);
        servers.closed(id(1));
        assert!(servers.circuits().is_empty());
        let reason = "gone".to_owned();
        assert_eq!(
            servers.news(),
            [(text.clone(), ServerState::Failed { reason })]
        );
        let again = servers.next().unwrap();
        assert!(again > now + SECOND && again < now + 3 * SECOND);
        // That it is dialled again is no news.
        assert_eq!(servers.due(again).len(), 1);
        assert!(servers.news().is_empty());
        assert!(servers.dialling(id(2), server, &dial.addresses));
        // No longer given, it is left.
        assert_eq!(servers.set(&[], HashSet::new(), again), [id(2)]);
        assert!(!servers.up(id(2), at) && servers.next().is_none());
    }

    #[test]
    fn what_is_no_server_is_told_and_never_dialled() {
        let (mut servers, now) = (servers(), Instant::now());
        let given = [
            "nonsense".into(),
            "/ip4/203.0.113.7/tcp/4001".into(),
            format!("/ip4/203.0.113.7/tcp/4001/p2p/{}", servers.local),
        ];
        servers.set(&given, HashSet::new(), now);
        let news = servers.news();
        assert_eq!(news.len(), 3);
        assert!(
            news.iter()
                .all(|(_, state)| matches!(state, ServerState::Failed { .. }))
        );
        assert!(servers.due(now + SECOND).is_empty());
    }

    #[test]
    fn a_server_that_never_answers_is_dialled_ever_more_rarely() {
        let (mut servers, server, now) = (servers(), PeerId::random(), Instant::now());
        let given = [format!("/ip4/203.0.113.7/tcp/4001/p2p/{server}")];
        servers.set(&given, HashSet::new(), now);
        let mut dials = 0;
        while let Some(at) = servers.next().filter(|at| *at < now + 600 * SECOND) {
            dials += servers.due(at).len();
            servers.failed(server, None, "nothing answers".into(), at);
        }
        assert!((15..50).contains(&dials), "{dials}");
        assert_eq!(servers.news().len(), 2);
    }
}
