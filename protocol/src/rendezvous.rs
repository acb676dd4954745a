//! What hubs and a rendezvous server say to each other. The server learns no key of a mesh.
//!
//! Two libp2p protocols, both a u32 big-endian length and CBOR per message:
//! [`PROTOCOL`], one stream per hub for as long as it is connected: the hub enters the
//! namespaces of its mesh and hears who else is there; and [`PIPE_PROTOCOL`], one stream per
//! pairing conversation: the server joins the host's stream and the guest's, and passes bytes on.

use crate::{Bytes, PeerId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Protocol of the stream on which a hub enters.
pub const PROTOCOL: &str = "/ecorelay/rendezvous/1";
/// Protocol of the streams that are joined for pairing.
pub const PIPE_PROTOCOL: &str = "/ecorelay/pairing/1";
/// Longest message, in bytes.
pub const MESSAGE_BYTES: usize = 128 * 1024;
/// Namespaces a hub may be in: the one of its mesh's key and of keys before.
pub const NAMESPACES: usize = 4;
/// Length of a token and of a namespace, in bytes.
pub const TOKEN_BYTES: usize = 32;

/// Returns the namespace that a token lets a hub into.
pub fn namespace(token: &[u8]) -> [u8; TOKEN_BYTES] {
    Sha256::digest(token).into()
}

/// Returns the place at a rendezvous server where two hubs meet to pair: `what` is the number of a
/// code in decimal, or the id of a ticket in hexadecimal. No secret is in it.
pub fn pairing_place(what: &str) -> Bytes {
    let text = [b"ecorelay pairing place 1\0".as_slice(), what.as_bytes()].concat();
    Bytes(Sha256::digest(text).to_vec())
}

/// Hub to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToServer {
    /// The first message, and again when the keys change: the admission tokens
    /// ([`crate::Psk::admission_token`]). The namespace of a token is its SHA-256.
    Enter {
        /// At most [`NAMESPACES`].
        tokens: Vec<Bytes>,
        /// The hub's program version, for people.
        software: String,
    },
    /// Heartbeat; answered with the same value.
    Ping(u64),
}

/// Server to hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToHub {
    /// The hub is in; reservations and circuits are open to it now.
    Entered {
        /// The hub's address as the server sees it, a multiaddr.
        observed: String,
    },
    /// Who is in one of the hub's namespaces, the hub left out; replaces the list before.
    Present {
        /// SHA-256 of the token.
        namespace: Bytes,
        /// At most [`crate::limits::HUBS`].
        peers: Vec<PeerId>,
    },
    /// Not let in; the server closes the stream behind it.
    Refused {
        /// `full`, `not_allowed`, `bad_message`, `too_many` …
        code: String,
        /// For people; as foreign as any text.
        message: String,
    },
    /// Heartbeat.
    Pong(u64),
}

/// The first message on a pipe, from the hub; nothing comes before [`PipeAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipeOpening {
    /// Wait here for a guest, until the stream is closed: 32 bytes that say where.
    Host(Bytes),
    /// Be joined with the host that waits here.
    Guest(Bytes),
}

/// The server's answer on a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipeAnswer {
    /// To a host: nobody else waits here. It goes on waiting.
    Waiting,
    /// From here on every byte is the other side's.
    Joined,
    /// The server closes the stream behind it.
    Refused {
        /// `taken` (another host waits here), `nobody` (no host does), `full`, `bad_message` …
        code: String,
        /// For people; as foreign as any text.
        message: String,
    },
}
