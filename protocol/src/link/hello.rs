//! How a link begins.

use super::{EntryVersion, Published, Signable, Signed};
use crate::{Bytes, HubId, PeerId};
use serde::{Deserialize, Serialize};

/// The first frame of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest link version the sender speaks.
    pub oldest: u32,
    /// The newest link version the sender speaks.
    pub newest: u32,
    /// The sender's program version, for people.
    pub software: String,
    /// The sender's [`Binding`], signed by itself.
    pub binding: Signed,
    /// The sender's boot counter: higher after each start.
    pub epoch: u64,
    /// The sender's clock, in ms since 1970.
    pub now: u64,
    /// The first hub of the sender's mesh, where it knows it.
    pub root: Option<PeerId>,
    /// The [`super::Admission`]s that lead from the mesh's first hub to the sender, in that order:
    /// the other side may not have met the hubs between. Empty at the first hub itself.
    #[serde(default)]
    pub admissions: Vec<Signed>,
    /// What the sender can besides; unknown words are skipped.
    #[serde(default)]
    pub features: Vec<String>,
}

/// A hub's human name, bound to its key. Pinned on first sight; the same key may replace it
/// with a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The name.
    pub hub_id: HubId,
    /// Since when, in ms since 1970.
    pub since: u64,
}

impl Signable for Binding {
    const DOMAIN: &'static str = "ecorelay-binding-1";
}

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// For programs.
    pub code: RefuseCode,
    /// For people: what is wrong and what to do.
    pub message: String,
}

/// The reasons, for programs. One that is not known is [`RefuseCode::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefuseCode {
    /// No link version that both speak.
    Version,
    /// Not on the roster.
    NotAdmitted,
    /// Revoked.
    Revoked,
    /// Another mesh.
    OtherMesh,
    /// Another key has this hub id.
    HubIdTaken,
    /// Another machine uses this key at the same time.
    IdentityInUse,
    /// A frame that is not valid, or not in its place.
    BadFrame,
    /// Something newer.
    #[serde(other)]
    Other,
}

/// What a hub has, so that the other can send what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The roster: the [`Signed::digest`] of each entry.
    pub roster: Vec<Bytes>,
    /// The directory entries, the sender's own included; or only some of them.
    pub directory: Vec<EntryVersion>,
    /// These are all: what is missing from the lists, the sender does not have.
    pub whole: bool,
    /// How far the sender has published.
    pub published: Published,
}
