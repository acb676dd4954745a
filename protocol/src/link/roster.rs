//! Who belongs to the mesh.

use super::Signable;
use crate::{Bytes, PeerId};
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
}

impl Signable for Admission {
    const DOMAIN: &'static str = "ecorelay-roster-1";
}

/// What a ticket proves: that a hub of the mesh invites whoever shows it. Signed by that hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaim {
    /// The first hub of the mesh.
    pub root: PeerId,
    /// 16 random bytes.
    pub id: Bytes,
    /// When it ends, in ms since 1970.
    pub expires: u64,
}

impl Signable for TicketClaim {
    const DOMAIN: &'static str = "ecorelay-ticket-1";
}
