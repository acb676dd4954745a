//! What comes into the brain, and how it is set up.

use crate::{MeshInput, PairingInput, Tag};
use ecorelay_protocol::{HubId, Incoming, PeerId, Psk, Refusal, limits};
use serde::Serialize;
use serde_json::{Map, Value};

/// One connection of one client, numbered by the body; never used twice in a hub's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The Unix socket (or named pipe); same user, checked by the body.
    Socket,
    /// The WebSocket endpoint; token checked by the body.
    WebSocket,
    /// The program that embeds the node.
    InProcess,
}

/// Everything that can happen to a hub.
#[derive(Debug)]
pub enum Input {
    /// A client connected.
    Connected {
        /// Its number.
        conn: ConnId,
        /// Where from.
        origin: Origin,
    },
    /// A client wrote a line; decoded, or refused with its `req_id` where one was readable.
    Line {
        /// Who.
        conn: ConnId,
        /// What.
        incoming: Result<Incoming, (Option<String>, Refusal)>,
    },
    /// A client is gone.
    Disconnected {
        /// Who.
        conn: ConnId,
    },
    /// A line with a tag was written to the kernel (`ok`), or dropped because the client reads
    /// too slowly or is gone.
    Flushed {
        /// Who.
        conn: ConnId,
        /// Which line.
        tag: Tag,
        /// Written, not dropped.
        ok: bool,
    },
    /// The queue of a client from which a line was dropped is empty again.
    Drained {
        /// Who.
        conn: ConnId,
    },
    /// A condition of the body that `status` shows: raised, or lifted with `None`.
    Warning {
        /// Its stable code.
        code: &'static str,
        /// The words, or `None` when it is over.
        warning: Option<Warning>,
    },
    /// Something happened on the mesh.
    Mesh(MeshInput),
    /// Something happened while hubs pair.
    Pairing(PairingInput),
    /// The hub is about to end: what waits for a batch to travel with is written with this one.
    Ending,
    /// Time has passed (see [`crate::Hub::next_deadline`]).
    Tick,
}

/// A condition that `status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable, for programs.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The command or step that mends it.
    pub remedy: String,
}

/// A source of random ids; a seeded one in tests.
pub trait Ids: Send {
    /// Returns a fresh UUID as text; best one that is ordered by time (version 7), for the sake
    /// of the store's index.
    fn uuid(&mut self) -> String;

    /// Returns 32 fresh bytes from a source that is good enough for keys.
    fn secret(&mut self) -> [u8; 32];
}

/// The hub's key, and how signatures are checked; without cryptography in tests.
pub trait Keys: Send {
    /// Returns the hub's own PeerId.
    fn peer_id(&self) -> &PeerId;

    /// Signs with the hub's key.
    fn sign(&self, message: &[u8]) -> Vec<u8>;

    /// Returns whether this is `peer`'s signature of the message.
    fn verify(&self, peer: &PeerId, message: &[u8], signature: &[u8]) -> bool;
}

/// How a hub is set up.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// This hub's human name.
    pub hub_id: HubId,
    /// Bounds a person may change.
    pub tunables: Tunables,
    /// When this hub started, in ms since 1970.
    pub started: u64,
    /// The mesh's key as it stands in `mesh.key`, where that file is.
    pub mesh_key: Option<Psk>,
    /// What the body adds to the `status` document: `peer_id`, `version`, `data_dir`, `pid` ….
    pub about: Map<String, Value>,
}

/// Bounds a person may change in `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunables {
    /// Pushes one sender may cause at once before its messages are stored quietly.
    pub push_burst: u32,
    /// Pushes one sender may cause per minute in the long run.
    pub push_per_minute: u32,
    /// The same for one pair of peers (a conversation): at once.
    pub conversation_burst: u32,
    /// The same for one pair of peers: per minute.
    pub conversation_per_minute: u32,
    /// Broadcasts one session may send per minute.
    pub broadcasts_per_minute: u32,
    /// Unread messages a mailbox takes before it refuses.
    pub mailbox_unread: usize,
    /// Read messages kept per mailbox.
    pub mailbox_read_kept: usize,
    /// Sessions per hub.
    pub sessions: usize,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            push_burst: 1_000,
            push_per_minute: 600,
            conversation_burst: 400,
            conversation_per_minute: 60,
            broadcasts_per_minute: 30,
            mailbox_unread: limits::MAILBOX_UNREAD,
            mailbox_read_kept: limits::MAILBOX_READ_KEPT,
            sessions: limits::SESSIONS,
        }
    }
}
