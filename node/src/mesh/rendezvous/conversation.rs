//! What is said to one rendezvous server for as long as it is connected: the hub enters, hears who
//! else of its mesh is there, and keeps a place through which others can reach it.
//!
//! Everything the server says is bounded, read strictly, and made visible where it is a text.

use super::circuit::{self, CircuitError};
use super::streams::{OpenError, Opener};
use crate::mesh::config::Timing;
use crate::mesh::names;
use ecorelay_protocol::rendezvous::{MESSAGE_BYTES, NAMESPACES, PROTOCOL, ToHub, ToServer};
use ecorelay_protocol::{Bytes, Psk, from_cbor, limits, to_cbor, visible};
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, StreamProtocol};
use libp2p::{Multiaddr, PeerId};
use sha2::{Digest as _, Sha256};
use std::io;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout, timeout_at};

/// An answer comes in this time, or never.
const ANSWER: Duration = Duration::from_secs(10);
/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;
/// Messages a server may send in a minute, far more than a mesh of a thousand hubs causes.
const PER_MINUTE: u32 = 1_200;
const MINUTE: Duration = Duration::from_secs(60);
/// As much of a server's text is repeated, in characters.
const TEXT_CHARS: usize = 200;
/// A place is renewed no sooner than this, whatever the server says of its end.
const RENEW_LEAST: Duration = Duration::from_secs(30);
/// A place is renewed no later than this.
const RENEW_MOST: Duration = Duration::from_secs(30 * 60);
/// A place that cannot be renewed is asked for so many times.
const RENEWALS: u32 = 3;

/// What came of a conversation.
#[derive(Debug)]
pub(in crate::mesh) struct News {
    /// The connection it is had on.
    pub(in crate::mesh) connection: ConnectionId,
    pub(in crate::mesh) said: Said,
}

/// What a server has said.
#[derive(Debug)]
pub(in crate::mesh) enum Said {
    /// The hub is in.
    Entered {
        /// Its address as the server sees it.
        observed: Multiaddr,
    },
    /// The hub can be reached through the server.
    Reserved,
    /// Who else is there under the mesh's key.
    Present(Vec<PeerId>),
    /// Nothing more comes; why.
    Ended(String),
}

/// The conversation with a server on one connection.
#[derive(Debug)]
pub(in crate::mesh) struct Conversation {
    pub(in crate::mesh) connection: ConnectionId,
    pub(in crate::mesh) server: PeerId,
    pub(in crate::mesh) opener: Opener,
    /// The mesh's key and those before it.
    pub(in crate::mesh) keys: watch::Receiver<Vec<Psk>>,
    pub(in crate::mesh) news: mpsc::Sender<News>,
    pub(in crate::mesh) timing: Timing,
}

/// Why a conversation ends.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("{0}")]
    NoStream(#[from] OpenError),
    #[error("{0}")]
    NoPlace(#[from] CircuitError),
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection with the server failed: {0}")]
    Io(#[from] io::Error),
    #[error("nothing came from the server for {0} s")]
    Silent(f32),
    #[error("the server breaks its protocol: {0}")]
    Broken(String),
    #[error("the server refuses this hub: {0}")]
    Refused(String),
    #[error("this hub ends")]
    Here,
}

impl Conversation {
    /// Talks until it is over, and tells what was said.
    pub(in crate::mesh) async fn run(mut self) {
        let Err(over) = self.talk().await;
        let said = Said::Ended(over.to_string());
        // Without the swarm's task there is nobody to tell.
        let _ = self.tell(said).await;
    }

    async fn talk(&mut self) -> Result<std::convert::Infallible, Over> {
        let server = names::text(&self.server).ok_or(Over::Here)?;
        let protocol = StreamProtocol::new(PROTOCOL);
        let stream = self.opener.open(self.server, protocol).await?;
        let (mut reader, mut writer) = stream.split();
        let mut inbox = Inbox::default();
        let mut namespace = self.enter(&mut writer, &server).await?;
        let observed = inbox.entered(&mut reader).await?;
        self.tell(Said::Entered { observed }).await?;

        let place = Place {
            server: self.server,
            opener: self.opener.clone(),
        };
        let (news, connection) = (self.news.clone(), self.connection);
        let place = place.keep(news, connection);
        tokio::pin!(place);
        let mut ping = interval(self.timing.server_ping);
        let mut heard = Instant::now();
        let mut pings = 0;
        loop {
            let dead = heard + self.timing.server_dead;
            tokio::select! {
                message = timeout_at(dead.into(), inbox.next(&mut reader)) => {
                    let Ok(message) = message else {
                        return Err(Over::Silent(self.timing.server_dead.as_secs_f32()));
                    };
                    let message = message?;
                    heard = Instant::now();
                    self.on_message(message, &namespace).await?;
                }
                _ = ping.tick() => {
                    pings += 1;
                    say(&mut writer, &ToServer::Ping(pings)).await?;
                }
                changed = self.keys.changed() => {
                    changed.map_err(|_| Over::Here)?;
                    namespace = self.enter(&mut writer, &server).await?;
                }
                over = &mut place => return Err(over),
            }
        }
    }

    /// Asks to be let in; returns the namespace of the mesh's key.
    async fn enter(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        server: &ecorelay_protocol::PeerId,
    ) -> Result<[u8; 32], Over> {
        let tokens: Vec<_> = {
            let keys = self.keys.borrow_and_update();
            let keys = keys.iter().take(NAMESPACES);
            keys.map(|key| key.admission_token(server)).collect()
        };
        let namespace = tokens.first().map(|token| Sha256::digest(token).into());
        let enter = ToServer::Enter {
            tokens: tokens.iter().map(|token| Bytes(token.to_vec())).collect(),
            software: concat!("ecorelay/", env!("CARGO_PKG_VERSION")).into(),
        };
        say(writer, &enter).await?;
        namespace.ok_or(Over::Here)
    }

    async fn on_message(&self, message: ToHub, ours: &[u8; 32]) -> Result<(), Over> {
        match message {
            ToHub::Present { namespace, peers } => {
                if peers.len() > limits::HUBS {
                    return Err(Over::Broken("a list of too many hubs".into()));
                }
                // Hubs with an older key are no use here: they come for the new one elsewhere.
                if namespace.0 == ours {
                    let peers = peers.iter().filter_map(names::peer).collect();
                    self.tell(Said::Present(peers)).await?;
                }
                Ok(())
            }
            // The answer to further keys.
            ToHub::Entered { .. } | ToHub::Pong(_) => Ok(()),
            ToHub::Refused { code, message } => Err(refused(&code, &message)),
        }
    }

    async fn tell(&self, said: Said) -> Result<(), Over> {
        let news = News {
            connection: self.connection,
            said,
        };
        self.news.send(news).await.map_err(|_| Over::Here)
    }
}

/// The hub's place at a server.
struct Place {
    server: PeerId,
    opener: Opener,
}

impl Place {
    /// Takes a place and keeps it; returns why that is over.
    async fn keep(self, news: mpsc::Sender<News>, connection: ConnectionId) -> Over {
        let mut failed = 0;
        let mut until = match self.take().await {
            Ok(until) => until,
            Err(error) => return error.into(),
        };
        let said = Said::Reserved;
        if news.send(News { connection, said }).await.is_err() {
            return Over::Here;
        }
        loop {
            sleep(renewal(until)).await;
            match self.take().await {
                Ok(next) => (until, failed) = (next, 0),
                Err(error) => {
                    failed += 1;
                    if failed >= RENEWALS {
                        return error.into();
                    }
                    until = 0;
                }
            }
        }
    }

    async fn take(&self) -> Result<u64, CircuitError> {
        let mut stream = self.opener.open(self.server, circuit::HOP).await?;
        match timeout(ANSWER, circuit::reserve(&mut stream)).await {
            Ok(reserved) => reserved,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

/// Returns how long to wait before a place that ends then is renewed.
fn renewal(until: u64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let left = until.saturating_sub(now.map_or(0, |now| now.as_secs()));
    let wait = Duration::from_secs((left / 4).saturating_mul(3));
    wait.clamp(RENEW_LEAST, RENEW_MOST)
}

/// What a server sends, cut into messages.
#[derive(Debug)]
struct Inbox {
    bytes: Vec<u8>,
    /// Messages of this minute.
    count: u32,
    since: Instant,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
            since: Instant::now(),
        }
    }
}

impl Inbox {
    /// Waits until the hub is let in; returns its address as the server sees it.
    async fn entered(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<Multiaddr, Over> {
        match timeout(ANSWER, self.next(reader)).await {
            Ok(message) => match message? {
                ToHub::Entered { observed } => {
                    outside(&observed).ok_or_else(|| Over::Broken("an address that is none".into()))
                }
                ToHub::Refused { code, message } => Err(refused(&code, &message)),
                _ => Err(Over::Broken("another message than the first".into())),
            },
            Err(_) => Err(Over::Silent(ANSWER.as_secs_f32())),
        }
    }

    /// Returns the next message. Loses nothing when it is dropped.
    async fn next(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<ToHub, Over> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            let mut chunk = [0; READ_BYTES];
            match reader.read(&mut chunk).await? {
                0 => return Err(Over::Closed),
                count => self
                    .bytes
                    .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
    }

    fn take(&mut self) -> Result<Option<ToHub>, Over> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES {
            return Err(Over::Broken("a message that is too long".into()));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = from_cbor(message).map_err(|_| Over::Broken("no message".into()))?;
        self.bytes.drain(..head.len() + length);
        if self.since.elapsed() >= MINUTE {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count += 1;
        if self.count > PER_MINUTE {
            return Err(Over::Broken("too many messages".into()));
        }
        Ok(Some(message))
    }
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), message: &ToServer) -> Result<(), Over> {
    let body = to_cbor(message);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let bytes = [&length.to_be_bytes()[..], &body].concat();
    let written = async {
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    match timeout(ANSWER, written).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Over::Silent(ANSWER.as_secs_f32())),
    }
}

fn refused(code: &str, message: &str) -> Over {
    let text = |text: &str| -> String { visible(text).chars().take(TEXT_CHARS).collect() };
    Over::Refused(format!("{} ({})", text(message), text(code)))
}

/// Returns this hub's address in a server's words, if it can be one.
fn outside(text: &str) -> Option<Multiaddr> {
    if text.len() > limits::MULTIADDR_CHARS {
        return None;
    }
    let (address, _) = names::split(text.parse().ok()?);
    let mut parts = address.iter();
    let fits = match parts.next()? {
        Protocol::Ip4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Protocol::Ip6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        _ => false,
    };
    let tcp = matches!(parts.next()?, Protocol::Tcp(_)) && parts.next().is_none();
    (fits && tcp).then_some(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_absurd_end_of_a_place_is_no_wait_without_end() {
        assert_eq!(renewal(u64::MAX), RENEW_MOST);
        assert_eq!(renewal(0), RENEW_LEAST);
    }

    #[test]
    fn only_a_socket_address_can_be_this_hubs() {
        let peer = PeerId::random();
        assert!(outside("/ip4/203.0.113.11/tcp/4001").is_some());
        let (with, without) = (
            outside(&format!("/ip6/2001:db8::1/tcp/1/p2p/{peer}")),
            outside("/ip6/2001:db8::1/tcp/1"),
        );
        assert_eq!(with, without);
        let others = [
            "",
            "nonsense",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/10.0.0.1/udp/1",
            "/dns4/example.org/tcp/1",
            "/ip4/10.0.0.1/tcp/1/p2p-circuit",
        ];
        for other in others {
            assert_eq!(outside(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_server_says_is_cut_into_messages_and_bounded() {
        let mut inbox = Inbox::default();
        let body = to_cbor(&ToHub::Pong(7));
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(body);
        let (first, second) = bytes.split_at(3);
        inbox.bytes.extend_from_slice(first);
        assert!(inbox.take().unwrap().is_none());
        inbox.bytes.extend_from_slice(second);
        assert_eq!(inbox.take().unwrap(), Some(ToHub::Pong(7)));
        assert!(inbox.take().unwrap().is_none());
        for _ in 1..PER_MINUTE {
            inbox.bytes.extend_from_slice(&bytes);
            inbox.take().unwrap();
        }
        inbox.bytes.extend_from_slice(&bytes);
        assert!(matches!(inbox.take(), Err(Over::Broken(_))));
        let mut inbox = Inbox::default();
        inbox.bytes.extend_from_slice(&[0xff; 4]);
        assert!(matches!(inbox.take(), Err(Over::Broken(_))));
    }

    #[test]
    fn a_servers_words_are_shown_for_what_they_are() {
        let words = refused("\u{1b}[2J", &"x".repeat(1_000)).to_string();
        assert!(!words.contains('\u{1b}') && words.len() < 500, "{words}");
    }
}
