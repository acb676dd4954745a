//! Changes of the mesh's key: made when a hub is revoked, stored, handed on, and only then used.
//!
//! The newest key is in [`crate::MeshRow::psk`], the one in use in [`super::Mesh::key`]; between
//! the two lies the time in which it is handed on. A hub says that it has a key by sending it
//! back. A key goes out on a link only behind the roster, so that nobody has it before it knows
//! who must not.

use crate::hub::{Done, Turn};
use crate::mesh::links::Stage;
use crate::mesh::{LinkId, Mesh};
use crate::{Effect, Hub, MeshEffect, MeshRow, Store};
use ecorelay_protocol::link::{Frame, Rekey, Signed};
use ecorelay_protocol::{PeerId, Psk, from_cbor, limits};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

/// A hub changes its key when all linked hubs have the new one, at the latest after this, in ms.
const HAND_ON_MS: u64 = 3_000;
/// A change further ahead than this is not believed: nobody may use up all numbers at once.
const JUMP: u64 = 1 << 20;

impl Mesh {
    /// Returns the change that brought the newest key.
    fn rekey(&self) -> Option<(Rekey, &Signed)> {
        let signed = self.row.as_ref()?.rekey.as_ref()?;
        Some((from_cbor(&signed.payload.0).ok()?, signed))
    }

    /// Compares two changes of the key: the higher number counts, of two with the same number
    /// that of the hub nearer to the first. One by a hub that is revoked comes last.
    fn weigh(&self, a: (&Rekey, &Signed), b: (&Rekey, &Signed)) -> Ordering {
        let weight = |(rekey, signed): (&Rekey, &Signed)| {
            let depth = self.roster.depth(&signed.by).unwrap_or(usize::MAX);
            let place = (depth, rekey.ts, signed.by.clone(), signed.payload.clone());
            (rekey.generation, Reverse(place))
        };
        weight(a).cmp(&weight(b))
    }

    /// Returns the linked hubs that have the newest key, as far as is known.
    fn key_holders(&self) -> BTreeSet<&PeerId> {
        let newest = self.row.as_ref().and_then(|row| row.rekey.as_ref());
        let newest = newest.map(Signed::digest);
        let links = self.links.values();
        links
            .filter(|link| link.stage == Stage::Accepted && link.key_heard == newest)
            .map(|link| &link.peer)
            .collect()
    }

    /// Returns the newest key and those before it.
    pub(crate) fn keys(&self) -> Vec<Psk> {
        let row = self.row.as_ref();
        let keys = row.map(|row| [&row.psk].into_iter().chain(&row.former_keys));
        keys.into_iter().flatten().cloned().collect()
    }

    /// Returns whether the key in use is one before the newest.
    pub(super) fn changes_key(&self) -> bool {
        let (Some(row), Some(key)) = (&self.row, &self.key) else {
            return false;
        };
        row.psk != *key && row.former_keys.contains(key)
    }

    /// Returns the keys of this mesh before the one in use.
    pub(crate) fn former_keys(&self) -> Vec<Psk> {
        let row = self.row.as_ref();
        let keys = row.into_iter().flat_map(|row| &row.former_keys);
        keys.filter(|key| self.key.as_ref() != Some(*key))
            .cloned()
            .collect()
    }
}

impl Hub {
    /// Makes a new key if the newest does not shut out a hub that this one has revoked.
    pub(super) fn shut_out_revoked(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if !self.mesh.is_admitted() {
            return Ok(());
        }
        let listed = self.mesh.rekey().map(|(rekey, _)| rekey.revoked);
        let listed: BTreeSet<PeerId> = listed.into_iter().flatten().collect();
        if self
            .mesh
            .roster
            .answered_by(&self.mesh.me)
            .is_subset(&listed)
        {
            return Ok(());
        }
        let psk = Psk::new(self.ids.secret());
        let Some(row) = &self.mesh.row else {
            return Ok(());
        };
        let rekey = Rekey {
            root: row.root.clone(),
            generation: row.generation.saturating_add(1),
            psk,
            ts: t.now,
            revoked: self
                .mesh
                .roster
                .revoked()
                .take(limits::ROSTER)
                .cloned()
                .collect(),
        };
        let signed = Signed::new(self.mesh.me.clone(), &rekey, |m| self.keys.sign(m));
        self.adopt_key(t, rekey, signed)
    }

    /// Stores a key that is newer than the one there is, and hands it on.
    fn adopt_key(&mut self, t: &mut Turn<'_, impl Store>, rekey: Rekey, signed: Signed) -> Done {
        let Some(row) = &mut self.mesh.row else {
            return Ok(());
        };
        put_key(row, rekey.psk, rekey.generation, Some(signed));
        self.mesh.row_changed = true;
        self.save_mesh(t)?;
        self.mesh.change_due.get_or_insert(t.now + HAND_ON_MS);
        self.hand_on_key(t);
        self.status_changed(t);
        self.key_progress(t);
        Ok(())
    }

    /// Sends the newest key to every linked hub that may have it and was not sent it.
    fn hand_on_key(&mut self, t: &mut Turn<'_, impl Store>) {
        let links: Vec<LinkId> = self.mesh.links.keys().copied().collect();
        for link in links {
            self.say_key(t, link);
        }
    }

    /// Sends the newest key on a link, once, if the hub there may have it and has the roster.
    pub(super) fn say_key(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId) {
        let newest = self.mesh.row.as_ref().and_then(|row| row.rekey.as_ref());
        let Some(signed) = newest.cloned() else {
            return;
        };
        let digest = signed.digest();
        let roster = &self.mesh.roster;
        let Some(entry) = self.mesh.links.get_mut(&link) else {
            return;
        };
        let may = roster.is_member(&entry.peer);
        let ready = entry.stage == Stage::Accepted && entry.synced;
        if may && ready && entry.key_said.as_ref() != Some(&digest) {
            entry.key_said = Some(digest);
            t.effects.frame_after(link, &Frame::Rekey(signed));
        }
    }

    /// A linked hub sends a key.
    pub(super) fn take_rekey(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        signed: Signed,
    ) -> Done {
        let keys = &self.keys;
        let Ok(rekey) = signed.open::<Rekey>(|by, m, s| keys.verify(by, m, s)) else {
            self.bad_frame(t, link, "a key that its maker did not sign");
            return Ok(());
        };
        if let Some(entry) = self.mesh.links.get_mut(&link) {
            entry.key_heard = Some(signed.digest());
        }
        self.consider_key(t, rekey, signed)?;
        self.say_key(t, link);
        self.key_progress(t);
        Ok(())
    }

    /// As [`Hub::consider_key`]; the signature was checked.
    pub(super) fn consider_stored_key(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        signed: Signed,
    ) -> Done {
        match from_cbor::<Rekey>(&signed.payload.0) {
            Ok(rekey) => self.consider_key(t, rekey, signed),
            Err(_) => Ok(()),
        }
    }

    /// Takes a key over that a hub of the mesh handed on, if it is newer than the one there is.
    pub(crate) fn consider_key(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        rekey: Rekey,
        signed: Signed,
    ) -> Done {
        let Some(row) = &self.mesh.row else {
            return Ok(());
        };
        let believed = rekey.root == row.root
            && self.mesh.roster.was_admitted(&signed.by)
            && (1..=row.generation.saturating_add(JUMP)).contains(&rekey.generation);
        let newer = match self.mesh.rekey() {
            Some((own, by)) => self.mesh.weigh((&rekey, &signed), (&own, by)) == Ordering::Greater,
            None => rekey.generation >= row.generation,
        };
        if believed && newer {
            self.adopt_key(t, rekey, signed)?;
            // Its maker may not have known whom this hub has revoked.
            self.shut_out_revoked(t)?;
        }
        Ok(())
    }

    /// Changes the key in use once every linked hub has the newest, or the time is up.
    pub(super) fn key_progress(&mut self, t: &mut Turn<'_, impl Store>) {
        let Some(due) = self.mesh.change_due else {
            return;
        };
        let holders = self.mesh.key_holders();
        let has = |(peer, ..): (&PeerId, &super::Known, LinkId)| holders.contains(peer);
        if due > t.now && !self.mesh.linked().all(has) {
            return;
        }
        let holders: BTreeSet<PeerId> = holders.into_iter().cloned().collect();
        self.mesh.change_due = None;
        self.answer_revokes(t, &holders);
        self.use_newest_key(t);
    }

    /// Changes to the newest key, if another is in use.
    pub(super) fn use_newest_key(&mut self, t: &mut Turn<'_, impl Store>) {
        let newest = self.mesh.row.as_ref().map(|row| row.psk.clone());
        if let Some(psk) = newest.filter(|psk| self.mesh.key.as_ref() != Some(psk)) {
            self.set_key(psk.clone());
            t.effects.after.push(Effect::Mesh(MeshEffect::Key(psk)));
            self.peers_changed(t);
            self.status_changed(t);
        }
    }
}

/// Puts a key into the row; the one before it goes to the former ones.
pub(super) fn put_key(row: &mut MeshRow, psk: Psk, generation: u64, rekey: Option<Signed>) {
    if row.psk != psk {
        let before = std::mem::replace(&mut row.psk, psk);
        row.former_keys
            .retain(|key| *key != row.psk && *key != before);
        row.former_keys.insert(0, before);
        row.former_keys.truncate(limits::FORMER_KEYS);
    }
    row.generation = generation;
    row.rekey = rekey;
}
