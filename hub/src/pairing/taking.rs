//! Taking a place in another hub's mesh: everything in one batch, which decides.

use super::attempts::{Attempt, Stage, hub_id_taken, no, not_member};
use super::{AttemptId, Hub};
use crate::Store;
use crate::hub::{Done, Turn};
use crate::mesh::{NewPlace, Roster};
use ecorelay_protocol::link::{Admission, Binding, Rekey, Signed};
use ecorelay_protocol::pairing::{Bundle, Method, PairingCode as Why, PairingRefuse, Word};
use ecorelay_protocol::{PeerId, limits};

/// Addresses of one hub that are believed.
const ADDRESSES: usize = 16;

impl Hub {
    pub(super) fn take(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        bundle: Bundle,
    ) -> Done {
        let Some(attempt) = self.pairing.attempts.get(&id) else {
            return Ok(());
        };
        let merges = attempt.merges || self.may_come_along(attempt, &bundle);
        if attempt.method == Method::Member && !merges {
            return self.renew(t, id, bundle);
        }
        let mut roster = match self.check_bundle(attempt, &bundle) {
            Ok(roster) => roster,
            Err(refuse) => return self.refuse_attempt(t, id, refuse),
        };
        let peer = attempt.peer.clone();
        if attempt.merges {
            match self.bring(t.now, &bundle) {
                Ok(brought) => roster.extend(brought),
                Err(refuse) => return self.refuse_attempt(t, id, refuse),
            }
        }
        // Servers that were added before there was a mesh stay; so do those at which hubs that
        // come along are found.
        let keep_servers = self.mesh.row.is_none() || !self.mesh.has_others() || merges;
        let along = merges.then(|| self.taken_along(&bundle)).flatten();
        let came_along = merges && attempt.method == Method::Member;
        let place = NewPlace {
            root: bundle.root,
            psk: bundle.psk,
            generation: bundle.generation,
            rekey: bundle.rekey,
            roster,
            hints: hints(bundle.hubs),
            along,
        };
        self.come_in(t, place)?;
        if came_along {
            self.tell_came_along(t, &peer);
        }
        if self.mesh.hub_id(&peer).is_none() {
            let hub_id = bundle.hub_id;
            self.pin(t, &peer, Binding { hub_id, since: 0 }, "", 0);
            self.save_hubs(t)?;
        }
        self.forget_foreign_tickets(t)?;
        self.adopt_rendezvous(t, &bundle.rendezvous, keep_servers)?;
        if let Some(attempt) = self.pairing.attempts.get_mut(&id) {
            attempt.stage = Stage::Took;
        }
        self.stop_joining(t)?;
        self.say(t, id, Word::Taken);
        Ok(())
    }

    /// Returns the roster of a bundle if the bundle gives this hub the place that was agreed on.
    fn check_bundle(
        &self,
        attempt: &Attempt,
        bundle: &Bundle,
    ) -> Result<Vec<(Admission, Signed)>, PairingRefuse> {
        let bad = |message: &str| no(Why::BadMessage, message);
        let me = self.keys.peer_id();
        let agreed = attempt
            .theirs
            .as_ref()
            .and_then(|theirs| theirs.root.as_ref());
        if bundle.giver != attempt.peer || *agreed.unwrap_or(&attempt.peer) != bundle.root {
            return Err(bad("This is not the mesh that was agreed on."));
        }
        let leaves_others = self.mesh.root() != Some(&bundle.root)
            && self.mesh.has_others()
            && attempt.leaves.is_none()
            && !self.may_come_along(attempt, bundle);
        if leaves_others || !self.still_stands(attempt) {
            return Err(no(
                Why::OtherMesh,
                "This hub came into another mesh meanwhile.",
            ));
        }
        if bundle.hub_id == self.config.hub_id {
            return Err(hub_id_taken(&bundle.hub_id, "Both hubs are called"));
        }
        if bundle.roster.len() > 2 * limits::ROSTER || bundle.hubs.len() > limits::HUBS {
            return Err(bad("This is larger than a mesh can be."));
        }
        let mut entries = Vec::new();
        for signed in &bundle.roster {
            let keys = &self.keys;
            match signed.open::<Admission>(|by, m, s| keys.verify(by, m, s)) {
                Ok(admission) if admission.root == bundle.root => {
                    entries.push((admission, signed.clone()));
                }
                _ => return Err(bad("An entry of the roster is not signed by its author.")),
            }
        }
        if let Some(signed) = &bundle.rekey {
            let keys = &self.keys;
            let rekey = signed.open::<Rekey>(|by, m, s| keys.verify(by, m, s)).ok();
            if rekey.is_none_or(|rekey| rekey.psk != bundle.psk) {
                return Err(bad("This is not the key that its maker signed."));
            }
        }
        let roster = Roster::load(Some(&bundle.root), &bundle.roster);
        if roster.is_revoked(me) {
            return Err(not_member());
        }
        if !roster.is_member(me) || !roster.is_member(&bundle.giver) {
            return Err(bad("The roster does not lead to both hubs."));
        }
        Ok(entries)
    }
}

fn hints(mut hubs: Vec<(PeerId, Vec<String>)>) -> Vec<(PeerId, Vec<String>)> {
    for (_, addresses) in &mut hubs {
        addresses.truncate(ADDRESSES);
        addresses.retain(|address| address.len() <= limits::MULTIADDR_CHARS);
    }
    hubs.retain(|(_, addresses)| !addresses.is_empty());
    hubs
}
