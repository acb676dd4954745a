//! Giving another hub a place in the mesh. What it is given counts once it has stored it: only
//! then is its admission stored here.

use super::attempts::{Attempt, Stage, hub_id_taken, no, not_member, ticket_of};
use super::{AttemptId, Hub};
use crate::Store;
use crate::hub::{Done, Turn};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::{Admission, Binding, Signed};
use ecorelay_protocol::pairing::{Bundle, Method, PairingCode as Why, Word};

/// Hubs whose addresses are in a bundle; of others it is heard later.
const HUBS: usize = 128;
/// Addresses of each.
const ADDRESSES: usize = 8;

impl Hub {
    /// Gives the other hub a place; makes the mesh if there is none.
    pub(super) fn give(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) -> Done {
        let Some(attempt) = self.pairing.attempts.get(&id) else {
            return Ok(());
        };
        let (peer, method) = (attempt.peer.clone(), attempt.method.clone());
        let stands = self.still_stands(attempt);
        let Some(theirs) = attempt.theirs.clone() else {
            return Ok(());
        };
        if !stands {
            let refuse = no(Why::OtherMesh, "The hub came into another mesh meanwhile.");
            return self.refuse_attempt(t, id, refuse);
        }
        if self.holds_name(&theirs.hub_id, &peer) {
            let refuse = hub_id_taken(&theirs.hub_id, "Another hub of the mesh is called");
            return self.refuse_attempt(t, id, refuse);
        }
        if self.mesh.is_revoked(&peer) {
            return self.refuse_attempt(t, id, not_member());
        }
        let known = self.mesh.is_member(&peer);
        if method == Method::Member && !known {
            return self.refuse_attempt(t, id, not_member());
        }
        if !known && self.mesh.is_full() {
            let refuse = no(Why::Other, "The mesh has as many hubs as it can have.");
            return self.refuse_attempt(t, id, refuse);
        }
        let ticket = ticket_of(&method);
        if let Some(ticket) = ticket
            && let Err(refuse) = self.hand_out(t, ticket, &peer)?
        {
            return self.refuse_attempt(t, id, refuse);
        }
        let created = self.mesh.root().is_none();
        if created {
            self.create_mesh(t)?;
        }
        let admission = match (&self.mesh.row, known) {
            (Some(row), false) => {
                let admission = Admission {
                    root: row.root.clone(),
                    subject: peer.clone(),
                    ts: t.now,
                    revoked: false,
                    ticket: ticket.cloned(),
                    keeps: Vec::new(),
                };
                let me = self.keys.peer_id().clone();
                let signed = Signed::new(me, &admission, |m| self.keys.sign(m));
                Some(Box::new((admission, signed)))
            }
            _ => None,
        };
        let given = admission.as_ref().map(|admission| admission.1.clone());
        let Some(bundle) = self.bundle(given) else {
            return Ok(());
        };
        if let Some(attempt) = self.pairing.attempts.get_mut(&id) {
            attempt.stage = Stage::Giving(admission);
            attempt.created = created;
        }
        self.say(t, id, Word::Bundle(Box::new(bundle)));
        Ok(())
    }

    /// Returns what a hub needs to belong to the mesh.
    fn bundle(&self, admission: Option<Signed>) -> Option<Bundle> {
        let row = self.mesh.row.as_ref()?;
        let mut roster = self.mesh.roster_entries();
        roster.extend(admission);
        let me = self.keys.peer_id().clone();
        let mut hubs = vec![(me.clone(), self.mesh.listening().to_vec())];
        // Those that are linked now are there.
        let mut others: Vec<(bool, &PeerId, &[String])> = self.mesh.places().collect();
        others.sort_by_key(|(linked, ..)| !linked);
        let others = others.into_iter().take(HUBS);
        hubs.extend(others.map(|(_, peer, addresses)| {
            let addresses = addresses.iter().take(ADDRESSES);
            (peer.clone(), addresses.cloned().collect())
        }));
        Some(Bundle {
            psk: row.psk.clone(),
            generation: row.generation,
            rekey: row.rekey.clone(),
            root: row.root.clone(),
            giver: me,
            hub_id: self.config.hub_id.clone(),
            roster,
            hubs,
            rendezvous: self.rendezvous_servers(),
            merged: row.merged.clone(),
        })
    }

    /// The other hub has its place on disk.
    pub(super) fn taken(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) -> Done {
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return Ok(());
        };
        let Stage::Giving(admission) = &mut attempt.stage else {
            return Ok(());
        };
        let (admission, peer) = (admission.take(), attempt.peer.clone());
        let name = attempt.theirs.as_ref().map(|theirs| theirs.hub_id.clone());
        // It may have come over a link before this word.
        if let Some(admission) = admission.filter(|_| !self.mesh.is_member(&peer)) {
            self.add_admission(t, admission.0, admission.1)?;
        }
        if let Some(hub_id) = name
            && self.mesh.hub_id(&peer).is_none()
        {
            self.pin(t, &peer, Binding { hub_id, since: 0 }, "", 0);
            self.save_hubs(t)?;
        }
        self.stop_joining(t)?;
        let renewed = |attempt: &Attempt| attempt.method == Method::Member;
        if self.pairing.attempts.get(&id).is_some_and(renewed) {
            self.asked_in_turn(t, &peer);
        }
        self.peers_changed(t);
        self.say(t, id, Word::Done);
        self.paired(t, id);
        Ok(())
    }
}
