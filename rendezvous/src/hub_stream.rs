//! The stream on which one hub enters: what it says goes to the event loop, what the loop says
//! goes to the hub, and heartbeats are answered here.

use crate::config::{Namespace, Timing};
use crate::framing::{self, Framing};
use crate::metrics::Metrics;
use ecorelay_protocol::PeerId;
use ecorelay_protocol::rendezvous::{NAMESPACES, TOKEN_BYTES, ToHub, ToServer, namespace};
use futures_util::AsyncWriteExt as _;
use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What waits for one hub. A hub that takes so little that more would wait is let go: it comes
/// back and hears the newest.
pub(crate) const WAITING: usize = 32;

/// What the event loop says to a hub.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// It is in.
    Entered,
    /// Who is in a namespace, the hub itself among them.
    Present {
        namespace: Namespace,
        peers: Arc<[PeerId]>,
    },
    /// It is not let in, or no longer; nothing follows.
    Refused {
        code: &'static str,
        message: &'static str,
    },
}

/// What a hub says to the event loop.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It enters these namespaces, and leaves others.
    Enter(ConnectionId, BTreeSet<Namespace>),
    /// Its stream has ended.
    Gone(ConnectionId),
}

/// One hub's stream.
pub(crate) struct HubStream {
    pub(crate) stream: Stream,
    pub(crate) connection: ConnectionId,
    /// The hub.
    pub(crate) name: PeerId,
    /// Its address as the server sees it.
    pub(crate) observed: String,
    pub(crate) say: mpsc::Receiver<Say>,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) timing: Timing,
    pub(crate) messages_per_minute: u32,
    pub(crate) metrics: Metrics,
}

/// Why a stream ends.
enum End {
    /// The hub has gone, or is to be dropped without a word.
    Gone,
    /// It is told why.
    Refused(&'static str, &'static str),
}

impl HubStream {
    /// Serves the hub until it goes.
    pub(crate) async fn run(mut self) {
        if let End::Refused(code, message) = self.serve().await {
            let refused = ToHub::Refused {
                code: code.into(),
                message: message.into(),
            };
            let _ = self.write(&refused).await;
            let _ = timeout(self.timing.stop, self.stream.close()).await;
        }
        // Only when the whole server ends, nobody hears it.
        let _ = self.heard.send(Heard::Gone(self.connection)).await;
    }

    async fn serve(&mut self) -> End {
        let mut framing = Framing::default();
        let mut minute = (Instant::now(), 0_u32);
        loop {
            let silence = tokio::time::sleep(self.timing.silence);
            tokio::select! {
                read = framing.read(&mut self.stream) => {
                    if !read.unwrap_or(false) {
                        return End::Gone;
                    }
                }
                say = self.say.recv() => {
                    // Not to be mistaken for a word of the hub.
                    if let Err(end) = self.say(say).await {
                        return end;
                    }
                    continue;
                }
                () = silence => {
                    self.metrics.refuse("silent");
                    return End::Gone;
                }
            }
            loop {
                let message = match framing.next::<ToServer>() {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(_) => {
                        self.metrics.refuse("bad_message");
                        return End::Refused("bad_message", "This message cannot be read.");
                    }
                };
                if minute.0.elapsed().as_secs() >= 60 {
                    minute = (Instant::now(), 0);
                }
                minute.1 += 1;
                if minute.1 > self.messages_per_minute {
                    self.metrics.refuse("too_many_messages");
                    return End::Refused("too_many", "Too many messages in a minute.");
                }
                if let Err(end) = self.hear(message).await {
                    return end;
                }
            }
        }
    }

    async fn hear(&mut self, message: ToServer) -> Result<(), End> {
        match message {
            ToServer::Ping(value) => self.write(&ToHub::Pong(value)).await,
            ToServer::Enter { tokens, .. } => {
                let sound = (1..=NAMESPACES).contains(&tokens.len())
                    && tokens.iter().all(|token| token.0.len() == TOKEN_BYTES);
                if !sound {
                    self.metrics.refuse("bad_message");
                    return Err(End::Refused(
                        "bad_message",
                        "A hub enters with one to four tokens of 32 bytes.",
                    ));
                }
                // The tokens themselves are kept nowhere.
                let namespaces = tokens.iter().map(|token| namespace(&token.0)).collect();
                let entered = Heard::Enter(self.connection, namespaces);
                self.heard.send(entered).await.map_err(|_| End::Gone)
            }
        }
    }

    async fn say(&mut self, say: Option<Say>) -> Result<(), End> {
        let message = match say {
            // Too much waited for this hub, or another connection of it has taken over.
            None => return Err(End::Gone),
            Some(Say::Refused { code, message }) => return Err(End::Refused(code, message)),
            Some(Say::Entered) => ToHub::Entered {
                observed: self.observed.clone(),
            },
            Some(Say::Present { namespace, peers }) => {
                let others = peers.iter().filter(|peer| **peer != self.name);
                ToHub::Present {
                    namespace: (&namespace).into(),
                    peers: others.cloned().collect(),
                }
            }
        };
        self.write(&message).await
    }

    async fn write(&mut self, message: &ToHub) -> Result<(), End> {
        match timeout(self.timing.write, framing::write(&mut self.stream, message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }
}
