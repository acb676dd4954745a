//! The directory: each hub is the only writer of its own entry.

use super::Signable;
use crate::{Bytes, HubId, Name, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a hub says of itself and its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Its human name.
    pub hub_id: HubId,
    /// Its boot counter.
    pub epoch: u64,
    /// Counts the changes within the epoch, from 1.
    pub version: u64,
    /// Multiaddrs it listens on.
    pub addresses: Vec<String>,
    /// Where it can be asked for a place in the mesh, as `ip:port`: by who has a ticket, and by
    /// members that missed a change of the mesh's key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairing: Vec<String>,
    /// The rendezvous servers of the mesh, as far as this hub knows of them; at most
    /// [`crate::limits::RENDEZVOUS_KNOWN`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rendezvous: Vec<RendezvousEntry>,
    /// Its live sessions.
    pub sessions: BTreeMap<Name, SessionEntry>,
}

impl Signable for DirectoryEntry {
    const DOMAIN: &'static str = "ecorelay-directory-1";
}

/// A rendezvous server that a person added or removed. Of two about one address the later counts
/// everywhere; of two of the same time the removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RendezvousEntry {
    /// A multiaddr with `/p2p/…`.
    pub address: String,
    /// When, in ms since 1970.
    pub ts: u64,
    /// It was removed.
    #[serde(default)]
    pub removed: bool,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Which assistant it is.
    pub agent: String,
    /// Its working directory.
    pub cwd: String,
    /// Its git branch.
    pub git_branch: String,
    /// `idle`, `busy` …
    pub state: String,
    /// Registered since, in ms since 1970.
    pub since: u64,
    /// The rooms it is in.
    #[serde(default)]
    pub rooms: Vec<Name>,
}

/// How new an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryVersion {
    /// Whose.
    pub peer: PeerId,
    /// Of which start.
    pub epoch: u64,
    /// Which change.
    pub version: u64,
}

/// A change of the sender's own entry. The signature is over the whole new entry, so that the
/// result can be handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryDelta {
    /// Of which start.
    pub epoch: u64,
    /// The version it changes.
    pub base: u64,
    /// The version it makes.
    pub version: u64,
    /// New or changed sessions.
    pub changed: BTreeMap<Name, SessionEntry>,
    /// Sessions that are gone.
    pub gone: Vec<Name>,
    /// Over the new entry.
    pub signature: Bytes,
}
