//! The directory: this hub's own entry, the others' as they signed them.

use crate::budget::Rate;
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{Hub, Store, Write};
use ecorelay_protocol::link::{
    Binding, DirectoryDelta, DirectoryEntry, EntryVersion, Frame, SessionEntry, Signable, Signed,
    Sync,
};
use ecorelay_protocol::{Bytes, PeerId, from_cbor, limits, to_cbor, visible};
use std::collections::{BTreeMap, BTreeSet};

/// Changes of sessions wait this long for more of them, in ms.
const SETTLE_MS: u64 = 100;
/// How often linked hubs are asked about hubs that are not linked, in ms.
pub(super) const POLL_MS: u64 = 30_000;
/// Directory entries that one link may ask for at once, and per minute: a whole mesh twice.
const ENTRIES: u32 = 2 * limits::HUBS as u32;
/// Addresses of one hub that are believed.
const ADDRESSES: usize = 16;

/// This hub's own entry.
#[derive(Debug, Default)]
pub(super) struct OwnEntry {
    entry: Option<(DirectoryEntry, Signed)>,
    /// When a change is told, in ms.
    pub(super) due: Option<u64>,
}

/// Returns the entry in a stored blob; its signature was checked before that.
pub(super) fn read_own(signed: &Signed) -> Option<DirectoryEntry> {
    from_cbor(&signed.payload.0).ok()
}

/// Returns whose entries here are newer than what the other hub says it has.
pub(super) fn newer(have: &[EntryVersion], sync: &Sync) -> Vec<PeerId> {
    let theirs = sync.directory.iter();
    let theirs: BTreeMap<&PeerId, (u64, u64)> = theirs
        .map(|entry| (&entry.peer, (entry.epoch, entry.version)))
        .collect();
    have.iter()
        .filter(|mine| match theirs.get(&mine.peer) {
            Some(theirs) => (mine.epoch, mine.version) > *theirs,
            None => sync.whole,
        })
        .map(|mine| mine.peer.clone())
        .collect()
}

impl Hub {
    /// Notes that the own entry may have changed.
    pub(crate) fn directory_changed(&mut self, now: u64) {
        if self.mesh.row.is_some() {
            self.mesh.own.due.get_or_insert(now + SETTLE_MS);
        }
    }

    pub(super) fn directory_timer(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.mesh.own.due.is_some_and(|due| due <= t.now) {
            return self.refresh_own_entry(t);
        }
        Ok(())
    }

    /// Brings the own entry up to date and tells the linked hubs what has changed.
    pub(super) fn refresh_own_entry(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        self.mesh.own.due = None;
        let sessions = self.sessions.iter().map(|(name, s)| {
            let session = SessionEntry {
                agent: s.agent.clone(),
                cwd: s.cwd.clone(),
                git_branch: s.git_branch.clone(),
                state: s.shown_state().to_owned(),
                since: s.since,
                rooms: s.rooms.iter().cloned().collect(),
            };
            (name.clone(), session)
        });
        let mut entry = DirectoryEntry {
            hub_id: self.config.hub_id.clone(),
            epoch: self.mesh.epoch,
            version: 0,
            addresses: self.mesh.listening.clone(),
            pairing: self.pairing.listening.clone(),
            rendezvous: self.rendezvous_entries(),
            sessions: sessions.collect(),
        };
        let before = self.mesh.own.entry.take();
        if let Some((old, signed)) = before {
            entry.version = old.version;
            if entry == old {
                self.mesh.own.entry = Some((old, signed));
                return Ok(());
            }
            entry.version += 1;
            let signed = self.sign_entry(&entry);
            let frame = delta(&old, &entry, &signed);
            self.mesh.own.entry = Some((entry, signed));
            let bytes: std::sync::Arc<[u8]> = frame.encode().into();
            for (_, _, link) in self.mesh.linked() {
                t.effects.frame_bytes(link, bytes.clone());
            }
        } else {
            entry.version = 1;
            let signed = self.sign_entry(&entry);
            self.mesh.own.entry = Some((entry, signed));
        }
        Ok(())
    }

    fn sign_entry(&self, entry: &DirectoryEntry) -> Signed {
        Signed::new(self.keys.peer_id().clone(), entry, |m| self.keys.sign(m))
    }

    /// Returns how new every entry here is, the own one first.
    pub(super) fn entry_versions(&self) -> Vec<EntryVersion> {
        let own = self.mesh.own.entry.as_ref();
        let own = own.map(|(entry, signed)| (&signed.by, entry));
        let others = self
            .mesh
            .hubs
            .iter()
            .filter(|(peer, _)| self.mesh.is_member(peer));
        let others = others.filter_map(|(peer, known)| Some((peer, known.entry.as_ref()?)));
        own.into_iter()
            .chain(others)
            .map(|(peer, entry)| EntryVersion {
                peer: peer.clone(),
                epoch: entry.epoch,
                version: entry.version,
            })
            .collect()
    }

    /// Sends whole entries, each once, as far as the link's budget goes; what is left out is asked
    /// for again.
    pub(super) fn send_entries<'a>(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peers: impl Iterator<Item = &'a PeerId>,
    ) {
        let rate = Rate::new(ENTRIES, ENTRIES);
        let peers: BTreeSet<&PeerId> = peers.collect();
        let mut bytes = 0;
        for peer in peers {
            let own = self.mesh.own.entry.as_ref().map(|(_, signed)| signed);
            let signed = if *peer == self.mesh.me {
                own
            } else {
                let known = self.mesh.hubs.get(peer);
                known.and_then(|known| known.row.entry.as_ref())
            };
            let Some(signed) = signed else { continue };
            bytes += signed.payload.0.len();
            let budget = self.mesh.links.get_mut(&link).map(|link| {
                let entries = link.entries.get_or_insert_with(|| rate.full(t.now));
                rate.take(entries, t.now)
            });
            if budget != Some(true) || bytes > limits::WINDOW_BYTES {
                return;
            }
            t.effects.frame(link, &Frame::Entry(signed.clone()));
        }
    }

    /// Takes in a whole entry, from its author or handed on.
    pub(super) fn take_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        signed: Signed,
    ) -> Done {
        let keys = &self.keys;
        let Ok(entry) = signed.open::<DirectoryEntry>(|by, m, s| keys.verify(by, m, s)) else {
            self.bad_frame(t, link, "a directory entry that its author did not sign");
            return Ok(());
        };
        let author = signed.by.clone();
        if author == self.mesh.me {
            let newer = entry.epoch > self.mesh.epoch;
            if newer {
                self.cloned(t.now);
            }
            return Ok(());
        }
        if !self.mesh.is_member(&author) || entry.sessions.len() > limits::SESSIONS {
            return Ok(());
        }
        if self.holds_name(&entry.hub_id, &author) {
            let message = format!(
                "The hub with the key {author} calls itself \"{}\", which belongs to another key. Its entry is ignored.",
                entry.hub_id
            );
            self.mesh.troubles.raise(
                "hub_id_taken",
                author.as_str(),
                message,
                "Set another hub_id in config.toml of one of the two hubs, then: ecorelay node restart",
                t.now,
            );
            return Ok(());
        }
        if !self.mesh.hubs.contains_key(&author) {
            let hub_id = entry.hub_id.clone();
            let binding = Binding { hub_id, since: 0 };
            self.pin(t, &author, binding, "", entry.epoch);
        }
        let Some(known) = self.mesh.hubs.get_mut(&author) else {
            return Ok(());
        };
        let older = known
            .entry
            .as_ref()
            .is_some_and(|old| (old.epoch, old.version) >= (entry.epoch, entry.version));
        if older {
            return Ok(());
        }
        let servers = entry.rendezvous.clone();
        let moved = known.entry.as_ref().map(|old| &old.addresses) != Some(&entry.addresses);
        let first = known.entry.is_none();
        known.row.entry = Some(signed.clone());
        known.entry = Some(cleaned(entry));
        known.changed = true;
        if moved {
            self.peers_changed(t);
        }
        self.merge_rendezvous(t, &servers)?;
        if first {
            self.introduce(t, link, signed);
        }
        self.status_shown(t);
        Ok(())
    }

    /// Hands the first entry of a new hub on to the linked hubs, if it came from that hub: with
    /// it they know where to dial. It goes out after the roster entry that lets the new hub in.
    fn introduce(&self, t: &mut Turn<'_, impl Store>, from: LinkId, signed: Signed) {
        let came_on = self.mesh.links.get(&from);
        if came_on.is_none_or(|link| link.peer != signed.by) {
            return;
        }
        let bytes: std::sync::Arc<[u8]> = Frame::Entry(signed).encode().into();
        for (_, _, link) in self.mesh.linked().filter(|(_, _, link)| *link != from) {
            let effect = super::frame_effect(link, bytes.clone());
            t.effects.after.push(effect);
        }
    }

    /// Takes in a change of the entry of the hub at the other end.
    pub(super) fn take_delta(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        delta: DirectoryDelta,
    ) -> Done {
        let keys = &self.keys;
        let known = self.mesh.hubs.get_mut(peer);
        // From the entry as it was signed: what is shown was cleaned.
        let base = known.as_ref().and_then(|k| read_own(k.row.entry.as_ref()?));
        let applied = base
            .and_then(|base| apply(base, peer, delta))
            .filter(|(_, signed)| {
                let message = Signed::message(DirectoryEntry::DOMAIN, &signed.payload.0);
                keys.verify(peer, &message, &signed.signature.0)
            });
        match (known, applied) {
            (Some(known), Some((entry, signed))) if entry.sessions.len() <= limits::SESSIONS => {
                known.row.entry = Some(signed);
                known.entry = Some(cleaned(entry));
                known.changed = true;
                self.status_shown(t);
            }
            _ => t.effects.frame(link, &Frame::Want(vec![peer.clone()])),
        }
        Ok(())
    }

    /// Asks one linked hub about those that are not linked here.
    pub(super) fn poll_unlinked(&mut self, t: &mut Turn<'_, impl Store>) {
        let unlinked: Vec<PeerId> = self
            .mesh
            .roster
            .members()
            .filter(|peer| **peer != self.mesh.me && self.mesh.link_to(peer).is_none())
            .cloned()
            .collect();
        let links: Vec<LinkId> = self.mesh.linked().map(|(_, _, link)| link).collect();
        if unlinked.is_empty() || links.is_empty() {
            return;
        }
        let turn = usize::try_from(t.now / POLL_MS).unwrap_or(0) % links.len();
        let directory = unlinked.into_iter().map(|peer| {
            let entry = self
                .mesh
                .hubs
                .get(&peer)
                .and_then(|known| known.entry.as_ref());
            EntryVersion {
                epoch: entry.map_or(0, |entry| entry.epoch),
                version: entry.map_or(0, |entry| entry.version),
                peer,
            }
        });
        let sync = Sync {
            roster: Vec::new(),
            directory: directory.collect(),
            published: self.mesh.publishing.published(self.mesh.epoch),
            whole: false,
        };
        t.effects.frame(links[turn], &Frame::Sync(sync));
    }

    /// Stores the rows of hubs that have changed.
    pub(crate) fn save_hubs(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let changed = self.mesh.hubs.values_mut().filter(|known| known.changed);
        let rows: Vec<_> = changed
            .map(|known| {
                known.changed = false;
                known.row.clone()
            })
            .collect();
        for row in rows {
            self.write(t, Write::PutHub(Box::new(row)))?;
        }
        Ok(())
    }
}

fn delta(old: &DirectoryEntry, new: &DirectoryEntry, signed: &Signed) -> Frame {
    let same = old.hub_id == new.hub_id
        && old.addresses == new.addresses
        && old.pairing == new.pairing
        && old.rendezvous == new.rendezvous;
    if !same {
        return Frame::Entry(signed.clone());
    }
    let changed = new
        .sessions
        .iter()
        .filter(|(name, session)| old.sessions.get(*name) != Some(session));
    let gone = old
        .sessions
        .keys()
        .filter(|name| !new.sessions.contains_key(*name));
    Frame::Delta(DirectoryDelta {
        epoch: new.epoch,
        base: old.version,
        version: new.version,
        changed: changed.map(|(name, s)| (name.clone(), s.clone())).collect(),
        gone: gone.cloned().collect(),
        signature: signed.signature.clone(),
    })
}

/// Returns the entry a delta makes, and its bytes with the delta's signature.
fn apply(
    mut entry: DirectoryEntry,
    author: &PeerId,
    delta: DirectoryDelta,
) -> Option<(DirectoryEntry, Signed)> {
    if (entry.epoch, entry.version) != (delta.epoch, delta.base) || delta.version <= delta.base {
        return None;
    }
    entry.version = delta.version;
    for name in &delta.gone {
        entry.sessions.remove(name);
    }
    entry.sessions.extend(delta.changed);
    let signed = Signed {
        by: author.clone(),
        payload: Bytes(to_cbor(&entry)),
        signature: delta.signature,
    };
    Some((entry, signed))
}

/// Returns a foreign entry as it may be shown: bounded, and without invisible characters.
fn cleaned(mut entry: DirectoryEntry) -> DirectoryEntry {
    let clean = |text: &mut String, most: usize| {
        *text = visible(text).chars().take(most).collect();
    };
    entry.addresses.truncate(ADDRESSES);
    for address in &mut entry.addresses {
        clean(address, limits::MULTIADDR_CHARS);
    }
    entry.pairing.truncate(ADDRESSES);
    for address in &mut entry.pairing {
        clean(address, limits::MULTIADDR_CHARS);
    }
    entry.rendezvous.clear(); // looked at when it came
    for session in entry.sessions.values_mut() {
        clean(&mut session.agent, limits::LABEL_CHARS);
        clean(&mut session.state, limits::LABEL_CHARS);
        clean(&mut session.cwd, limits::CWD_CHARS);
        clean(&mut session.git_branch, limits::BRANCH_CHARS);
        session.rooms.truncate(limits::ROOMS);
    }
    entry
}
