//! The one task that owns the swarm. Each thing that can happen is one call.

mod dials;
mod listeners;
mod punching;
mod servers;

use super::behaviour::{Behaviour, BehaviourEvent};
use super::config::{MeshConfig, MeshError, Timing};
use super::connections::{Connections, Running};
use super::dialer::{Dial, Dialer, Target};
use super::doubts::Doubts;
use super::gate::LostIt;
use super::handle::{Command, Links, MeshHandle, Orders};
use super::link::Link;
use super::listening::Listening;
use super::queue::{End, LinkQueue};
use super::rendezvous::{self, Circuits, Hops, Opener, ServerDial, Servers};
use super::reports::Reports;
use super::streams::StreamEvent;
use super::{gossip, names, resolve, transport};
use crate::events::HubHandle;
use ecorelay_hub::{LinkId, LinkPath, MeshInput};
use ecorelay_protocol::{Psk, from_cbor};
use futures_util::StreamExt as _;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, IdentTopic, PublishError};
use libp2p::swarm::{self, ConnectionId, Stream, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, mdns};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};

/// Where a hub listens when it is told nothing: on every interface, IPv6 as well. On a machine
/// without it that one fails, and costs nothing.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"];
/// A connection without streams is kept this long; libp2p's own ten seconds would close it
/// while its link comes up on a slow machine. Connections without a link are closed by this task.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// Links that have ended and wait for their connection to be closed.
const ENDED: usize = 64;
/// How long links may take to end when the mesh is shut down.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long connections may take to close after that.
const GOODBYE: Duration = Duration::from_millis(500);

/// Why a link gives way to another with the same hub.
const ANEW: &str = "the other hub has connected anew";

/// The number of the next link; never used twice, whichever mesh it is of.
static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// Opens the listeners and starts the mesh; must be called in a tokio runtime.
///
/// # Errors
/// When no listener can be opened.
pub(crate) fn start(config: MeshConfig, hub: HubHandle) -> Result<MeshHandle, MeshError> {
    let setup = |error: &dyn std::fmt::Display| MeshError::Setup(error.to_string());
    let keypair = config.identity.keypair();
    let topic = gossip::topic(&config.psk);
    let hops = Hops::default();
    let (circuits, streams, opener) = Circuits::new(&hops);
    let transport = transport::transport(keypair, &config.psk, circuits, &hops, &config.timing);
    let mut swarm = Swarm::new(
        transport.map_err(|error| setup(&error))?,
        Behaviour::new(&config, &topic, streams, &hops)?,
        keypair.public().to_peer_id(),
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE),
    );
    let asked = asked(&config.listen)?;
    let listeners = listen(&mut swarm, &asked)?;
    let listening = swarm.listen_on(Circuits::listen());
    listening.map_err(|error| setup(&error))?;
    let links = Links::default();
    let (handle, orders) = MeshHandle::new(links.clone());
    let (done, ended) = mpsc::channel(ENDED);
    let (named, resolved) = mpsc::channel(ENDED);
    let (server_named, server_resolved) = mpsc::channel(ENDED);
    let (said, server_said) = mpsc::channel(ENDED);
    let (keys, _) = watch::channel(vec![config.psk.clone()]);
    let local = *swarm.local_peer_id();
    let event_loop = EventLoop {
        topic,
        reports: Reports::new(&hub),
        hub,
        links,
        listening: Listening::new(&asked, &config.external),
        listeners,
        tell_at: None,
        listen_at: None,
        dialer: Dialer::new(local, config.timing),
        dials: HashMap::new(),
        named,
        connections: Connections::default(),
        doubts: Doubts::default(),
        punches: HashMap::new(),
        psk: config.psk,
        started: Instant::now(),
        keys,
        servers: Servers::new(local, config.timing, &hops),
        hops,
        opener,
        server_named,
        said,
        timing: config.timing,
        done,
        swarm,
    };
    let news = News {
        ended,
        resolved,
        server_resolved,
        server_said,
    };
    tokio::spawn(event_loop.run(orders, news));
    Ok(handle)
}

fn asked(listen: &[String]) -> Result<Vec<Multiaddr>, MeshError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| MeshError::Address(text.to_owned()))
    };
    if listen.is_empty() {
        LISTEN.iter().map(|text| parse(text)).collect()
    } else {
        listen.iter().map(|text| parse(text)).collect()
    }
}

type Listeners = HashMap<Multiaddr, Option<ListenerId>>;

/// Opens the listeners; one of them must succeed.
fn listen(swarm: &mut Swarm<Behaviour>, asked: &[Multiaddr]) -> Result<Listeners, MeshError> {
    let mut listeners = HashMap::new();
    let mut failure = None;
    for address in asked {
        let listener = swarm.listen_on(address.clone());
        if let Err(error) = &listener {
            tracing::info!(%address, %error, "the mesh does not listen here");
            failure = Some(MeshError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
            });
        }
        listeners.insert(address.clone(), listener.ok());
    }
    match failure {
        Some(failure) if listeners.values().all(Option::is_none) => Err(failure),
        _ => Ok(listeners),
    }
}

/// What tasks of the mesh tell the one that owns the swarm.
struct News {
    /// The links on these connections have ended.
    ended: mpsc::Receiver<ConnectionId>,
    /// The names in these dials were looked up.
    resolved: mpsc::Receiver<Dial>,
    /// The same in dials of rendezvous servers.
    server_resolved: mpsc::Receiver<ServerDial>,
    /// What rendezvous servers have said.
    server_said: mpsc::Receiver<rendezvous::News>,
}

struct EventLoop {
    swarm: Swarm<Behaviour>,
    topic: IdentTopic,
    hub: HubHandle,
    reports: Reports,
    links: Links,
    listening: Listening,
    /// The addresses this hub is to listen on, and who does.
    listeners: Listeners,
    /// When the addresses are to be told.
    tell_at: Option<Instant>,
    /// When listeners that failed are to be opened again.
    listen_at: Option<Instant>,
    dialer: Dialer,
    /// Dials on their way.
    dials: HashMap<ConnectionId, Target>,
    /// Where dials come back once their names were looked up.
    named: mpsc::Sender<Dial>,
    connections: Connections,
    doubts: Doubts,
    /// Attempts to get through to hubs that are connected through a server.
    punches: HashMap<PeerId, punching::Punch>,
    psk: Psk,
    started: Instant,
    /// The mesh's key and those before it, for rendezvous servers.
    keys: watch::Sender<Vec<Psk>>,
    servers: Servers,
    hops: Hops,
    opener: Opener,
    /// Where dials of servers come back once their names were looked up.
    server_named: mpsc::Sender<ServerDial>,
    /// Where conversations with servers say what was said.
    said: mpsc::Sender<rendezvous::News>,
    timing: Timing,
    /// Where links say that they have ended.
    done: mpsc::Sender<ConnectionId>,
}

impl EventLoop {
    async fn run(mut self, mut orders: Orders, mut news: News) {
        loop {
            let wake = self.wake();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(connection) = news.ended.recv() => self.on_link_ended(connection),
                Some(dial) = news.resolved.recv() => self.dial(dial, Instant::now()),
                Some(dial) = news.server_resolved.recv() => self.dial_server(dial),
                Some(said) = news.server_said.recv() => self.on_said(said),
                command = orders.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Ok(()) = orders.peers.changed() => {
                    let peers = orders.peers.borrow_and_update().clone();
                    self.on_peers(&peers);
                }
                _ = orders.stop.wait_for(|stop| *stop) => break,
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                    self.on_time();
                }
            }
        }
        self.shut_down(news.ended).await;
    }

    fn wake(&mut self) -> Option<Instant> {
        let times = [
            self.dialer.next(),
            self.servers_due(),
            self.connections.next(),
            self.doubts.next(),
            self.tell_at,
            self.listen_at,
        ];
        times.into_iter().flatten().min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        for dial in self.dialer.due(now) {
            if dial.addresses.iter().any(resolve::is_named) {
                self.look_up(dial);
            } else {
                self.dial(dial, now);
            }
        }
        self.dial_servers(now);
        for connection in self.connections.idle(now) {
            self.close(connection, "no link came up on it", now);
        }
        self.settle_doubts(now);
        if self.tell_at.is_some_and(|at| at <= now) {
            self.tell_at = None;
            self.tell_listening();
        }
        if self.listen_at.is_some_and(|at| at <= now) {
            self.listen_at = None;
            self.listen_again(now);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(bytes) => {
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                match gossip.publish(self.topic.hash(), bytes.to_vec()) {
                    // Without other hubs there is nobody to tell.
                    Ok(_) | Err(PublishError::NoPeersSubscribedToTopic) => {}
                    Err(error) => tracing::warn!(%error, "a publication is not gossiped"),
                }
            }
            Command::Redial(peer) => self.redial(&peer),
        }
    }

    fn redial(&mut self, peer: &ecorelay_protocol::PeerId) {
        let Some(peer) = names::peer(peer) else {
            return;
        };
        let now = Instant::now();
        for connection in self.connections.live(&peer) {
            self.close(connection, "it is dialled anew", now);
        }
        self.dialer.hurry(peer, now);
    }

    fn on_peers(&mut self, peers: &ecorelay_hub::MeshPeers) {
        self.set_servers(peers);
        let list = &mut self.swarm.behaviour_mut().blocked;
        let blocked = peers.blocked.iter().filter_map(names::peer);
        let blocked: HashSet<PeerId> = blocked.filter(|peer| !self.hops.is_server(peer)).collect();
        let lifted: Vec<_> = list.blocked_peers().difference(&blocked).copied().collect();
        for peer in lifted {
            list.unblock_peer(peer);
        }
        for peer in blocked {
            list.block_peer(peer);
        }
        self.dialer.set(peers, Instant::now());
        self.show_circuits();
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } if self.hops.leads_to_server(connection_id) => {
                self.on_server_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed { connection_id, .. }
                if self.hops.leads_to_server(connection_id) =>
            {
                self.on_server_closed(connection_id);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => self.on_closed(connection_id),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } if self.hops.leads_to_server(connection_id) => {
                self.on_server_dial_failed(connection_id, error);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => self.on_dial_failed(connection_id, peer_id, error),
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => self.on_greeting_failed(send_back_addr, &error),
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.add(address);
                self.settle();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.remove(&address);
                self.settle();
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => self.on_listener_closed(listener_id, &addresses, reason),
            SwarmEvent::ListenerError { error, .. } => {
                tracing::debug!(%error, "a listener has trouble");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gate(event) => self.on_lost_it(event),
            BehaviourEvent::Streams(event) => self.on_stream(event),
            BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. }) => {
                self.on_gossip(&message);
            }
            BehaviourEvent::Punch(event) => self.on_punch(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_seen(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(lost)) => self.on_unseen(lost),
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let target = self.dials.remove(&id);
        let path = path(endpoint.is_relayed());
        self.dialer.up(peer, path, target.as_ref());
        let address = endpoint.get_remote_address();
        let (address, _) = names::split(address.clone());
        tracing::debug!(%peer, %id, %address, ?path, "connected");
        if path == LinkPath::Direct {
            self.on_direct(peer);
        }
        self.connections.add(id, peer, &address, now);
        if self.dialer.precedes(&peer) {
            self.swarm.behaviour_mut().streams.open(peer, id);
        }
    }

    fn on_lost_it(&mut self, LostIt { peer, from }: LostIt) {
        let now = Instant::now();
        self.dialer.called(peer, &from);
        for id in self.connections.live(&peer) {
            self.close(id, ANEW, now);
        }
    }

    fn on_closed(&mut self, id: ConnectionId) {
        // A link on it ends by itself: its stream has.
        self.no_longer_counts(id, Instant::now());
        let gone = self.connections.remove(id);
        // What goes through a server was about to give way to it, and gossip was taken off it.
        // It comes up again.
        if let Some(peer) = gone.filter(|gone| !gone.relayed).map(|gone| gone.peer)
            && !self.connections.has_direct(&peer)
        {
            for relayed in self.connections.live_relayed(&peer) {
                self.close(
                    relayed,
                    "the direct connection it gave way to has ended",
                    Instant::now(),
                );
            }
        }
    }

    /// Ends a connection and the link on it, now.
    fn close(&mut self, id: ConnectionId, reason: &'static str, now: Instant) {
        if let Some(entry) = self.connections.get_live(id) {
            tracing::debug!(peer = %entry.peer, %id, reason, "a connection is closed");
            if let Some(link) = &entry.link {
                link.queue.end(End::Cut(reason));
            }
        }
        self.no_longer_counts(id, now);
        // It may take long to close, when the other end does not read.
        self.swarm.close_connection(id);
    }

    fn on_link_ended(&mut self, id: ConnectionId) {
        self.no_longer_counts(id, Instant::now());
        self.swarm.close_connection(id);
    }

    /// Notes that a connection is of no more use; when it was the last, its hub is dialled again.
    fn no_longer_counts(&mut self, id: ConnectionId, now: Instant) {
        let Some((peer, lived)) = self.connections.condemn(id, now) else {
            return;
        };
        if self.connections.live(&peer).is_empty() {
            self.punches.remove(&peer);
            self.dialer.down(peer, lived, now);
        } else if !self.connections.has_direct(&peer) {
            self.dialer.relayed_only(peer);
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        let StreamEvent {
            connection: id,
            stream,
        } = event;
        match stream {
            Ok(stream) => self.start_link(id, stream),
            Err(error) => {
                tracing::debug!(%id, error, "no link stream");
                self.close(id, "no link stream could be opened", Instant::now());
            }
        }
    }

    fn start_link(&mut self, id: ConnectionId, stream: Stream) {
        let Some(entry) = self.connections.get_live(id) else {
            return;
        };
        let (peer, path) = (entry.peer, path(entry.relayed));
        let address = entry.address.clone();
        if path == LinkPath::Relayed && self.connections.has_direct(&peer) {
            self.close(id, "there is a direct connection", Instant::now());
            return;
        }
        let Some(text) = names::text(&peer) else {
            return;
        };
        let queue = Arc::new(LinkQueue::default());
        let relayed = !self.connections.live_relayed(&peer).is_empty();
        let reason = match path {
            LinkPath::Direct if relayed => "a direct connection takes its place",
            _ => ANEW,
        };
        let before = self.connections.take_links_beside(id, &peer);
        let mut wait = None;
        for (_, link) in before {
            link.queue.end(End::Cut(reason));
            wait = Some(link.task);
        }
        let link = Link {
            id: LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)),
            peer: text,
            address,
            path,
            queue: Arc::clone(&queue),
            links: self.links.clone(),
            hub: self.hub.clone(),
            timing: self.timing,
        };
        let done = self.done.clone();
        let task = tokio::spawn(async move {
            link.run(stream, wait, async move {
                // Without the swarm's task there is no connection either.
                let _ = done.send(id).await;
            })
            .await;
        });
        if let Some(entry) = self.connections.get_live(id) {
            entry.link = Some(Running { queue, task });
        }
    }

    fn on_gossip(&mut self, message: &gossipsub::Message) {
        let Some(author) = message.source.as_ref().and_then(names::text) else {
            return;
        };
        let publication = from_cbor(&message.data).map(Box::new);
        let input = MeshInput::Gossip {
            author,
            publication,
        };
        self.reports.gossip(input, message.data.len());
    }

    fn on_seen(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let now = Instant::now();
        for (peer, addresses) in by_peer(found) {
            if let (Some(addresses), Some(text)) =
                (self.dialer.seen(peer, addresses, now), names::text(&peer))
            {
                self.reports.news(MeshInput::Seen {
                    peer: text,
                    addresses,
                });
            }
        }
    }

    fn on_unseen(&mut self, lost: Vec<(PeerId, Multiaddr)>) {
        for (peer, addresses) in by_peer(lost) {
            if let (Some(addresses), Some(peer)) =
                (self.dialer.unseen(peer, addresses), names::text(&peer))
            {
                self.reports.news(if addresses.is_empty() {
                    MeshInput::Unseen { peer }
                } else {
                    MeshInput::Seen { peer, addresses }
                });
            }
        }
    }

    /// Ends all links after what was written before, then all connections.
    async fn shut_down(mut self, mut ended: mpsc::Receiver<ConnectionId>) {
        self.links.end_all(End::Flush);
        let mut tasks = self.connections.take_tasks();
        let all_ended = async {
            for task in &mut tasks {
                // One that has panicked has ended as well.
                let _ = task.await;
            }
        };
        let swarm = &mut self.swarm;
        let farewell = async {
            tokio::pin!(all_ended);
            loop {
                tokio::select! {
                    () = &mut all_ended => break,
                    Some(_) = ended.recv() => {}
                    _ = swarm.select_next_some() => {}
                }
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("links are still open when the mesh ends; they are cut");
        }
        for task in tasks {
            task.abort();
        }
        for id in self.connections.ids() {
            self.swarm.close_connection(id);
        }
        let goodbye = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        let _ = timeout(GOODBYE, goodbye).await;
        tracing::info!("the mesh has ended");
    }
}

fn path(relayed: bool) -> LinkPath {
    if relayed {
        LinkPath::Relayed
    } else {
        LinkPath::Direct
    }
}

/// Gathers the addresses of each hub, without its PeerId at their ends.
fn by_peer(found: Vec<(PeerId, Multiaddr)>) -> HashMap<PeerId, Vec<Multiaddr>> {
    let mut peers: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
    for (peer, address) in found {
        let (address, _) = names::split(address);
        peers.entry(peer).or_default().push(address);
    }
    peers
}
