//! One hub: its swarm runs in a task, and this is the handle.

use super::opener::{ECHO, Open, Opener};
use super::wire::{hear, say};
use super::{soon, token};
use ecorelay_protocol::Bytes;
use ecorelay_protocol::rendezvous::{PIPE_PROTOCOL, PROTOCOL, ToHub, ToServer};
use libp2p::core::upgrade::Version;
use libp2p::futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, Transport as _, identify, noise, relay, tcp,
    yamux,
};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    opener: Opener,
}

#[derive(Debug)]
enum Command {
    Dial(Multiaddr, oneshot::Sender<Result<ConnectionId, String>>),
    Open(PeerId, ConnectionId, Open),
    Reserve(Multiaddr, oneshot::Sender<Result<(), String>>),
    Close(ConnectionId),
    Connected(oneshot::Sender<usize>),
}

/// A hub. It is gone when it is dropped.
#[derive(Debug)]
pub struct Hub {
    pub peer: PeerId,
    pub server: PeerId,
    address: Multiaddr,
    commands: mpsc::Sender<Command>,
}

/// The stream on which a hub entered, and the connection it is on.
#[derive(Debug)]
pub struct Entered {
    pub connection: ConnectionId,
    pub stream: Stream,
    pub observed: String,
}

impl Entered {
    /// Returns the next list of others that is as long as this.
    pub async fn others(&mut self, count: usize) -> Vec<String> {
        loop {
            if let ToHub::Present { peers, .. } = hear(&mut self.stream).await.unwrap()
                && peers.len() == count
            {
                return peers.iter().map(ToString::to_string).collect();
            }
        }
    }
}

impl Hub {
    /// Returns a hub with an identity of its own that knows this server.
    pub fn new(address: &str) -> Self {
        Self::with(address, Keypair::generate_ed25519())
    }

    /// Returns a hub with this identity.
    pub fn with(address: &str, keypair: Keypair) -> Self {
        let address: Multiaddr = address.parse().unwrap();
        let Some(Protocol::P2p(server)) = address.iter().last() else {
            panic!("an address without a PeerId");
        };
        let peer = keypair.public().to_peer_id();
        let (commands, orders) = mpsc::channel(64);
        tokio::spawn(run(swarm(keypair), orders));
        Self {
            peer,
            server,
            address,
            commands,
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> T {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.unwrap();
        soon("an answer of the swarm", answer).await.unwrap()
    }

    /// Connects to the server.
    pub async fn connect(&self) -> Result<ConnectionId, String> {
        self.dial(self.address.clone()).await
    }

    /// Connects to anywhere.
    pub async fn dial(&self, address: Multiaddr) -> Result<ConnectionId, String> {
        self.ask(|reply| Command::Dial(address, reply)).await
    }

    /// Closes a connection.
    pub async fn close(&self, connection: ConnectionId) {
        self.commands
            .send(Command::Close(connection))
            .await
            .unwrap();
    }

    /// Returns how many connections there are.
    pub async fn connected(&self) -> usize {
        self.ask(Command::Connected).await
    }

    /// Opens a stream on a connection with somebody.
    pub async fn open(
        &self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: StreamProtocol,
    ) -> Result<Stream, String> {
        let (reply, answer) = oneshot::channel();
        let open = Command::Open(peer, connection, Open(protocol, reply));
        self.commands.send(open).await.unwrap();
        // Nobody answers when the connection has gone.
        let opened = soon("a stream", answer).await;
        opened.unwrap_or_else(|_| Err("the connection has gone".into()))
    }

    /// Opens a stream for pairing on a connection with the server.
    pub async fn pipe(&self, connection: ConnectionId) -> Stream {
        let protocol = StreamProtocol::new(PIPE_PROTOCOL);
        self.open(self.server, connection, protocol).await.unwrap()
    }

    /// Opens the stream on which a hub enters.
    pub async fn stream(&self, connection: ConnectionId) -> Stream {
        let protocol = StreamProtocol::new(PROTOCOL);
        self.open(self.server, connection, protocol).await.unwrap()
    }

    /// Connects and enters a mesh.
    pub async fn enter(&self, mesh: u8) -> Entered {
        self.enter_with(vec![token(mesh)]).await.unwrap()
    }

    /// Connects and enters with these tokens.
    pub async fn enter_with(&self, tokens: Vec<Vec<u8>>) -> Result<Entered, ToHub> {
        let connection = self.connect().await.unwrap();
        let mut stream = self.stream(connection).await;
        let enter = ToServer::Enter {
            tokens: tokens.into_iter().map(Bytes).collect(),
            software: "test".into(),
        };
        say(&mut stream, &enter).await.unwrap();
        match hear(&mut stream).await.unwrap() {
            ToHub::Entered { observed } => Ok(Entered {
                connection,
                stream,
                observed,
            }),
            other => Err(other),
        }
    }

    /// Reserves at the server.
    pub async fn reserve(&self) -> Result<(), String> {
        let address = self.address.clone().with(Protocol::P2pCircuit);
        self.ask(|reply| Command::Reserve(address, reply)).await
    }

    /// Returns the address under which another hub is reached through the server.
    pub fn through(&self, to: PeerId) -> Multiaddr {
        self.address
            .clone()
            .with(Protocol::P2pCircuit)
            .with(Protocol::P2p(to))
    }

    /// Opens a circuit to another hub and a stream that is echoed there.
    pub async fn echo(&self, to: PeerId) -> Result<Stream, String> {
        let connection = self.dial(self.through(to)).await?;
        self.open(to, connection, ECHO).await
    }
}

fn swarm(keypair: Keypair) -> Swarm<Behaviour> {
    let peer = keypair.public().to_peer_id();
    let (circuits, relay) = relay::client::new(peer);
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let transport = circuits
        .or_transport(tcp)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .timeout(Duration::from_secs(10))
        .boxed();
    let identify = identify::Config::new("/ecorelay/1".into(), keypair.public());
    let behaviour = Behaviour {
        relay,
        identify: identify::Behaviour::new(identify.with_hide_listen_addrs(true)),
        opener: Opener::default(),
    };
    let config = libp2p::swarm::Config::with_tokio_executor();
    Swarm::new(transport, behaviour, peer, config)
}

async fn run(mut swarm: Swarm<Behaviour>, mut orders: mpsc::Receiver<Command>) {
    let mut dials = HashMap::new();
    let mut listens = HashMap::new();
    loop {
        let event = tokio::select! {
            event = swarm.select_next_some() => event,
            order = orders.recv() => {
                match order {
                    None => return,
                    Some(Command::Dial(address, reply)) => {
                        let dial = DialOpts::unknown_peer_id().address(address).build();
                        let id = dial.connection_id();
                        match swarm.dial(dial) {
                            Ok(()) => drop(dials.insert(id, reply)),
                            Err(error) => drop(reply.send(Err(error.to_string()))),
                        }
                    }
                    Some(Command::Open(peer, connection, open)) => {
                        swarm.behaviour_mut().opener.open(peer, connection, open);
                    }
                    Some(Command::Reserve(address, reply)) => {
                        let id = swarm.listen_on(address).unwrap();
                        listens.insert(id, reply);
                    }
                    Some(Command::Close(id)) => drop(swarm.close_connection(id)),
                    Some(Command::Connected(reply)) => {
                        let info = swarm.network_info();
                        let _ = reply.send(usize::try_from(
                            info.connection_counters().num_established(),
                        ).unwrap());
                    }
                }
                continue;
            }
        };
        match event {
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(reply) = dials.remove(&connection_id) {
                    let _ = reply.send(Ok(connection_id));
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(reply) = dials.remove(&connection_id) {
                    let _ = reply.send(Err(format!("{error:?}")));
                }
            }
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                if let Some(reply) = listens.remove(&listener_id) {
                    let _ = reply.send(Ok(()));
                }
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                if let Some(reply) = listens.remove(&listener_id) {
                    let _ = reply.send(Err(format!("{reason:?}")));
                }
            }
            _ => {}
        }
    }
}
