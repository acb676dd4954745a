//! Groups: what is exchanged of their replicated logs.

use super::Signed;
use crate::PeerId;
use serde::{Deserialize, Serialize};

/// How far a hub has the log of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVersions {
    /// The group's id, the same on every hub.
    pub group: String,
    /// Per author; an author that is missing is at 0.
    pub authors: Vec<GroupVersion>,
}

/// How far a hub has one author's part of a group's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupVersion {
    /// The hub that wrote it.
    pub author: PeerId,
    /// The last of its changes of the membership, from 1, without gap.
    pub changes: u64,
    /// The last of its texts, from 1; those that are no longer kept count as had.
    pub texts: u64,
}

/// A part of a group's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOps {
    /// The group's id.
    pub group: String,
    /// Operations, each signed by the hub that wrote it: an author's changes in the order of
    /// their numbers, and so its texts.
    pub ops: Vec<Signed>,
    /// The first text of these authors that the sender still keeps, where the receiver lacks
    /// texts before it.
    #[serde(default)]
    pub kept: Vec<(PeerId, u64)>,
    /// The sender has more that the receiver lacks, and waits for its [`GroupVersions`].
    #[serde(default)]
    pub more: bool,
}
