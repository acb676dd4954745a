//! Who belongs to the mesh: roster entries that are made here, come in and are handed on.

use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::mesh::links::Stage;
use crate::mesh::membership::{Added, CHUNK};
use crate::{Effect, Hub, MeshEffect, Store, Write};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::{Admission, Frame, Refuse, RefuseCode, Signed};
use std::collections::BTreeSet;

impl Hub {
    /// Makes a roster entry in this hub's name and spreads it.
    pub(super) fn make_admission(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        admission: Admission,
    ) -> Done<Signed> {
        let keys = &self.keys;
        let signed = Signed::new(keys.peer_id().clone(), &admission, |m| keys.sign(m));
        self.put_roster(t, vec![(admission, signed.clone())])?;
        self.spread_roster(t, None, vec![signed.clone()]);
        Ok(signed)
    }

    /// Takes in an admission that this hub made before, and spreads it.
    pub(crate) fn add_admission(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        admission: Admission,
        signed: Signed,
    ) -> Done {
        let fresh = self.put_roster(t, vec![(admission, signed)])?;
        self.spread_roster(t, None, fresh);
        self.membership_changed(t)
    }

    /// Adds entries of this mesh whose signatures were checked, in whatever order they are, and
    /// returns those that are new.
    pub(super) fn put_roster(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        entries: Vec<(Admission, Signed)>,
    ) -> Done<Vec<Signed>> {
        let (mut waiting, mut fresh) = (entries, Vec::new());
        // An entry counts once the hub that signed it is known, in whatever order they come.
        loop {
            let before = waiting.len();
            for (admission, signed) in std::mem::take(&mut waiting) {
                match self.add_roster_entry(t, &admission, &signed)? {
                    Added::Fresh => fresh.push(signed),
                    Added::Unknown => waiting.push((admission, signed)),
                    Added::Known | Added::Full => {}
                }
            }
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        if !fresh.is_empty() {
            self.mesh.roster.derive();
            self.peers_changed(t);
        }
        Ok(fresh)
    }

    fn add_roster_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        admission: &Admission,
        signed: &Signed,
    ) -> Done<Added> {
        let roster = &mut self.mesh.roster;
        let mut added = roster.add(admission.clone(), signed.clone());
        if added == Added::Full {
            for (subject, revoked, by) in self.mesh.roster.drop_void() {
                let write = Write::DeleteRoster {
                    subject,
                    revoked,
                    by,
                };
                self.write(t, write)?;
            }
            let roster = &mut self.mesh.roster;
            added = roster.add(admission.clone(), signed.clone());
        }
        if added == Added::Fresh {
            let write = Write::PutRoster {
                subject: admission.subject.clone(),
                revoked: admission.revoked,
                entry: Box::new(signed.clone()),
            };
            self.write(t, write)?;
        }
        Ok(added)
    }

    /// Returns the entries of this mesh among these, or `None` if one is not signed by its
    /// author.
    pub(super) fn open_roster(&self, entries: Vec<Signed>) -> Option<Vec<(Admission, Signed)>> {
        let root = self.mesh.row.as_ref().map(|row| &row.root);
        let mut opened = Vec::new();
        for signed in entries {
            if self.mesh.roster.contains(&signed.digest()) {
                continue;
            }
            let keys = &self.keys;
            let admission = signed.open::<Admission>(|by, m, s| keys.verify(by, m, s));
            let admission = admission.ok()?;
            if Some(&admission.root) == root {
                opened.push((admission, signed));
            }
        }
        Some(opened)
    }

    /// Takes in the roster of a member; returns whether every entry is signed by its author.
    pub(crate) fn merge_roster(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        entries: Vec<Signed>,
    ) -> Done<bool> {
        let Some(opened) = self.open_roster(entries) else {
            return Ok(false);
        };
        let fresh = self.put_roster(t, opened)?;
        if !fresh.is_empty() {
            self.spread_roster(t, None, fresh);
            self.membership_changed(t)?;
        }
        Ok(true)
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
        if self.mesh.row.is_none() {
            return Ok(());
        }
        let Some(mut opened) = self.open_roster(entries) else {
            self.bad_frame(t, from, "a roster entry that its author did not sign");
            return Ok(());
        };
        let accepted = |link: &super::Link| link.stage == Stage::Accepted;
        if !self.mesh.links.get(&from).is_some_and(accepted) {
            // A stranger may show how it was let in, and not fill the roster with what a revoked
            // hub signs for it.
            let roster = &self.mesh.roster;
            opened.retain(|(admission, signed)| !roster.is_void(admission, &signed.by));
        }
        let fresh = self.put_roster(t, opened)?;
        if !fresh.is_empty() {
            self.spread_roster(t, Some(from), fresh);
            self.membership_changed(t)?;
        }
        Ok(())
    }

    /// Sends roster entries to every hub that said hello but the one they came from.
    pub(super) fn spread_roster(
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
    pub(super) fn membership_changed(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
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
        self.revocations_followed(t)?;
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
