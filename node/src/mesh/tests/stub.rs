//! A rendezvous server whose words the test chooses. [`Stub::honest`] says what a good one would.

use super::*;
use ecorelay_protocol::rendezvous::{PROTOCOL, ToHub, ToServer};
use ecorelay_protocol::{Bytes, from_cbor, to_cbor};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo, Version};
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, Swarm, SwarmEvent, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, identify, noise, relay, tcp, yamux};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// A stream that a hub has opened.
pub(super) struct Opened {
    pub(super) hub: libp2p::PeerId,
    /// Where the hub is, as the server sees it.
    pub(super) observed: Multiaddr,
    pub(super) protocol: String,
    pub(super) stream: Stream,
}

/// What a hub has told of itself.
pub(super) type Told = Arc<Mutex<HashMap<libp2p::PeerId, identify::Info>>>;

pub(super) struct Stub {
    pub(super) keypair: Keypair,
    /// With its PeerId at the end.
    pub(super) address: String,
    pub(super) told: Told,
    tasks: Vec<JoinHandle<()>>,
}

impl Stub {
    /// Starts a server that passes hubs on and tells them of each other.
    pub(super) async fn honest(keypair: Keypair, listen: &str) -> Self {
        let (mut stub, streams) = Self::start(keypair, listen, true).await;
        stub.tasks.push(tokio::spawn(introduce(streams)));
        stub
    }

    /// Starts a server that does nothing with what hubs open.
    pub(super) async fn silent() -> (Self, mpsc::Receiver<Opened>) {
        Self::start(Keypair::generate_ed25519(), "/ip4/127.0.0.1/tcp/0", false).await
    }

    async fn start(keypair: Keypair, listen: &str, relays: bool) -> (Self, mpsc::Receiver<Opened>) {
        let peer = keypair.public().to_peer_id();
        let transport = tcp::tokio::Transport::new(tcp::Config::new())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed();
        let relay = relays.then(|| {
            let config = relay::Config {
                max_circuit_bytes: 0,
                reservation_rate_limiters: Vec::new(),
                circuit_src_rate_limiters: Vec::new(),
                ..relay::Config::default()
            };
            relay::Behaviour::new(peer, config)
        });
        let protocols = if relays {
            vec![PROTOCOL]
        } else {
            vec![PROTOCOL, HOP]
        };
        let behaviour = StubBehaviour {
            relay: relay.into(),
            identify: identify::Behaviour::new(identify::Config::new(
                "/x/1".into(),
                keypair.public(),
            )),
            accept: Accept {
                protocols: protocols.into_iter().map(StreamProtocol::new).collect(),
                opened: VecDeque::new(),
            },
        };
        let config =
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(SOON);
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        swarm.listen_on(listen.parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        swarm.add_external_address(address.clone());
        let (sender, streams) = mpsc::channel(64);
        let told = Told::default();
        let known = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let mut places = HashMap::new();
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished {
                        connection_id,
                        endpoint,
                        ..
                    } => {
                        places.insert(connection_id, endpoint.get_remote_address().clone());
                    }
                    SwarmEvent::Behaviour(StubBehaviourEvent::Accept((
                        id,
                        hub,
                        protocol,
                        stream,
                    ))) => {
                        let opened = Opened {
                            hub,
                            observed: places[&id].clone(),
                            protocol,
                            stream,
                        };
                        let _ = sender.send(opened).await;
                    }
                    SwarmEvent::Behaviour(StubBehaviourEvent::Identify(
                        identify::Event::Received { peer_id, info, .. },
                    )) => {
                        known.lock().unwrap().insert(peer_id, info);
                    }
                    _ => {}
                }
            }
        });
        let stub = Self {
            keypair,
            address: format!("{address}/p2p/{peer}"),
            told,
            tasks: vec![task],
        };
        (stub, streams)
    }

    /// Ends it as a crash would, and returns its key and where it listened.
    pub(super) async fn kill(mut self) -> (Keypair, String) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        let (listened, _) = self.address.split_once("/p2p/").unwrap();
        (self.keypair.clone(), listened.to_owned())
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Says something to a hub.
pub(super) async fn say(stream: &mut (impl futures_util::AsyncWrite + Unpin), message: &ToHub) {
    let body = to_cbor(message);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    // A hub may have enough.
    let _ = stream.write_all(&[&length[..], &body].concat()).await;
    let _ = stream.flush().await;
}

/// Hears what a hub says.
pub(super) async fn hear(stream: &mut (impl futures_util::AsyncRead + Unpin)) -> Option<ToServer> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).await.ok()?;
    Some(from_cbor(&body).unwrap())
}

/// Lets a hub in; returns the namespaces it is in.
pub(super) async fn let_in(opened: &mut Opened) -> Vec<Vec<u8>> {
    let Some(ToServer::Enter { tokens, .. }) = hear(&mut opened.stream).await else {
        panic!("the hub does not enter");
    };
    let entered = ToHub::Entered {
        observed: opened.observed.to_string(),
    };
    say(&mut opened.stream, &entered).await;
    tokens
        .iter()
        .map(|token| Sha256::digest(&token.0).to_vec())
        .collect()
}

/// Lets all hubs in and tells each of the others.
async fn introduce(mut streams: mpsc::Receiver<Opened>) {
    type Hubs = HashMap<libp2p::PeerId, (Vec<Vec<u8>>, futures_util::io::WriteHalf<Stream>)>;
    async fn tell_all(hubs: &mut Hubs) {
        let all: Vec<_> = hubs
            .iter()
            .map(|(hub, (spaces, _))| (*hub, spaces.clone()))
            .collect();
        for (hub, (spaces, writer)) in hubs {
            for space in spaces.iter() {
                let others = all.iter().filter(|(other, _)| other != hub);
                let others = others.filter(|(_, spaces)| spaces.contains(space));
                let present = ToHub::Present {
                    namespace: Bytes(space.clone()),
                    peers: others
                        .filter_map(|(other, _)| crate::mesh::names::text(other))
                        .collect(),
                };
                say(writer, &present).await;
            }
        }
    }
    let hubs = Arc::new(tokio::sync::Mutex::new(Hubs::new()));
    while let Some(mut opened) = streams.recv().await {
        let hubs = Arc::clone(&hubs);
        tokio::spawn(async move {
            let spaces = let_in(&mut opened).await;
            let hub = opened.hub;
            let (mut reader, writer) = opened.stream.split();
            {
                let mut hubs = hubs.lock().await;
                hubs.insert(hub, (spaces, writer));
                tell_all(&mut hubs).await;
            }
            while let Some(message) = hear(&mut reader).await {
                if let ToServer::Ping(value) = message
                    && let Some((_, writer)) = hubs.lock().await.get_mut(&hub)
                {
                    say(writer, &ToHub::Pong(value)).await;
                }
            }
            let mut hubs = hubs.lock().await;
            hubs.remove(&hub);
            tell_all(&mut hubs).await;
        });
    }
}

#[derive(NetworkBehaviour)]
struct StubBehaviour {
    relay: Toggle<relay::Behaviour>,
    identify: identify::Behaviour,
    accept: Accept,
}

/// Accepts streams of these protocols.
struct Accept {
    protocols: Vec<StreamProtocol>,
    opened: VecDeque<(ConnectionId, libp2p::PeerId, String, Stream)>,
}

impl NetworkBehaviour for Accept {
    type ConnectionHandler = Handler;
    type ToSwarm = (ConnectionId, libp2p::PeerId, String, Stream);

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: libp2p::PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler {
            protocols: Protocols(self.protocols.clone()),
            opened: VecDeque::new(),
        })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: libp2p::PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        panic!("a server dials nobody")
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        hub: libp2p::PeerId,
        connection: ConnectionId,
        (stream, protocol): THandlerOutEvent<Self>,
    ) {
        self.opened.push_back((connection, hub, protocol, stream));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.opened.pop_front() {
            Some(opened) => Poll::Ready(ToSwarm::GenerateEvent(opened)),
            None => Poll::Pending,
        }
    }
}

struct Handler {
    protocols: Protocols,
    opened: VecDeque<(Stream, String)>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = (Stream, String);
    type InboundProtocol = Protocols;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        SubstreamProtocol::new(self.protocols.clone(), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Self::ToBehaviour>> {
        match self.opened.pop_front() {
            Some(opened) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: std::convert::Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocols, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol, ..
        }) = event
        {
            self.opened.push_back(protocol);
        }
    }
}

#[derive(Clone)]
pub(super) struct Protocols(Vec<StreamProtocol>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = (Stream, String);
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        std::future::ready(Ok((stream, protocol.to_string())))
    }
}
