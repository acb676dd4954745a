//! Who belongs to the mesh.

use super::Signable;
use crate::{Bytes, PeerId, Psk};
use serde::{Deserialize, Serialize};

/// A roster entry: a hub of the mesh admits another, or revokes it. Signed by the hub that does.
/// The chain of admissions begins at the mesh's first hub, which admits itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The first hub of the mesh.
    pub root: PeerId,
    /// The hub it is about.
    pub subject: PeerId,
    /// When, in ms since 1970.
    pub ts: u64,
    /// Revoked; wins over every admission.
    pub revoked: bool,
    /// The ticket that was shown.
    #[serde(default)]
    pub ticket: Option<Bytes>,
    /// Of a revocation: the hubs that the subject had admitted and that stay. Its other
    /// admissions count for nothing. At most [`crate::limits::HUBS`].
    #[serde(default)]
    pub keeps: Vec<PeerId>,
}

impl Signable for Admission {
    const DOMAIN: &'static str = "ecorelay-roster-1";
}

/// A new key of the mesh, made when a hub was revoked. Signed by the hub that made it, and only
/// told on links to hubs that belong to the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekey {
    /// The first hub of the mesh.
    pub root: PeerId,
    /// How often the key was changed with this one; the highest counts.
    pub generation: u64,
    /// The key.
    pub psk: Psk,
    /// When, in ms since 1970.
    pub ts: u64,
    /// The revoked hubs that its maker knew of: who is not among them may have the key.
    #[serde(default)]
    pub revoked: Vec<PeerId>,
}

impl Signable for Rekey {
    const DOMAIN: &'static str = "ecorelay-rekey-1";
}
