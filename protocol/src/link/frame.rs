//! One frame: its number on the wire and its body.

use super::{
    Ack, DirectMessage, DirectoryDelta, Fill, GroupOps, GroupVersions, Hello, Publications,
    Published, Query, Receipt, Refuse, Signed, Sync,
};
use crate::cbor::{CborError, from_cbor, to_cbor};
use crate::limits::FRAME_BYTES;
use crate::{Bytes, PeerId};
use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES`].
    #[error("a frame of {0} bytes, more than {FRAME_BYTES}")]
    TooLong(usize),
    /// Not what its number says.
    #[error("a frame that is {0}")]
    Invalid(#[from] CborError),
}

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident($body:ty),)*) => {
        /// Everything one hub says to another on their link.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Frame {
            $($(#[$doc])* $name($body),)*
            /// A frame of a newer hub: its number. Skipped.
            Unknown(u64),
        }

        impl Serialize for Frame {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut pair = serializer.serialize_tuple(2)?;
                match self {
                    $(Self::$name(body) => {
                        pair.serialize_element(&($number as u64))?;
                        pair.serialize_element(body)?;
                    })*
                    Self::Unknown(number) => {
                        pair.serialize_element(number)?;
                        pair.serialize_element(&())?;
                    }
                }
                pair.end()
            }
        }

        impl<'de> Visitor<'de> for FrameVisitor {
            type Value = Frame;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number and a body")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Frame, A::Error> {
                let missing = || de::Error::custom("too short");
                let number: u64 = seq.next_element()?.ok_or_else(missing)?;
                let frame = match number {
                    $($number => Frame::$name(seq.next_element()?.ok_or_else(missing)?),)*
                    number => {
                        seq.next_element::<IgnoredAny>()?.ok_or_else(missing)?;
                        Frame::Unknown(number)
                    }
                };
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(frame),
                    Some(_) => Err(de::Error::custom("too long")),
                }
            }
        }
    };
}

frames! {
    /// The first frame of each side.
    1 Hello(Box<Hello>),
    /// No link; the sender closes behind it.
    2 Refuse(Refuse),
    /// What the sender has; first after both hellos were taken, then from time to time.
    3 Sync(Sync),
    /// A direct message.
    4 Message(Box<DirectMessage>),
    /// What became of a direct message.
    5 Ack(Ack),
    /// What became of it later.
    6 Receipt(Receipt),
    /// Asks for receipts.
    7 Query(Query),
    /// A whole directory entry.
    8 Entry(Signed),
    /// A change of the sender's own directory entry.
    9 Delta(DirectoryDelta),
    /// Asks for the whole entries of these hubs.
    10 Want(Vec<PeerId>),
    /// Roster entries.
    11 Roster(Vec<Signed>),
    /// How far the sender has published.
    12 Published(Published),
    /// Asks for publications.
    13 Fill(Fill),
    /// Publications that were asked for.
    14 Publications(Publications),
    /// How far the sender has a group's log.
    15 GroupVersions(GroupVersions),
    /// A part of a group's log.
    16 GroupOps(GroupOps),
    /// Heartbeat: any value.
    17 Ping(u64),
    /// Answers a heartbeat with its value.
    18 Pong(u64),
    /// [`crate::pairing::TicketRecord`]s of tickets that are out.
    19 Tickets(Vec<Signed>),
    /// A new key of the mesh, a [`super::Rekey`]; or, in answer to one, that the sender has it on
    /// disk.
    20 Rekey(Signed),
}

struct FrameVisitor;

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, FrameVisitor)
    }
}

impl Frame {
    /// Returns the frame as CBOR, without its length.
    pub fn encode(&self) -> Vec<u8> {
        to_cbor(self)
    }

    /// Returns the frame in these bytes (without the length).
    ///
    /// # Errors
    /// When they are too many, not CBOR, not what the frame's number says, or more follows.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES {
            return Err(FrameError::TooLong(bytes.len()));
        }
        Ok(from_cbor(bytes)?)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::link::RefuseCode;
    use proptest::prelude::*;

    #[test]
    fn a_frame_of_a_newer_hub_is_skipped() {
        let bytes = to_cbor(&(99_u64, std::collections::BTreeMap::from([("x", 1)])));
        assert_eq!(Frame::decode(&bytes), Ok(Frame::Unknown(99)));
    }

    #[test]
    fn a_key_of_a_newer_hub_is_skipped() {
        let body = std::collections::BTreeMap::from([
            ("code", "not_admitted"),
            ("message", "no"),
            ("later", "x"),
        ]);
        let frame = Frame::decode(&to_cbor(&(2_u64, body))).unwrap();
        let expected = Refuse {
            code: RefuseCode::NotAdmitted,
            message: "no".into(),
        };
        assert_eq!(frame, Frame::Refuse(expected));
    }

    #[test]
    fn a_frame_with_something_behind_it_is_refused() {
        assert!(Frame::decode(&to_cbor(&(17_u64, 1_u64, 1_u64))).is_err());
        let mut bytes = Frame::Ping(1).encode();
        assert_eq!(Frame::decode(&bytes), Ok(Frame::Ping(1)));
        bytes.push(0);
        assert!(Frame::decode(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
            }
        }
    }
}
