//! The connection with one rendezvous server: one task owns its swarm, which comes up when a
//! stream is wanted and has a key of its own.

use super::super::resolve;
use super::PipeError;
use super::streams::{NotOpened, Opened, PipeStreams};
use futures_util::StreamExt as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{self, ConnectionId, DialError, Stream, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Transport as _, noise, tcp, yamux};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A connection is up after this long, or fails.
const CONNECT: Duration = Duration::from_secs(6);
/// Streams that may be wanted at a time.
const COMMANDS: usize = 64;

/// Where a stream, or why there is none, is to go.
type Reply = oneshot::Sender<Result<Stream, PipeError>>;

/// What the task is to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Open a stream.
    Open(Reply),
}

/// Starts the task; it ends when nobody can command it any more.
pub(super) fn start(address: Multiaddr) -> Result<mpsc::Sender<Command>, PipeError> {
    let keypair = Keypair::generate_ed25519();
    let noise =
        noise::Config::new(&keypair).map_err(|error| PipeError::Unreachable(error.to_string()))?;
    let swarm = Swarm::new(
        transport(noise),
        PipeStreams::default(),
        keypair.public().to_peer_id(),
        swarm::Config::with_tokio_executor(),
    );
    let (commands, orders) = mpsc::channel(COMMANDS);
    let task = Task {
        swarm,
        address,
        untried: VecDeque::new(),
        state: State::Down,
        wanted: VecDeque::new(),
        opening: VecDeque::new(),
    };
    tokio::spawn(task.run(orders));
    Ok(commands)
}

fn transport(noise: noise::Config) -> Boxed<(PeerId, StreamMuxerBox)> {
    let transport = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .boxed();
    TransportTimeout::with_outgoing_timeout(transport, CONNECT).boxed()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down,
    Dialling,
    Up(PeerId, ConnectionId),
}

struct Task {
    swarm: Swarm<PipeStreams>,
    address: Multiaddr,
    /// What the address stands for and was not dialled yet.
    untried: VecDeque<Multiaddr>,
    state: State,
    /// Wait for the connection.
    wanted: VecDeque<Reply>,
    /// Wait for the stream that is being opened.
    opening: VecDeque<Reply>,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Command::Open(reply)) => {
                        self.wanted.push_back(reply);
                        self.go_on().await;
                    }
                    None => return,
                },
                event = self.swarm.select_next_some() => {
                    self.on_event(event);
                    self.go_on().await;
                }
            }
        }
    }

    /// Does what can be done for those that wait.
    async fn go_on(&mut self) {
        // Who has given up waits for nothing.
        self.wanted.retain(|reply| !reply.is_closed());
        match self.state {
            State::Up(peer, connection) => {
                for reply in self.wanted.drain(..) {
                    self.swarm.behaviour_mut().open(peer, connection);
                    self.opening.push_back(reply);
                }
            }
            State::Down if !self.wanted.is_empty() => self.dial().await,
            State::Down | State::Dialling => {}
        }
    }

    async fn dial(&mut self) {
        self.untried = resolve::resolve(vec![self.address.clone()]).await.into();
        self.dial_next("its name is not known".into());
    }

    /// Dials the next address, or gives up because of what was wrong with the last.
    fn dial_next(&mut self, mut why: String) {
        while let Some(address) = self.untried.pop_front() {
            match self.swarm.dial(DialOpts::from(address)) {
                Ok(()) => {
                    self.state = State::Dialling;
                    return;
                }
                Err(error) => why = words(&error),
            }
        }
        self.state = State::Down;
        self.fail(&PipeError::Unreachable(why));
    }

    fn on_event(&mut self, event: SwarmEvent<Opened>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            } => self.state = State::Up(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { error, .. } if self.state == State::Dialling => {
                self.dial_next(words(&error));
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                if matches!(self.state, State::Up(_, current) if current == connection_id) {
                    self.state = State::Down;
                    self.fail(&PipeError::Broken("the server hung up".into()));
                }
            }
            SwarmEvent::Behaviour(opened) => self.on_opened(opened),
            _ => {}
        }
    }

    fn on_opened(&mut self, opened: Opened) {
        let Some(reply) = self.opening.pop_front() else {
            return;
        };
        let opened = opened.map_err(|why| match why {
            NotOpened::Unsupported => PipeError::NotRendezvous,
            NotOpened::Broken => {
                // What no stream can be opened on is most likely dead, and nobody has noticed.
                if let State::Up(_, connection) = self.state {
                    self.swarm.close_connection(connection);
                }
                PipeError::Broken("no stream could be opened".into())
            }
        });
        // Who has given up drops the stream.
        let _ = reply.send(opened);
    }

    fn fail(&mut self, why: &PipeError) {
        for reply in self.wanted.drain(..).chain(self.opening.drain(..)) {
            let _ = reply.send(Err(why.clone()));
        }
    }
}

/// Returns why a dial failed, without what libp2p puts around it.
fn words(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => errors.first().map_or_else(
            || "nothing answers".into(),
            |(_, error)| {
                let mut cause: &dyn std::error::Error = error;
                while let Some(next) = cause.source() {
                    cause = next;
                }
                cause.to_string()
            },
        ),
        DialError::WrongPeerId { .. } => "another key than the address says answers there".into(),
        other => other.to_string(),
    }
}
