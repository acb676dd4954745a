//! Rooms and broadcasts: what goes over gossip, and how gaps are filled over links.

use crate::Name;
use serde::{Deserialize, Serialize};

/// One room message or broadcast. Its author is the hub that signed the gossip message, or the
/// other end of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The author's boot counter.
    pub epoch: u64,
    /// Its number among the author's publications of this epoch, from 1.
    pub seq: u64,
    /// When, in ms since 1970.
    pub ts: u64,
    /// The session that said it.
    pub from: Name,
    /// The message id, or the broadcast id.
    pub id: String,
    /// What it is.
    pub kind: PublicationKind,
    /// The text; missing where it is too large for gossip and must be asked for.
    pub text: Option<String>,
}

/// What a publication is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicationKind {
    /// Said in a room.
    Room(Name),
    /// A broadcast question.
    Ask,
}

/// How far a hub has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Published {
    /// Its boot counter.
    pub epoch: u64,
    /// Its last number; 0 for none.
    pub seq: u64,
}

/// Asks the author for some of its publications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Of which start.
    pub epoch: u64,
    /// Which ones; at most [`crate::limits::FILL_SEQS`].
    pub seqs: Vec<u64>,
}

/// Publications that were asked for, in full, and those that are no longer kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publications {
    /// Of which start.
    pub epoch: u64,
    /// In full.
    pub items: Vec<Publication>,
    /// No longer kept.
    pub gone: Vec<u64>,
}
