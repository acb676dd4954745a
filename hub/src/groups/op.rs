//! One operation of a group's log, and what every hub checks of it by itself.

use crate::{Keys, Proof};
use ecorelay_protocol::link::{Signable, Signed};
use ecorelay_protocol::{Bytes, Name, PeerId, from_cbor, is_id_char, limits, to_cbor};
use serde::{Deserialize, Serialize};

/// Numbers beyond this are nonsense; it leaves room to count on, and fits the store.
const ABSURD: u64 = 1 << 53;
/// The last time there is: the end of the year 9999, in ms.
pub(super) const LAST_TS: u64 = 253_402_300_799_999;
/// Longest id of a group, in bytes: a UUID, a dot and a PeerId.
const UID_BYTES: usize = 128;

/// A session, wherever it is: the form that is the same on every hub.
pub(super) type Who = (Name, PeerId);

/// What a hub writes into a group's log. The text of a [`Body::Text`] is the end of its encoding,
/// so that it need not be stored twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Op {
    /// The group's id.
    pub(super) group: String,
    /// Its number in the author's own log of this kind, from 1.
    pub(super) seq: u64,
    /// Above everything the author had seen in the group.
    pub(super) lamport: u64,
    /// When, in ms, by the author's clock.
    pub(super) ts: u64,
    pub(super) body: Body,
}

impl Signable for Op {
    const DOMAIN: &'static str = "ecorelay-group-1";
}

/// What an operation does. A name without a hub is one on the author's hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// Makes the group; the members are besides the admin.
    Create {
        name: Name,
        admin: Name,
        members: Vec<Who>,
    },
    /// The admin takes somebody in.
    Invite { by: Name, who: Who },
    /// The admin takes somebody out.
    Remove { by: Name, who: Who, reason: String },
    /// A member goes.
    Leave { who: Name },
    /// A member has another name now.
    Rename { old: Name, new: Name },
    /// The admin ends the group.
    Delete { by: Name },
    /// A member says something.
    Text {
        from: Name,
        msg_id: String,
        text: String,
    },
    /// An entry from before the group had a log, or taken over from elsewhere.
    Old {
        from: Name,
        system: bool,
        msg_id: String,
        text: String,
    },
}

impl Body {
    /// Returns whether it belongs to the log of changes.
    pub(super) fn is_change(&self) -> bool {
        !matches!(self, Self::Text { .. } | Self::Old { .. })
    }
}

/// The place in the total order of a group's operations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) lamport: u64,
    pub(super) author: PeerId,
    /// After a change of the same author and time; an honest one has no two.
    pub(super) text: bool,
    pub(super) seq: u64,
}

/// An operation and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) author: PeerId,
    pub(super) op: Op,
    pub(super) payload: Bytes,
    /// Empty for this hub's own.
    pub(super) signature: Bytes,
}

impl Written {
    /// Returns an operation of this hub; it is signed when it is sent.
    pub(super) fn own(author: PeerId, op: Op) -> Self {
        Self {
            payload: Bytes(to_cbor(&op)),
            signature: Bytes::default(),
            author,
            op,
        }
    }

    /// Returns what another hub sent, if it can be an operation of this group; its signature is
    /// not checked yet.
    pub(super) fn read(signed: Signed, group: &str) -> Result<Self, String> {
        let op: Op = from_cbor(&signed.payload.0).map_err(|e| e.to_string())?;
        let written = Self {
            author: signed.by,
            op,
            payload: signed.payload,
            signature: signed.signature,
        };
        written.check(group)?;
        Ok(written)
    }

    /// Returns whether the signature is the author's.
    pub(super) fn verified(&self, keys: &dyn Keys) -> bool {
        let message = Signed::message(Op::DOMAIN, &self.payload.0);
        keys.verify(&self.author, &message, &self.signature.0)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            lamport: self.op.lamport,
            author: self.author.clone(),
            text: !self.op.body.is_change(),
            seq: self.op.seq,
        }
    }

    /// Checks what does not depend on anything else.
    fn check(&self, group: &str) -> Result<(), String> {
        let op = &self.op;
        if op.group != group {
            return Err("an operation of another group".into());
        }
        if op.seq == 0 || op.seq > ABSURD || op.lamport > ABSURD || op.ts > LAST_TS {
            return Err("a number or time that cannot be".into());
        }
        let first = creator(group) == Some(self.author.as_str());
        let is_create = matches!(op.body, Body::Create { .. });
        if is_create != (op.body.is_change() && op.seq == 1 && first) {
            return Err("the making of a group out of place".into());
        }
        let bounded = match &op.body {
            Body::Create { members, .. } => first && members.len() < limits::GROUP_MEMBERS,
            Body::Invite { .. } | Body::Delete { .. } => first,
            Body::Remove { reason, .. } => first && reason.chars().count() <= limits::REASON_CHARS,
            Body::Leave { .. } | Body::Rename { .. } => true,
            Body::Text { msg_id, text, .. } => is_text(msg_id, text),
            Body::Old { msg_id, text, .. } => first && is_text(msg_id, text),
        };
        if !bounded {
            return Err("an operation its author may not write, or too large a one".into());
        }
        if !op.body.is_change() && self.proof().is_none() {
            return Err("a text that is not the end of its operation".into());
        }
        Ok(())
    }

    /// Returns what is stored beside the text, if the encoding ends with it.
    pub(super) fn proof(&self) -> Option<Proof> {
        let (Body::Text { text, .. } | Body::Old { text, .. }) = &self.op.body else {
            return None;
        };
        let head = self.payload.0.strip_suffix(text.as_bytes())?;
        Some(Proof {
            head: Bytes(head.to_vec()),
            signature: self.signature.clone(),
        })
    }
}

fn is_text(msg_id: &str, text: &str) -> bool {
    let id = !msg_id.is_empty() && msg_id.len() <= limits::ID_CHARS;
    id && msg_id.chars().all(is_id_char) && text.len() <= limits::TEXT_BYTES
}

/// Returns a new group's id. It names the hub that makes it, so that nobody else can have made it.
pub(super) fn new_uid(uuid: &str, creator: &PeerId) -> String {
    format!("{uuid}.{creator}")
}

/// Returns the hub that made the group with this id.
pub(super) fn creator(uid: &str) -> Option<&str> {
    uid.rsplit_once('.').map(|(_, creator)| creator)
}

/// Returns whether a group's id can be one.
pub(super) fn is_uid(uid: &str) -> bool {
    let uuid = uid
        .rsplit_once('.')
        .filter(|(_, creator)| creator.parse::<PeerId>().is_ok());
    uid.len() <= UID_BYTES
        && uuid.is_some_and(|(uuid, _)| {
            !uuid.is_empty() && uuid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::PlainKeys;
    use proptest::prelude::*;

    fn op(body: Body) -> Op {
        Op {
            group: new_uid("u1", PlainKeys::numbered(1).peer_id()),
            seq: 1,
            lamport: 2,
            ts: 3,
            body,
        }
    }

    #[test]
    fn a_text_is_the_end_of_its_encoding() {
        for text in ["", "x", "grüße", &"x".repeat(70_000)] {
            let text = text.to_owned();
            let (from, msg_id): (Name, _) = ("a".parse().unwrap(), "m-1".to_owned());
            let body = Body::Text {
                from,
                msg_id,
                text: text.clone(),
            };
            let written = Written::own(PlainKeys::numbered(1).peer_id().clone(), op(body));
            let head = written.proof().unwrap().head;
            assert_eq!(
                from_cbor::<Op>(&[&head.0, text.as_bytes()].concat()),
                Ok(written.op)
            );
        }
    }

    #[test]
    fn only_the_first_hub_makes_invites_removes_and_deletes() {
        let by: Name = "a".parse().unwrap();
        let who = (by.clone(), PlainKeys::numbered(3).peer_id().clone());
        for (body, seq) in [
            (
                Body::Create {
                    name: by.clone(),
                    admin: by.clone(),
                    members: vec![],
                },
                1,
            ),
            (
                Body::Invite {
                    by: by.clone(),
                    who: who.clone(),
                },
                2,
            ),
            (
                Body::Remove {
                    by: by.clone(),
                    who,
                    reason: "x".into(),
                },
                2,
            ),
            (Body::Delete { by: by.clone() }, 2),
        ] {
            for (hub, taken) in [(1, true), (2, false)] {
                let op = Op {
                    seq,
                    ..op(body.clone())
                };
                let group = op.group.clone();
                let written = Written::own(PlainKeys::numbered(hub).peer_id().clone(), op);
                assert_eq!(written.check(&group).is_ok(), taken, "{body:?} by {hub}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_operation_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let by = PlainKeys::numbered(1).peer_id().clone();
            let signed = Signed { by, payload: Bytes(bytes), signature: Bytes::default() };
            let _ = Written::read(signed, "u1");
        }
    }
}
