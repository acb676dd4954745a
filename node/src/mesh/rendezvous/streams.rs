//! Streams with rendezvous servers: any protocol can be opened to one, and servers may open those
//! on which another hub comes through.

use super::Hops;
use super::circuit::STOP;
use either::Either;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{OutboundUpgrade, ReadyUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Streams that may wait to be opened, of all servers.
const REQUESTS: usize = 64;
/// Streams on which a hub comes through and that wait for the transport; of more, the newest are
/// dropped, and those hubs try again.
const CIRCUITS: usize = 32;
/// Streams of one server that wait for the swarm's task.
const INBOUND: usize = 8;
/// A server opens a stream in this time, or never.
const OPENING: Duration = Duration::from_secs(10);

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::mesh) enum OpenError {
    /// The connection with the server is not up.
    #[error("the server is not connected")]
    NotConnected,
    /// It speaks another protocol, or the connection has ended.
    #[error("the server does not speak this protocol")]
    Refused,
    /// It does not answer.
    #[error("the server does not answer")]
    TimedOut,
}

/// Opens streams to servers; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct Opener(mpsc::Sender<Request>);

impl Opener {
    /// Opens a stream to a server that is connected.
    pub(super) async fn open(
        &self,
        server: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Stream, OpenError> {
        let (reply, opened) = oneshot::channel();
        let request = Request {
            server,
            open: Open { protocol, reply },
        };
        let opening = async {
            let sent = self.0.send(request).await;
            sent.map_err(|_| OpenError::NotConnected)?;
            opened.await.unwrap_or(Err(OpenError::Refused))
        };
        let opened = timeout(OPENING, opening).await;
        opened.unwrap_or(Err(OpenError::TimedOut))
    }
}

/// A stream that a server has opened, for a hub to come through.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) server: PeerId,
    /// Where the server was dialled.
    pub(super) address: Multiaddr,
    pub(super) stream: Stream,
}

#[derive(Debug)]
struct Request {
    server: PeerId,
    open: Open,
}

/// A stream to be opened, and where it is wanted.
#[derive(Debug)]
pub(in crate::mesh) struct Open {
    protocol: StreamProtocol,
    reply: oneshot::Sender<Result<Stream, OpenError>>,
}

/// The protocol.
#[derive(Debug)]
pub(in crate::mesh) struct ServerStreams {
    hops: Hops,
    requests: mpsc::Receiver<Request>,
    circuits: mpsc::Sender<Inbound>,
    /// The connection with each server, and where it was dialled.
    up: HashMap<PeerId, (ConnectionId, Multiaddr)>,
    candidates: VecDeque<Multiaddr>,
    waker: Option<Waker>,
}

impl ServerStreams {
    /// Returns the protocol, what opens streams with it, and where circuits come out.
    pub(super) fn new(hops: &Hops) -> (Self, Opener, mpsc::Receiver<Inbound>) {
        let (opener, requests) = mpsc::channel(REQUESTS);
        let (circuits, inbound) = mpsc::channel(CIRCUITS);
        let streams = Self {
            hops: hops.clone(),
            requests,
            circuits,
            up: HashMap::new(),
            candidates: VecDeque::new(),
            waker: None,
        };
        (streams, Opener(opener), inbound)
    }

    /// Takes this hub's address as a server sees it: where another hub may get through to it.
    /// Not the one that identify makes of it: that one has the port this hub listens on, which
    /// is another than the one a router shows.
    pub(in crate::mesh) fn observed(&mut self, address: Multiaddr) {
        self.candidates.push_back(address);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for ServerStreams {
    type ConnectionHandler = Either<Handler, dummy::ConnectionHandler>;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Either::Right(dummy::ConnectionHandler))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(if self.hops.leads_to_server(connection) {
            Either::Left(Handler::default())
        } else {
            Either::Right(dummy::ConnectionHandler)
        })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) if self.hops.leads_to_server(connection_id) => {
                let (address, _) = crate::mesh::names::split(endpoint.get_remote_address().clone());
                self.up.insert(peer_id, (connection_id, address));
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                let same = |(id, _): &(ConnectionId, Multiaddr)| *id == connection_id;
                self.up.retain(|peer, way| *peer != peer_id || !same(way));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        server: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let Either::Left(stream) = event;
        if let Some((id, address)) = self.up.get(&server)
            && *id == connection
        {
            let inbound = Inbound {
                server,
                address: address.clone(),
                stream,
            };
            if self.circuits.try_send(inbound).is_err() {
                tracing::warn!(%server, "a rendezvous server opens circuits faster than they are taken");
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(address) = self.candidates.pop_front() {
            return Poll::Ready(ToSwarm::NewExternalAddrCandidate(address));
        }
        while let Poll::Ready(Some(request)) = self.requests.poll_recv(cx) {
            if let Some((connection, _)) = self.up.get(&request.server) {
                return Poll::Ready(ToSwarm::NotifyHandler {
                    peer_id: request.server,
                    handler: NotifyHandler::One(*connection),
                    event: Either::Left(request.open),
                });
            }
            // Whoever wanted it may have left.
            let _ = request.open.reply.send(Err(OpenError::NotConnected));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The streams of one connection with a server.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Handler {
    open: VecDeque<Open>,
    inbound: VecDeque<Stream>,
    waker: Option<Waker>,
}

impl Handler {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Stream;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = Open;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(STOP), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(stream));
        }
        if let Some(open) = self.open.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(open, ()).with_timeout(OPENING),
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        // As many as wait at the `Opener` at most.
        self.open.push_back(open);
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) if self.inbound.len() < INBOUND => {
                self.inbound.push_back(protocol);
                self.wake();
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, reply),
                ..
            }) => {
                // Whoever wanted it may have left.
                let _ = reply.send(Ok(stream));
            }
            // When it cannot be opened, `reply` is dropped.
            _ => {}
        }
    }
}

impl UpgradeInfo for Open {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.protocol.clone())
    }
}

impl OutboundUpgrade<Stream> for Open {
    type Output = (Stream, oneshot::Sender<Result<Stream, OpenError>>);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok((stream, self.reply)))
    }
}
