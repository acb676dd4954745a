//! Who belongs to the mesh: a chain of signed admissions from its first hub.

use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::mesh::links::Stage;
use crate::{Effect, Hub, MeshEffect, Store, Write};
use ecorelay_protocol::link::{Admission, Frame, Refuse, RefuseCode, Signed};
use ecorelay_protocol::{PeerId, from_cbor, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Roster entries of one frame.
const CHUNK: usize = 64;

/// The roster with what follows from it.
#[derive(Debug, Default)]
pub(super) struct Roster {
    root: Option<PeerId>,
    entries: BTreeMap<(PeerId, bool), (Admission, Signed)>,
    /// Everyone the chain of admissions reaches.
    admitted: BTreeSet<PeerId>,
    revoked: BTreeSet<PeerId>,
}

impl Roster {
    /// Returns the roster that was stored; its signatures were checked before that.
    pub(super) fn load(root: Option<&PeerId>, stored: &[Signed]) -> Self {
        let mut roster = Self {
            root: root.cloned(),
            ..Self::default()
        };
        for signed in stored {
            if let Ok(admission) = from_cbor::<Admission>(&signed.payload.0) {
                roster.put(admission, signed.clone());
            }
        }
        roster.derive();
        roster
    }

    pub(super) fn is_member(&self, peer: &PeerId) -> bool {
        self.admitted.contains(peer) && !self.revoked.contains(peer)
    }

    pub(super) fn is_revoked(&self, peer: &PeerId) -> bool {
        self.revoked.contains(peer)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &PeerId> {
        self.admitted.difference(&self.revoked)
    }

    pub(super) fn revoked(&self) -> impl Iterator<Item = &PeerId> {
        self.revoked.iter()
    }

    /// Returns about whom there are entries, and whether they revoke.
    pub(super) fn keys(&self) -> Vec<(PeerId, bool)> {
        self.entries.keys().cloned().collect()
    }

    /// Returns the admissions that lead from the first hub of the mesh to this one, in that order.
    pub(super) fn chain(&self, peer: &PeerId) -> Vec<Signed> {
        let mut chain = Vec::new();
        let mut at = peer;
        while self.root.as_ref() != Some(at)
            && chain.len() < CHUNK
            && let Some((_, signed)) = self.entries.get(&(at.clone(), false))
        {
            chain.push(signed.clone());
            at = &signed.by;
        }
        chain.reverse();
        chain
    }

    /// Returns the entries that are not in `keys`, each behind the admission of its author: they
    /// go out in several frames, and count only in that order.
    pub(super) fn missing(&self, keys: &[(PeerId, bool)]) -> Vec<Signed> {
        let keys: BTreeSet<_> = keys.iter().collect();
        let mut known: BTreeSet<&PeerId> = self.root.iter().collect();
        let mut left: Vec<_> = self.entries.iter().collect();
        let mut missing = Vec::new();
        loop {
            let before = left.len();
            left.retain(|(key, (_, signed))| {
                let counts = known.contains(&signed.by);
                if counts {
                    if !key.1 {
                        known.insert(&key.0);
                    }
                    if !keys.contains(key) {
                        missing.push(signed.clone());
                    }
                }
                !counts
            });
            if left.is_empty() || left.len() == before {
                return missing;
            }
        }
    }

    fn put(&mut self, admission: Admission, signed: Signed) {
        let key = (admission.subject.clone(), admission.revoked);
        self.entries.insert(key, (admission, signed));
    }

    /// Works out who is admitted and who is revoked; entries that count for nothing are dropped.
    fn derive(&mut self) {
        self.admitted = self.root.iter().cloned().collect();
        loop {
            let reached: Vec<PeerId> = self
                .entries
                .values()
                .filter(|(a, signed)| {
                    !a.revoked
                        && self.admitted.contains(&signed.by)
                        && !self.admitted.contains(&a.subject)
                })
                .map(|(a, _)| a.subject.clone())
                .collect();
            if reached.is_empty() {
                break;
            }
            self.admitted.extend(reached);
        }
        let admitted = &self.admitted;
        self.entries
            .retain(|_, (_, signed)| admitted.contains(&signed.by));
        let revoked = self.entries.keys().filter(|(_, revoked)| *revoked);
        self.revoked = revoked.map(|(subject, _)| subject.clone()).collect();
    }
}

impl Hub {
    /// Makes a roster entry in this hub's name and spreads it.
    pub(super) fn make_admission(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        admission: Admission,
    ) -> Done<Signed> {
        let keys = &self.keys;
        let signed = Signed::new(keys.peer_id().clone(), &admission, |m| keys.sign(m));
        self.put_admission(t, admission, signed.clone())?;
        self.spread_roster(t, None, vec![signed.clone()]);
        Ok(signed)
    }

    fn put_admission(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        admission: Admission,
        signed: Signed,
    ) -> Done {
        self.write(
            t,
            Write::PutRoster {
                subject: admission.subject.clone(),
                revoked: admission.revoked,
                entry: Box::new(signed.clone()),
            },
        )?;
        self.mesh.roster.root = self.mesh.row.as_ref().map(|row| row.root.clone());
        self.mesh.roster.put(admission, signed);
        self.mesh.roster.derive();
        self.peers_changed(t);
        Ok(())
    }

    /// Takes in roster entries; those that are not valid are skipped.
    pub(super) fn take_roster(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: LinkId,
        entries: Vec<Signed>,
    ) -> Done {
        if entries.len() > CHUNK {
            self.bad_frame(t, from, "more roster entries than fit a frame");
            return Ok(());
        }
        let Some(root) = self.mesh.row.as_ref().map(|row| row.root.clone()) else {
            return Ok(());
        };
        let mut waiting: Vec<(Admission, Signed)> = Vec::new();
        for signed in entries {
            let keys = &self.keys;
            let opened = signed.open::<Admission>(|by, m, s| keys.verify(by, m, s));
            match opened {
                Ok(admission) if admission.root == root => waiting.push((admission, signed)),
                Ok(_) => {}
                Err(_) => {
                    self.bad_frame(t, from, "a roster entry that its author did not sign");
                    return Ok(());
                }
            }
        }
        let mut fresh = Vec::new();
        // An entry counts once the hub that signed it does, in whatever order they come.
        loop {
            let before = waiting.len();
            for (admission, signed) in std::mem::take(&mut waiting) {
                let key = (admission.subject.clone(), admission.revoked);
                if self.mesh.roster.entries.contains_key(&key) {
                    continue;
                }
                let counts = self.mesh.roster.admitted.contains(&signed.by) || signed.by == root;
                if !counts {
                    waiting.push((admission, signed));
                } else if self.mesh.roster.entries.len() < 2 * limits::HUBS {
                    fresh.push(signed.clone());
                    self.put_admission(t, admission, signed)?;
                }
            }
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        if !fresh.is_empty() {
            self.spread_roster(t, Some(from), fresh);
            self.membership_changed(t)?;
        }
        Ok(())
    }

    /// Sends roster entries to every hub that said hello but the one they came from.
    fn spread_roster(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: Option<LinkId>,
        entries: Vec<Signed>,
    ) {
        // Also to those that wait for exactly this.
        let greeted = |stage| matches!(stage, Stage::Joining | Stage::Accepted);
        let links = self.mesh.links.iter();
        let links: Vec<LinkId> = links
            .filter(|(_, entry)| greeted(entry.stage))
            .map(|(link, _)| *link)
            .collect();
        for link in links.into_iter().filter(|link| Some(*link) != from) {
            send_roster(t, link, entries.clone());
        }
    }

    /// Looks at every link again: hubs may have been admitted or revoked.
    fn membership_changed(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.mesh.is_admitted()
            && let Some(row) = &mut self.mesh.row
            && row.ticket.take().is_some()
        {
            self.mesh.row_changed = true;
            self.save_mesh(t)?;
            self.mesh.troubles.over("not_admitted");
        }
        if self.mesh.is_admitted() {
            // Whoever was met on the way in and does not belong to the mesh.
            let mesh = &mut self.mesh;
            let roster = &mesh.roster;
            let linked: BTreeSet<&PeerId> = mesh.links.values().map(|link| &link.peer).collect();
            mesh.hubs.retain(|peer, known| {
                // One that said hello may be admitted yet.
                roster.is_member(peer) || known.row.last_seen > 0 || linked.contains(peer)
            });
        }
        self.peers_changed(t);
        let links: Vec<(LinkId, PeerId)> = self
            .mesh
            .links
            .iter()
            .map(|(link, entry)| (*link, entry.peer.clone()))
            .collect();
        for (link, peer) in links {
            if self.mesh.roster.is_revoked(&peer) {
                self.refuse_link(t, link, revoked());
            } else {
                self.accept_waiting(t, link)?;
            }
        }
        self.status_changed(t);
        Ok(())
    }
}

pub(super) fn revoked() -> Refuse {
    Refuse {
        code: RefuseCode::Revoked,
        message: "This hub's key was revoked: the other hubs no longer talk to it.".into(),
    }
}

/// Sends roster entries to one hub.
pub(super) fn send_roster(t: &mut Turn<'_, impl Store>, link: LinkId, entries: Vec<Signed>) {
    for chunk in entries.chunks(CHUNK) {
        t.effects.frame_after(link, &Frame::Roster(chunk.to_vec()));
    }
}

/// Closes a link.
pub(super) fn close(t: &mut Turn<'_, impl Store>, link: LinkId) {
    t.effects
        .after
        .push(Effect::Mesh(MeshEffect::Close { link }));
}
