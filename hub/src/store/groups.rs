//! What a store keeps of groups: the log of each, and what it comes to on this hub.

use ecorelay_protocol::{Bytes, GroupEntryType, Name, PeerId, Refusal};
use std::fmt;
use std::str::FromStr;

/// A group on this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// Somebody who is or was in a group. As text `name`, or `name@` and the hub's PeerId: hubs may
/// change their human names, their keys stay.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Its name on its hub.
    pub name: Name,
    /// Its hub; `None` for this one.
    pub hub: Option<PeerId>,
}

impl Member {
    /// Returns a member on this hub.
    pub fn local(name: Name) -> Self {
        Self { name, hub: None }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hub {
            None => write!(f, "{}", self.name),
            Some(hub) => write!(f, "{}@{hub}", self.name),
        }
    }
}

impl FromStr for Member {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, hub) = match text.split_once('@') {
            None => (text, None),
            Some((name, hub)) => (name, Some(hub.parse()?)),
        };
        let name = name.parse()?;
        Ok(Self { name, hub })
    }
}

/// The place of an operation in a group's log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId {
    /// Lamport time.
    pub lamport: u64,
    /// The hub that wrote it; `None` for this one.
    pub author: Option<PeerId>,
    /// It changes the membership; otherwise it is a text. An author numbers both by themselves.
    pub change: bool,
    /// Its number.
    pub seq: u64,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Id on this hub.
    pub id: GroupId,
    /// Id on every hub: a UUID, a dot, the PeerId of the hub that made it. Without the dot the
    /// group is from before groups had logs.
    pub uid: String,
    /// Its name on this hub.
    pub name: Name,
    /// Its admin.
    pub admin: Member,
    /// When it was made, in ms.
    pub created: u64,
    /// The highest id of an entry that is no longer kept; 0 for none.
    pub trimmed: u64,
    /// The highest id that was in use when entries were last taken out.
    pub top: u64,
    /// When it was deleted, in ms; its log of changes stays, so that other hubs learn of it.
    pub deleted: Option<u64>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub member: Member,
    /// The last entry it has read; 0 for none. Kept for members on this hub.
    pub last_read: u64,
    /// When it joined, in ms.
    pub joined: u64,
}

/// A hub that has, or once had, members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHubRow {
    /// Which; `None` for this one.
    pub hub: Option<PeerId>,
    /// The last of its texts that is no longer kept, or was never needed; 0 for none.
    pub texts: u64,
}

/// A change of a group's membership, as its author signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChangeRow {
    /// The group.
    pub group: GroupId,
    /// Who wrote it; `None` for this hub.
    pub author: Option<PeerId>,
    /// Its number among the author's changes, from 1.
    pub seq: u64,
    /// The operation as CBOR.
    pub payload: Bytes,
    /// The author's signature; empty for this hub's own, which are signed when they are sent.
    pub signature: Bytes,
}

/// What proves a text: the operation as CBOR up to the text, which is its end, and the author's
/// signature of the whole; that is empty for this hub's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The operation, without the text at its end.
    pub head: Bytes,
    /// Of head and text.
    pub signature: Bytes,
}

/// An entry of a group's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntryRow {
    /// The group.
    pub group: GroupId,
    /// In the order of arrival on this hub, from 1.
    pub id: u64,
    /// Its place in the replicated log.
    pub op: OpId,
    /// Its message id, unique on this hub.
    pub msg_id: String,
    /// When, in ms.
    pub ts: u64,
    /// The author's name when it wrote this.
    pub wrote: Name,
    /// The author as it is called now.
    pub from: Member,
    /// A member's message or a system line.
    pub entry_type: GroupEntryType,
    /// It is older than the group's log, and counts whoever its author is.
    pub old: bool,
    /// It does not count: its author was no member at its place. Kept, for that may change.
    pub void: bool,
    /// For texts that were written as operations of the log.
    pub proof: Option<Proof>,
    /// The text.
    pub text: String,
}

/// An entry without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    /// Its id.
    pub id: u64,
    /// Its place in the log.
    pub op: OpId,
    /// The author's name when it wrote this.
    pub wrote: Name,
    /// The author as it is called now.
    pub from: Member,
    /// It is older than the group's log.
    pub old: bool,
    /// It does not count.
    pub void: bool,
}

/// A group as it is loaded at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLoad {
    /// Its row.
    pub row: GroupRow,
    /// Its members.
    pub members: Vec<MemberRow>,
    /// The hubs that have or had members.
    pub hubs: Vec<GroupHubRow>,
    /// The highest entry id, 0 where there is none.
    pub last_id: u64,
}
