//! The one task that owns the swarm and the tables.

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::config::{Config, Limits, Namespace, Timing};
use crate::connections::Connections;
use crate::error::ServerError;
use crate::hub_stream::{Heard, HubStream, Say, WAITING};
use crate::meshes::Full;
use crate::metrics::Metrics;
use crate::muxer::Loads;
use crate::origin::Origin;
use crate::pipe_stream::{self, Ask, Number, PipeStream, Wake};
use crate::pipes::{NoPipe, Pipes};
use crate::presence::Presence;
use crate::rate::Rate;
use crate::snapshot::{self, Snapshot};
use crate::streams::{Opened, Purpose};
use crate::transport;
use libp2p::core::transport::ListenerId;
use libp2p::futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What streams say and ask that waits; they wait then.
const WORDS: usize = 256;
/// Refusals of pipes that are being told; more are dropped without a word.
const REFUSING: usize = 64;
/// Streams whose protocol one connection may leave open at a time.
const NEGOTIATING: usize = 16;
/// Bound on how long a connection without a stream stays, should the own clock not see it.
const IDLE: Duration = Duration::from_secs(30);
/// How often what has no event of its own is looked at.
const TICK: Duration = Duration::from_secs(1);
/// From the order to listen to the first address.
const LISTEN: Duration = Duration::from_secs(5);

/// What the handle asks.
#[derive(Debug)]
pub(crate) enum Command {
    Snapshot(oneshot::Sender<Snapshot>),
    Stop,
}

/// Both ends of the way from streams to the task.
type Way<T> = (mpsc::Sender<T>, mpsc::Receiver<T>);

/// The task.
pub(crate) struct EventLoop {
    swarm: Swarm<Behaviour>,
    limits: Limits,
    timing: Timing,
    metrics: Metrics,
    loads: Loads,
    started: Instant,
    connections: Connections,
    presence: Presence,
    pipes: Pipes<Wake>,
    /// On which connection each pipe is.
    pipe_connections: HashMap<u64, ConnectionId>,
    guests: Rate<Origin>,
    refusing: Arc<Semaphore>,
    listening: Vec<Multiaddr>,
    /// The operator said under which addresses the server is reached.
    external_is_set: bool,
    /// Streams of hubs that have not ended.
    hub_streams: usize,
    heard: Way<Heard>,
    asked: Way<(u64, Ask)>,
    closed: (mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>),
    orders: mpsc::Receiver<Command>,
}

impl EventLoop {
    pub(crate) fn new(
        config: &Config,
        orders: mpsc::Receiver<Command>,
    ) -> Result<Self, ServerError> {
        let metrics = Metrics::default();
        let loads = Loads::default();
        let keypair = config.identity.keypair();
        let transport = transport::transport(
            keypair,
            config.timing.handshake,
            metrics.clone(),
            loads.clone(),
        );
        let transport = transport.map_err(|error| ServerError::Setup(error.to_string()))?;
        let swarm_config = swarm::Config::with_tokio_executor()
            .with_max_negotiating_inbound_streams(NEGOTIATING)
            .with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(
            transport,
            Behaviour::new(config, &metrics),
            config.identity.public(),
            swarm_config,
        );
        for address in &config.external {
            swarm.add_external_address(without_peer(address));
        }
        Ok(Self {
            swarm,
            limits: config.limits.clone(),
            timing: config.timing.clone(),
            metrics,
            loads,
            started: Instant::now(),
            connections: Connections::default(),
            presence: Presence::default(),
            pipes: Pipes::new(config.limits.clone()),
            pipe_connections: HashMap::new(),
            guests: Rate::new(config.limits.guests_per_minute),
            refusing: Arc::new(Semaphore::new(REFUSING)),
            listening: Vec::new(),
            external_is_set: !config.external.is_empty(),
            hub_streams: 0,
            heard: mpsc::channel(WORDS),
            asked: mpsc::channel(WORDS),
            closed: mpsc::unbounded_channel(),
            orders,
        })
    }

    /// Begins to listen; returns when each address can be reached.
    pub(crate) async fn listen(&mut self, config: &Config) -> Result<(), ServerError> {
        let mut waiting: HashMap<ListenerId, String> = HashMap::new();
        for address in &config.listen {
            let text = address.to_string();
            match self.swarm.listen_on(address.clone()) {
                Ok(id) => {
                    waiting.insert(id, text);
                }
                // A machine without IPv6 is no reason not to serve the others.
                Err(error) if text.starts_with("/ip6/::/") && config.listen.len() > 1 => {
                    tracing::warn!(address = text, %error, "no IPv6");
                }
                Err(error) => return Err(listen_error(text, &error)),
            }
        }
        if waiting.is_empty() {
            return Err(ServerError::NoListenAddress);
        }
        let deadline = tokio::time::Instant::now() + LISTEN;
        while !waiting.is_empty() {
            let event = tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await;
            match event {
                Err(_) if self.listening.is_empty() => {
                    let address = waiting.into_values().next().unwrap_or_default();
                    return Err(listen_error(address, &"no address came up"));
                }
                // An interface without an address of this kind: it may get one later.
                Err(_) => break,
                Ok(SwarmEvent::NewListenAddr {
                    listener_id,
                    address,
                }) => {
                    waiting.remove(&listener_id);
                    self.on_listening(address);
                }
                Ok(SwarmEvent::ListenerClosed {
                    listener_id,
                    reason,
                    ..
                }) => {
                    if let (Some(address), Err(error)) = (waiting.remove(&listener_id), reason) {
                        return Err(listen_error(address, &error));
                    }
                }
                Ok(event) => self.on_swarm_event(event),
            }
        }
        Ok(())
    }

    /// Returns the counters, for those who show them.
    pub(crate) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Returns the addresses to give to hubs.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let local = *self.swarm.local_peer_id();
        let external = self.swarm.external_addresses();
        external
            .map(|address| address.clone().with(Protocol::P2p(local)).to_string())
            .collect()
    }

    /// Serves until it is told to stop.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            let presence = self.presence.next().map(tokio::time::Instant::from_std);
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(heard) = self.heard.1.recv() => self.on_heard(heard),
                Some((pipe, ask)) = self.asked.1.recv() => self.on_asked(pipe, ask),
                Some(pipe) = self.closed.1.recv() => self.on_pipe_closed(pipe),
                () = at(presence) => self.tell_presence(),
                _ = tick.tick() => self.on_tick(),
                order = self.orders.recv() => match order {
                    Some(Command::Snapshot(reply)) => {
                        // Whoever asked may have gone.
                        let _ = reply.send(self.snapshot());
                    }
                    Some(Command::Stop) | None => break,
                },
            }
        }
        self.stop().await;
    }

    /// Tells the hubs that the server goes, and waits a moment until they have heard it.
    async fn stop(&mut self) {
        self.swarm.behaviour_mut().door.close();
        let (hubs, others) = self.connections.part();
        for hub in hubs {
            let _ = hub.try_send(Say::Refused {
                code: "closing",
                message: "The server is being restarted or shut down; come back in a moment.",
            });
        }
        for other in others {
            self.swarm.close_connection(other);
        }
        let deadline = tokio::time::sleep(self.timing.stop);
        tokio::pin!(deadline);
        // A connection that is closed has sent what was written before.
        while self.hub_streams > 0 || !self.connections.is_empty() {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(heard) = self.heard.1.recv() => {
                    if matches!(heard, Heard::Gone(_)) {
                        self.on_heard(heard);
                    }
                }
                () = &mut deadline => break,
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(opened)) => self.on_opened(opened),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let remote = endpoint.get_remote_address().clone();
                self.connections.add(connection_id, peer_id, remote);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.on_gone(peer_id, connection_id),
            SwarmEvent::IncomingConnectionError { error, .. } => {
                if !matches!(error, swarm::ListenError::Denied { .. }) {
                    self.metrics.refuse("handshake_failed");
                }
                tracing::debug!(%error, "a connection that came to nothing");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(&address),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                tracing::error!(?addresses, ?reason, "no longer listening");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "cannot accept");
            }
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        self.listening.push(address);
        self.choose_external();
    }

    fn on_not_listening(&mut self, address: &Multiaddr) {
        tracing::info!(%address, "no longer listening");
        self.listening.retain(|listening| listening != address);
        self.choose_external();
    }

    /// Where the operator has not said how the server is reached: by its public addresses; where
    /// it has none, by those of its network; where it has none of these, on this machine.
    fn choose_external(&mut self) {
        if self.external_is_set {
            return;
        }
        let best = self.listening.iter().map(reach).max();
        let chosen = self.listening.iter().filter(|a| Some(reach(a)) == best);
        let chosen: HashSet<Multiaddr> = chosen.cloned().collect();
        let before: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        for address in before.iter().filter(|a| !chosen.contains(a)) {
            self.swarm.remove_external_address(address);
        }
        for address in chosen {
            if !before.contains(&address) {
                self.swarm.add_external_address(address);
            }
        }
    }

    fn on_opened(&mut self, opened: Opened) {
        let Opened {
            peer,
            connection: id,
            purpose,
            stream,
        } = opened;
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        match purpose {
            // One at a time.
            Purpose::Enter if connection.hub.is_some() => {}
            Purpose::Enter => {
                let Ok(name) = peer.to_base58().parse() else {
                    return;
                };
                let (tell, say) = mpsc::channel(WAITING);
                connection.hub = Some(tell);
                self.hub_streams += 1;
                let hub = HubStream {
                    stream,
                    connection: id,
                    name,
                    observed: connection.remote.to_string(),
                    say,
                    heard: self.heard.0.clone(),
                    timing: self.timing.clone(),
                    messages_per_minute: self.limits.messages_per_minute,
                    metrics: self.metrics.clone(),
                };
                tokio::spawn(hub.run());
            }
            Purpose::Pipe => match self.pipes.open(connection.origin) {
                Ok(pipe) => {
                    connection.pipes += 1;
                    self.pipe_connections.insert(pipe, id);
                    let stream = PipeStream {
                        stream,
                        number: Number {
                            pipe,
                            closed: self.closed.0.clone(),
                        },
                        ask: self.asked.0.clone(),
                        timing: self.timing.clone(),
                        bytes: self.limits.pipe_bytes,
                        metrics: self.metrics.clone(),
                    };
                    tokio::spawn(stream.run());
                }
                Err(no) => {
                    let Ok(permit) = self.refusing.clone().try_acquire_owned() else {
                        return;
                    };
                    let (timing, metrics) = (self.timing.clone(), self.metrics.clone());
                    tokio::spawn(async move {
                        pipe_stream::refuse(stream, no, &timing, &metrics).await;
                        drop(permit);
                    });
                }
            },
        }
    }

    fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Enter(id, namespaces) => self.on_enter(id, namespaces),
            Heard::Gone(id) => {
                self.hub_streams -= 1;
                self.swarm.close_connection(id);
            }
        }
    }

    fn on_enter(&mut self, id: ConnectionId, namespaces: BTreeSet<Namespace>) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let Some(hub) = connection.hub.clone() else {
            return;
        };
        let (peer, origin) = (connection.peer, connection.origin);
        let Ok(name) = peer.to_base58().parse() else {
            return;
        };
        let meshes = &mut self.swarm.behaviour_mut().circuits.meshes;
        match meshes.enter(peer, name, id, origin, namespaces) {
            Ok((other, changed)) => {
                let _ = hub.try_send(Say::Entered);
                self.metrics.entered.inc();
                tracing::debug!(%peer, "entered");
                self.changed(changed);
                if let Some(other) = other {
                    self.swarm.close_connection(other);
                }
            }
            Err(full) => {
                let (reason, code, message) = match full {
                    Full::NotAllowed => (
                        "not_allowed",
                        "not_allowed",
                        "This server is for certain meshes only; its operator can add yours.",
                    ),
                    Full::Meshes => (
                        "meshes_full",
                        "full",
                        "This server has as many meshes as it takes.",
                    ),
                    Full::Mesh => (
                        "mesh_full",
                        "full",
                        "As many hubs of this mesh are here as this server takes.",
                    ),
                };
                self.metrics.refuse(reason);
                let _ = hub.try_send(Say::Refused { code, message });
            }
        }
    }

    fn on_gone(&mut self, peer: PeerId, id: ConnectionId) {
        self.connections.remove(id);
        let meshes = &mut self.swarm.behaviour_mut().circuits.meshes;
        let changed = meshes.leave(&peer, id);
        self.changed(changed);
    }

    fn changed(&mut self, namespaces: Vec<Namespace>) {
        let now = Instant::now();
        for namespace in namespaces {
            let hubs = self.swarm.behaviour().circuits.meshes.size(&namespace);
            if hubs > 0 {
                self.presence.changed(namespace, hubs, now);
            }
        }
    }

    fn tell_presence(&mut self) {
        for namespace in self.presence.take(Instant::now()) {
            let meshes = &self.swarm.behaviour().circuits.meshes;
            let peers: Arc<[_]> = meshes
                .members(&namespace)
                .map(|hub| hub.name.clone())
                .collect();
            for hub in meshes.members(&namespace) {
                let Some(connection) = self.connections.get(hub.connection) else {
                    continue;
                };
                let say = Say::Present {
                    namespace,
                    peers: peers.clone(),
                };
                if let Some(tell) = &connection.hub
                    && tell.try_send(say).is_err()
                {
                    // It takes nothing: its stream ends, and with it its connection.
                    connection.hub = None;
                }
            }
        }
    }

    fn on_asked(&mut self, pipe: u64, ask: Ask) {
        let connection = self.pipe_connections.get(&pipe).copied();
        let connection = connection.and_then(|id| self.connections.get(id));
        match ask {
            Ask::Wait(place, wake, reply) => {
                let meshes = &self.swarm.behaviour().circuits.meshes;
                let patient = connection.is_some_and(|connection| meshes.is_here(&connection.peer));
                let waits = self.pipes.wait(pipe, place, wake);
                let _ = reply.send(waits.map(|()| patient));
            }
            Ask::Claim(place, reply) => {
                let allowed = connection.is_some_and(|connection| {
                    self.guests.allows(connection.origin, Instant::now())
                });
                let host = if allowed {
                    self.pipes.claim(&place)
                } else {
                    Err(NoPipe::Full)
                };
                let _ = reply.send(host);
            }
        }
    }

    fn on_pipe_closed(&mut self, pipe: u64) {
        self.pipes.close(pipe);
        if let Some(id) = self.pipe_connections.remove(&pipe) {
            self.connections.pipe_closed(id);
        }
    }

    fn on_tick(&mut self) {
        let meshes = &self.swarm.behaviour().circuits.meshes;
        let entered = |peer: &PeerId| meshes.is_here(peer);
        let (now, longest) = (Instant::now(), self.timing.idle);
        for id in self.connections.idle(entered, now, longest) {
            self.metrics.refuse("idle");
            self.swarm.close_connection(id);
        }
        let (memory, most) = (snapshot::memory(), self.limits.memory_mib << 20);
        // What was freed stays with the process and serves those who come: only where much may
        // be in use is the memory full.
        let (weight, much) = (self.loads.weigh(), most / 4);
        let full = memory > most && weight.all > much;
        self.swarm.behaviour_mut().door.set_full(full);
        if memory > most + much
            && let Some((origin, bytes)) = weight.heaviest
            && bytes > much
        {
            self.shed(origin);
        }
    }

    /// Closes all connections of an origin: there is no memory left, and none can have more of it.
    fn shed(&mut self, origin: Origin) {
        tracing::warn!("memory is short: closing all connections of the address with the most");
        for id in self.connections.of(origin) {
            self.metrics.refuse("shed");
            self.swarm.close_connection(id);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let behaviour = self.swarm.behaviour();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let [meshes, hubs, reservations, circuits] = behaviour.circuits.meshes.counts().map(number);
        let [pipes_waiting, pipes] = self.pipes.counts().map(number);
        let refused = self.metrics.refusals().into_iter();
        Snapshot {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            peer_id: self.swarm.local_peer_id().to_base58(),
            addresses: self.addresses(),
            meshes,
            hubs,
            reservations,
            circuits,
            pipes_waiting,
            pipes,
            connections: behaviour.door.connections().into(),
            bytes_in: self.metrics.bytes_in.get(),
            bytes_out: self.metrics.bytes_out.get(),
            pipe_bytes: self.metrics.pipe_bytes.get(),
            memory: snapshot::memory(),
            refused: refused
                .map(|(why, count)| (why.to_owned(), count))
                .collect(),
        }
    }
}

/// Waits until then; for ever where there is no then.
async fn at(then: Option<tokio::time::Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

fn listen_error(address: String, error: &dyn std::fmt::Display) -> ServerError {
    ServerError::Listen {
        address,
        message: error.to_string(),
    }
}

/// Returns an address without the PeerId at its end.
fn without_peer(address: &Multiaddr) -> Multiaddr {
    let parts = address.iter();
    parts.filter(|p| !matches!(p, Protocol::P2p(_))).collect()
}

/// Returns from how far an address can be reached: 0 this machine, 1 its network, 2 everywhere.
fn reach(address: &Multiaddr) -> u8 {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) if ip.is_loopback() => 0,
        Some(Protocol::Ip6(ip)) if ip.is_loopback() => 0,
        Some(Protocol::Ip4(ip)) if is_local_v4(ip) => 1,
        Some(Protocol::Ip6(ip)) if is_local_v6(ip) => 1,
        _ => 2,
    }
}

fn is_local_v4(ip: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is what providers put many customers behind (RFC 6598).
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
}

fn is_local_v6(ip: Ipv6Addr) -> bool {
    ip.is_unique_local() || ip.is_unicast_link_local()
}
