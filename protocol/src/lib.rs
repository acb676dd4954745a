//! The words every part of EcoRelay shares: names, addresses, messages, error
//! codes, limits, and the JSON lines of the local protocol (versions "5" and "6").
//!
//! No I/O, no async, no clock. Types to know: [`Name`] and [`Address`],
//! [`Refusal`] with its [`ErrorCode`], [`Request`] (client to hub) and
//! [`HubLine`] (hub to client).

mod address;
mod cbor;
mod code;
mod decode;
mod error;
mod framing;
pub mod limits;
mod line;
pub mod link;
mod message;
mod pair_step;
pub mod pairing;
mod peer_id;
mod psk;
pub mod rendezvous;
mod request;
mod sanitize;
mod ticket;
mod time;
mod words;

pub use address::{Address, HubId, Name};
pub use cbor::{Bytes, CborError, from_cbor, to_cbor};
pub use code::{PairingCode, RENDEZVOUS_PORT};
pub use decode::{decode_request, replace_lone_surrogates};
pub use error::{ErrorCode, Refusal};
pub use framing::{Framed, LineFramer};
pub use line::{
    GroupMemberInfo, GroupSummary, HubLine, InboxEntry, Me, PeerInfo, Push, Received, RoomSummary,
};
pub use message::{
    DeliveryState, GroupEntry, GroupEntryType, MessageKind, MessageTrace, PushResult, SendStatus,
    TraceStep,
};
pub use pair_step::{MeshChoice, PairStep};
pub use peer_id::PeerId;
pub use psk::Psk;
pub use request::{
    GroupRequest, HubChange, HubPolicy, ImportGroup, ImportMailbox, ImportMessage, ImportText,
    Incoming, NO_PATH, PushWay, Register, Request, Scope, SendMessage,
};
pub use sanitize::{
    ID_MARKS, fence, header_line, is_id_char, is_invisible, unpaired_header_line, visible,
};
pub use ticket::Ticket;
pub use time::{iso_ms, parse_iso_ms};

/// Version of the local protocol that reference clients speak.
pub const PROTOCOL_V5: &str = "5";
/// Version of the local protocol that our own channel and command line speak.
pub const PROTOCOL_V6: &str = "6";
