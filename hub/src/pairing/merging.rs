//! Two meshes become one: a hub that comes into another mesh brings the hubs of its own.
//!
//! It admits them there, all in the batch in which it takes its own place. Its links with them end
//! with the old key; who finds that out asks at its pairing listener, as after a change of the key
//! that was missed, and hears that the mesh was merged and into which. A hub comes along only at
//! the word of a member of its own mesh, whose key is proven: the same trust by which any member
//! may admit and revoke.

use super::Hub;
use super::attempts::{Attempt, no};
use crate::Store;
use crate::hub::Turn;
use crate::mesh::{Along, Roster};
use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::pairing::{Bundle, Method, PairingCode as Why, PairingRefuse};
use ecorelay_protocol::{PeerId, limits};

/// Meshes that are remembered as merged; the oldest are forgotten.
const MERGED: usize = 32;

impl Hub {
    /// Returns whether a member of this hub's mesh says that the mesh was merged into another.
    pub(super) fn may_come_along(&self, attempt: &Attempt, bundle: &Bundle) -> bool {
        let root = self.mesh.root();
        attempt.method == Method::Member
            && root != Some(&bundle.root)
            && root.is_some_and(|root| bundle.merged.contains(root))
            && self.mesh.is_member(&attempt.peer)
    }

    /// Returns this hub's admissions of the hubs of its mesh to the mesh of the bundle.
    pub(super) fn bring(
        &self,
        now: u64,
        bundle: &Bundle,
    ) -> Result<Vec<(Admission, Signed)>, PairingRefuse> {
        let theirs = Roster::load(Some(&bundle.root), &bundle.roster);
        let members = self.mesh.members();
        let brought: Vec<&PeerId> = members
            .filter(|peer| !theirs.is_member(peer) && !theirs.is_revoked(peer))
            .collect();
        if theirs.len() + brought.len() > limits::HUBS {
            return Err(no(
                Why::Other,
                "Together the two meshes have more hubs than one can have.",
            ));
        }
        let me = self.keys.peer_id();
        let admit = |peer: &PeerId| {
            let admission = Admission {
                root: bundle.root.clone(),
                subject: peer.clone(),
                ts: now,
                revoked: false,
                ticket: None,
                keeps: Vec::new(),
            };
            let signed = Signed::new(me.clone(), &admission, |m| self.keys.sign(m));
            (admission, signed)
        };
        Ok(brought.into_iter().map(admit).collect())
    }

    /// Returns what stays of this hub's mesh when it comes into the one of the bundle with the
    /// others.
    pub(super) fn taken_along(&self, bundle: &Bundle) -> Option<Along> {
        let row = self.mesh.row.as_ref()?;
        let mut merged = vec![row.root.clone()];
        for root in row.merged.iter().chain(&bundle.merged) {
            if !merged.contains(root) && *root != bundle.root {
                merged.push(root.clone());
            }
        }
        merged.truncate(MERGED);
        let places = self.mesh.places();
        Some(Along {
            merged,
            keys: self.mesh.keys(),
            hints: places
                .map(|(_, peer, addresses)| (peer.clone(), addresses.to_vec()))
                .filter(|(_, addresses)| !addresses.is_empty())
                .collect(),
        })
    }

    /// Tells the person of this machine that its hub came along with another.
    pub(super) fn tell_came_along(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) {
        let name = self.hub_name(peer);
        let message = format!(
            "{name}, a hub of this machine's mesh, has merged it with another mesh, and this hub came along."
        );
        let remedy = "Look who is in it now: ecorelay hubs. Whom you do not want in it you revoke: ecorelay hubs revoke HUB";
        self.raise_trouble(t.now, "mesh_merged", peer, message, remedy);
        self.status_shown(t);
    }
}
