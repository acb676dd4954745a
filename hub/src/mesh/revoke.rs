//! Revoking a hub, and what follows from it here.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, Store};
use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::{ErrorCode, HubLine, PeerId, Refusal};
use std::collections::BTreeSet;

/// A command that revokes waits this long for word that other hubs have the new key, in ms.
const ANSWER_MS: u64 = 3_500;
/// Commands that wait for that.
const WAITING: usize = 64;

/// A command that waits until the new key is handed on.
#[derive(Debug)]
pub(super) struct WaitingRevoke {
    pub(super) caller: Caller,
    peer: PeerId,
    pub(super) deadline: u64,
}

impl Hub {
    /// Takes a hub out of the mesh, in this hub's name.
    pub(super) fn revoke_hub(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        peer: &PeerId,
    ) -> Done {
        let root = match &self.mesh.row {
            Some(row) if self.mesh.is_admitted() => row.root.clone(),
            _ => {
                return refuse(
                    ErrorCode::NotMember,
                    "This hub does not belong to a mesh (any more); it cannot revoke others.",
                );
            }
        };
        if *peer == self.mesh.me {
            return refuse(
                ErrorCode::BadArgs,
                "A hub does not revoke itself. Revoke this one on another hub of the mesh: ecorelay hubs revoke",
            );
        }
        let name = self.hub_name(peer);
        let roster = &self.mesh.roster;
        if !roster.is_member(peer) && !roster.is_revoked(peer) {
            return refuse(
                ErrorCode::PeerNotFound,
                format!("The hub {name} does not belong to this mesh."),
            );
        }
        if roster.is_member(peer) {
            // What it had revoked must go on counting.
            let taken_over = roster.revoked_by(peer).map(|s| (s.clone(), roster.kept(s)));
            let mut entries: Vec<(PeerId, Vec<PeerId>)> = taken_over.collect();
            let keeps = roster.admitted_by(peer).cloned().collect();
            entries.push((peer.clone(), keeps));
            let entries = entries.into_iter().map(|(subject, keeps)| {
                let admission = Admission {
                    root: root.clone(),
                    subject,
                    ts: t.now,
                    revoked: true,
                    ticket: None,
                    keeps,
                };
                let sign = |m: &[u8]| self.keys.sign(m);
                let signed = Signed::new(self.mesh.me.clone(), &admission, sign);
                (admission, signed)
            });
            let entries = entries.collect();
            let fresh = self.put_roster(t, entries)?;
            if !self.mesh.roster.is_revoked(peer) {
                return refuse(
                    ErrorCode::Unexpected,
                    "The roster of the mesh is full; nothing was changed.",
                );
            }
            self.spread_roster(t, None, fresh);
            self.membership_changed(t)?;
        }
        let waiting = WaitingRevoke {
            caller: caller.clone(),
            peer: peer.clone(),
            deadline: t.now + ANSWER_MS,
        };
        if self.mesh.change_due.is_some() && self.mesh.revokes.len() < WAITING {
            self.mesh.revokes.push(waiting);
        } else {
            let holders = self.mesh.linked().map(|(peer, ..)| peer.clone()).collect();
            self.answer_revoke(t, &waiting, &holders);
        }
        Ok(())
    }

    /// Answers those who wait to hear who has the new key.
    pub(super) fn answer_revokes(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        holders: &BTreeSet<PeerId>,
    ) {
        for waiting in std::mem::take(&mut self.mesh.revokes) {
            self.answer_revoke(t, &waiting, holders);
        }
    }

    fn answer_revoke(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        waiting: &WaitingRevoke,
        holders: &BTreeSet<PeerId>,
    ) {
        let others = || self.mesh.roster.members().filter(|p| **p != self.mesh.me);
        let missing = others().filter(|peer| !holders.contains(*peer));
        let missing: Vec<String> = missing.map(|peer| self.hub_name(peer)).collect();
        let hubs = others().count() + 1;
        let line = HubLine::HubResult {
            hub_id: self.hub_name(&waiting.peer),
            peer_id: waiting.peer.to_string(),
            have: hubs - missing.len(),
            hubs,
            missing,
            req_id: None,
        };
        self.answer(t, &waiting.caller, line);
    }

    pub(super) fn revoke_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        self.key_progress(t);
        if self.mesh.revokes.iter().any(|r| r.deadline <= t.now) {
            self.answer_revokes(t, &BTreeSet::new());
        }
    }

    /// Does what follows from the revocations that count now.
    pub(super) fn revocations_followed(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let revoked: Vec<PeerId> = self.mesh.roster.revoked().cloned().collect();
        for peer in &revoked {
            self.mesh.publishing.forget(peer);
            self.give_up_outbox(t, peer)?;
        }
        self.warn_of_revocations(t);
        self.remove_revoked_members(t)?;
        self.shut_out_revoked(t)
    }

    /// Gives up what waits for a hub that was revoked, and tells the senders.
    fn give_up_outbox(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> Done {
        let waits = |hub: &Self| hub.mesh.outboxes.get(peer).is_some_and(|o| o.waiting > 0);
        if !waits(self) {
            return Ok(());
        }
        self.flush_lazy(t)?;
        let name = self.hub_name(peer);
        loop {
            let rows = t
                .store
                .outbox(peer, 0, 64, ecorelay_protocol::limits::WINDOW_BYTES)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let may = match self.mesh.may_be_there(peer, row.seq) {
                    true => " Whether it had arrived by then is not known.",
                    false => "",
                };
                let why = format!("the hub {name} was revoked.{may}");
                let refusal = Refusal::new(
                    ErrorCode::PeerNotFound,
                    format!("\"{}\" was given up: {why}", row.to),
                );
                self.give_up(t, peer, &row, &why, Some(refusal))?;
            }
        }
    }

    fn warn_of_revocations(&mut self, t: &mut Turn<'_, impl Store>) {
        self.mesh.troubles.over("revocation_overruled");
        let overruled = self.mesh.roster.overruled();
        let overruled: Vec<(PeerId, PeerId)> =
            overruled.map(|(a, b)| (a.clone(), b.clone())).collect();
        for (by, subject) in overruled {
            let (by, name) = (self.hub_name(&by), self.hub_name(&subject));
            self.mesh.troubles.raise(
                "revocation_overruled",
                subject.as_str(),
                format!("{by} had revoked {name}, but was revoked itself: {name} still belongs to the mesh."),
                &format!("If {name} is to be out: ecorelay hubs revoke {name}"),
                t.now,
            );
        }
        if self.mesh.roster.is_revoked(&self.mesh.me) {
            self.mesh.troubles.raise(
                "revoked",
                "",
                "This hub was revoked: the other hubs of the mesh no longer talk to it.",
                "To take part again it needs a new key: stop the hub, move identity.key, mesh.key and relay.db away, and pair anew: ecorelay pair",
                t.now,
            );
            // That may be overruled.
            self.doubt_all(t.now);
        } else {
            self.mesh.troubles.over_for("revoked", "");
        }
    }
}
