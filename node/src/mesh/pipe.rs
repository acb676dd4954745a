//! Pipes: streams that a rendezvous server joins, so that hubs behind routers can pair.
//!
//! [`Pipes`] keeps one connection per server, under a key that is made anew each time: nothing
//! ties it to the hub. No mesh key and no PeerId of the server is needed: pairing protects itself
//! against whoever is in between. [`PipeServer::host`] waits at a place, [`PipeServer::guest`]
//! comes to one; both give a [`Pipe`], a plain stream of bytes.

mod connection;
mod streams;

use connection::Command;
use ecorelay_protocol::rendezvous::{PipeAnswer, PipeOpening};
use ecorelay_protocol::{Bytes, CborError, from_cbor, to_cbor, visible};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::multiaddr;
use libp2p::swarm::Stream;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

/// From wanting a pipe to the server's answer: a name, a connection, handshakes, a trip.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Longest answer of a server, in bytes.
const ANSWER_BYTES: usize = 4 * 1024;
/// As much of a server's words is shown, in characters.
const WORDS_CHARS: usize = 200;

/// Why there is no pipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PipeError {
    /// The address is none.
    #[error("\"{0}\" is not a multiaddr")]
    Address(String),
    /// No connection with the server.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Something answers that is no rendezvous server.
    #[error("it is not a rendezvous server")]
    NotRendezvous,
    /// The server said no, in its words, which were made visible.
    #[error("it refused: {message} ({code})")]
    Refused {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// What it said was no answer.
    #[error("its answer is {0}")]
    Invalid(#[from] CborError),
    /// The connection broke, or the server hung up.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// It did not answer.
    #[error("it did not answer in time")]
    TimedOut,
}

impl From<io::Error> for PipeError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl PipeError {
    /// Returns whether the server refused with this code.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// The servers that are in use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipes(Arc<Mutex<HashMap<String, Weak<PipeServer>>>>);

impl Pipes {
    /// Returns a server; the connection comes up when it is needed, and ends with the last of its
    /// pipes and of these values.
    pub(crate) fn server(&self, address: &str) -> Result<Arc<PipeServer>, PipeError> {
        // One insertion or removal at a time: never half done.
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(address).and_then(Weak::upgrade) {
            return Ok(server);
        }
        servers.retain(|_, server| server.strong_count() > 0);
        let multiaddr = address
            .parse()
            .map_err(|_: multiaddr::Error| PipeError::Address(address.to_owned()))?;
        let server = Arc::new(PipeServer {
            commands: connection::start(multiaddr)?,
        });
        servers.insert(address.to_owned(), Arc::downgrade(&server));
        Ok(server)
    }
}

/// A rendezvous server.
#[derive(Debug)]
pub(crate) struct PipeServer {
    commands: mpsc::Sender<Command>,
}

impl PipeServer {
    /// Waits at a place: nobody else does.
    pub(crate) async fn host(self: &Arc<Self>, place: &Bytes) -> Result<Waiting, PipeError> {
        match self.open(&PipeOpening::Host(place.clone())).await? {
            (PipeAnswer::Waiting, stream) => Ok(Waiting {
                stream,
                server: Arc::clone(self),
            }),
            (answer, _) => Err(unexpected(answer)),
        }
    }

    /// Comes to a place where a host waits.
    pub(crate) async fn guest(self: &Arc<Self>, place: &Bytes) -> Result<Pipe, PipeError> {
        match self.open(&PipeOpening::Guest(place.clone())).await? {
            (PipeAnswer::Joined, stream) => Ok(Pipe::new(stream, Arc::clone(self))),
            (answer, _) => Err(unexpected(answer)),
        }
    }

    async fn open(&self, opening: &PipeOpening) -> Result<(PipeAnswer, Stream), PipeError> {
        let open = async {
            let (reply, opened) = oneshot::channel();
            let gone = || PipeError::Broken("the connection has ended".into());
            let order = self.commands.send(Command::Open(reply)).await;
            order.map_err(|_| gone())?;
            let mut stream = opened.await.map_err(|_| gone())??;
            let message = to_cbor(opening);
            let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
            let bytes = [&length.to_be_bytes(), message.as_slice()].concat();
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            Ok((answer(&mut stream).await?, stream))
        };
        timeout(ANSWER_TIME, open)
            .await
            .unwrap_or(Err(PipeError::TimedOut))
    }
}

/// A place at which this hub waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    stream: Stream,
    server: Arc<PipeServer>,
}

impl Waiting {
    /// Waits for a guest.
    pub(crate) async fn joined(mut self) -> Result<Pipe, PipeError> {
        match answer(&mut self.stream).await? {
            PipeAnswer::Joined => Ok(Pipe::new(self.stream, self.server)),
            answer => Err(unexpected(answer)),
        }
    }
}

/// A stream whose other end is at another hub.
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: Compat<Stream>,
    /// The connection stays for as long as the pipe.
    _server: Arc<PipeServer>,
}

impl Pipe {
    fn new(stream: Stream, server: Arc<PipeServer>) -> Self {
        Self {
            stream: stream.compat(),
            _server: server,
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Returns the server's next answer, and reads not a byte more: those are the other hub's.
async fn answer(stream: &mut Stream) -> Result<PipeAnswer, PipeError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES {
        return Err(PipeError::NotRendezvous);
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(from_cbor(&bytes)?)
}

fn unexpected(answer: PipeAnswer) -> PipeError {
    let short = |text: String| visible(&text.chars().take(WORDS_CHARS).collect::<String>());
    match answer {
        PipeAnswer::Refused { code, message } => PipeError::Refused {
            code: short(code),
            message: short(message),
        },
        PipeAnswer::Waiting | PipeAnswer::Joined => PipeError::NotRendezvous,
    }
}
