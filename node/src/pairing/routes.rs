//! One way to a host, tried once: addresses of one machine, or a place at a rendezvous server.

use super::conversation::{Call, Established, guest};
use super::wire::{ByteStream, TalkError};
use crate::mesh::{Identity, PipeError, Pipes};
use ecorelay_protocol::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long one address is tried.
const CONNECT: Duration = Duration::from_secs(4);
/// How much later each further address of one machine is tried.
const STAGGER: Duration = Duration::from_millis(200);

/// A stream to another hub, whatever it runs over.
pub(super) type Stream = Box<dyn ByteStream>;

/// A way to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// Addresses of one machine: whichever answers first.
    Machine(Vec<SocketAddr>),
    /// The same of one that announces itself under this name; it may come to have others.
    Near(String, Vec<SocketAddr>),
    /// A server's multiaddr and a place there.
    Pipe(String, Bytes),
}

/// Why a way did not lead to a sealed conversation.
#[derive(Debug)]
pub(super) enum Miss {
    /// No connection.
    Unreachable(String),
    /// The server knows of no host at this place.
    Nobody,
    /// A connection, and then nothing good.
    Talk(TalkError),
}

impl Route {
    /// Goes this way.
    pub(super) async fn take(
        &self,
        identity: &Identity,
        pipes: &Pipes,
        call: &Call,
    ) -> Result<Established<Stream>, Miss> {
        let stream: Stream = match self {
            Self::Machine(addresses) | Self::Near(_, addresses) => {
                let stream = connect(addresses).await.map_err(Miss::Unreachable)?;
                Box::new(stream)
            }
            Self::Pipe(server, place) => {
                let miss = |error: PipeError| match error {
                    error if error.is("nobody") => Miss::Nobody,
                    error => Miss::Unreachable(format!("the rendezvous server {server}: {error}")),
                };
                let server = pipes.server(server).map_err(miss)?;
                Box::new(server.guest(place).await.map_err(miss)?)
            }
        };
        guest(stream, identity, call).await.map_err(Miss::Talk)
    }
}

/// Connects with whichever address answers first.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut attempts = JoinSet::new();
    let mut head_start = Duration::ZERO;
    for at in addresses.iter().copied() {
        let wait = head_start;
        head_start += STAGGER;
        attempts.spawn(async move {
            sleep(wait).await;
            let stream = timeout(CONNECT, TcpStream::connect(at)).await;
            let stream = stream
                .map_err(|_| format!("{at}: nothing answers"))?
                .map_err(|error| format!("{at}: {error}"))?;
            // One small message at a time, each waited for.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        });
    }
    let mut why = "it has no address".to_owned();
    while let Some(attempt) = attempts.join_next().await {
        match attempt.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error,
        }
    }
    Err(why)
}
