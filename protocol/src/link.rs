//! Hub to hub: the frames of a link, what is signed, and what goes over gossip.
//!
//! A frame on the wire is a big-endian u32 length and then CBOR: a list of the frame's number
//! and its body, a map. A number that is not known is [`Frame::Unknown`], an unknown key of a
//! body is skipped: a newer hub can say more than an older one understands. Everything here is
//! foreign input: decoded strictly, bounded by [`limits::FRAME_BYTES`].

mod directory;
mod frame;
mod group_log;
mod hello;
mod message;
mod publication;
mod roster;
mod signed;

pub use directory::{DirectoryDelta, DirectoryEntry, EntryVersion, RendezvousEntry, SessionEntry};
pub use frame::{Frame, FrameError};
pub use group_log::{GroupOps, GroupVersion, GroupVersions};
pub use hello::{Binding, Hello, Refuse, RefuseCode, Sync};
pub use message::{Ack, DirectMessage, Outcome, Query, Receipt};
pub use publication::{Fill, Publication, PublicationKind, Publications, Published};
pub use roster::{Admission, Rekey};
pub use signed::{Signable, Signed};

#[cfg(doc)]
use crate::limits;
