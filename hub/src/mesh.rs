//! The mesh as the brain sees it: who belongs to it, which hubs are linked, what they have, and
//! what goes from one to the other.
//!
//! [`Mesh`] holds the state; each module adds one subject to [`Hub`]: `links` how a link begins
//! and ends, `roster` who belongs, `directory` who is where, `outbox` and `incoming` direct
//! messages, `receipts` what became of them, `publications` rooms and broadcasts, `making`
//! how a mesh begins for this hub, `trouble` what went wrong, `view` what `status` shows.

mod directory;
mod events;
mod greeting;
mod hub_settings;
mod incoming;
mod links;
mod making;
mod membership;
mod outbox;
mod publications;
mod receipts;
mod rekey;
mod revoke;
mod roster;
mod trouble;
mod view;

pub use events::{
    DialFailure, LinkId, LinkPath, MeshEffect, MeshInput, MeshPeers, PunchOutcome, ServerState,
};
pub(crate) use making::{Along, NewPlace};
pub(crate) use membership::Roster;
pub(crate) use publications::Publishing;
pub(crate) use receipts::AskedWhy;

use crate::clients::Caller;
use crate::hub::{Done, Turn};
use crate::{Durable, Effect, Effects, Hub, HubConfig, HubRow, MeshRow, Store, Write};
use directory::OwnEntry;
use ecorelay_protocol::link::{DirectoryEntry, Frame, Signed};
use ecorelay_protocol::{Bytes, HubId, PeerId, Psk, limits};
use links::Link;
use outbox::Outbox;
use revoke::WaitingRevoke;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trouble::{Dial, Troubles};

/// Everything about the mesh.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// The mesh this hub belongs to.
    pub(crate) row: Option<MeshRow>,
    /// The row in memory is newer than the stored one.
    row_changed: bool,
    /// The key in use.
    pub(crate) key: Option<Psk>,
    /// This hub.
    me: PeerId,
    /// This start's boot counter.
    pub(crate) epoch: u64,
    roster: Roster,
    /// The other hubs that are known, linked or not.
    pub(crate) hubs: BTreeMap<PeerId, Known>,
    /// Whose name is whose, this hub's included.
    by_id: BTreeMap<HubId, PeerId>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    own: OwnEntry,
    outboxes: BTreeMap<PeerId, Outbox>,
    /// Answers that wait for word from another hub, by message.
    awaiting: BTreeMap<String, u64>,
    /// Messages of other hubs that are being pushed here: to whom a receipt is owed, under
    /// which id.
    owed: BTreeMap<Arc<str>, (PeerId, String)>,
    pub(crate) publishing: Publishing,
    /// Where this hub listens.
    listening: Vec<String>,
    /// Hubs on the local network, since when, and where.
    nearby: BTreeMap<PeerId, (u64, Vec<String>)>,
    dials: BTreeMap<String, Dial>,
    troubles: Troubles,
    /// When this hub changes to the newest key at the latest, in ms; until then it hands it on.
    change_due: Option<u64>,
    revokes: Vec<WaitingRevoke>,
    /// When hubs that are not linked are asked about next, in ms.
    poll_due: u64,
}

/// Another hub that is known.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) row: HubRow,
    /// What it says of its sessions.
    pub(crate) entry: Option<DirectoryEntry>,
    /// The link to it, once both sides have taken each other in.
    pub(crate) link: Option<LinkId>,
    /// Since when it is not linked, in ms.
    pub(crate) offline_since: u64,
    /// Why it is not linked, as far as that is known.
    why: Option<String>,
    /// Its program version.
    software: Option<String>,
    /// The row in memory is newer than the stored one.
    changed: bool,
}

impl Mesh {
    pub(crate) fn new(config: &HubConfig, me: &PeerId, durable: &Durable) -> Self {
        let stored = durable.mesh.as_ref().map_or(0, |row| row.epoch);
        let mut mesh = Self {
            row: durable.mesh.clone(),
            row_changed: true,
            key: config.mesh_key.clone(),
            me: me.clone(),
            epoch: config.started.max(stored + 1),
            roster: Roster::default(),
            hubs: BTreeMap::new(),
            by_id: BTreeMap::from([(config.hub_id.clone(), me.clone())]),
            links: BTreeMap::new(),
            own: OwnEntry::default(),
            outboxes: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            owed: BTreeMap::new(),
            publishing: Publishing::new(&config.tunables),
            listening: Vec::new(),
            nearby: BTreeMap::new(),
            dials: BTreeMap::new(),
            troubles: Troubles::default(),
            change_due: None,
            revokes: Vec::new(),
            poll_due: 0,
        };
        if let Some(row) = &mut mesh.row {
            row.epoch = mesh.epoch;
            if row.hub_id != config.hub_id {
                row.hub_id = config.hub_id.clone();
                row.since = config.started;
            }
        }
        mesh.load(durable);
        mesh
    }

    /// Takes over what the store remembers of other hubs.
    fn load(&mut self, durable: &Durable) {
        self.hubs.clear();
        for row in &durable.hubs {
            let known = Known {
                entry: row.entry.as_ref().and_then(directory::read_own),
                row: row.clone(),
                link: None,
                offline_since: row.last_seen,
                why: None,
                software: None,
                changed: false,
            };
            self.by_id
                .entry(row.hub_id.clone())
                .or_insert_with(|| row.peer.clone());
            self.hubs.insert(row.peer.clone(), known);
        }
        let root = self.row.as_ref().map(|row| &row.root);
        self.roster = Roster::load(root, &durable.roster);
        self.outboxes = durable
            .outboxes
            .iter()
            .map(|load| (load.peer.clone(), Outbox::load(load)))
            .collect();
    }

    /// Forgets what a batch that was taken back had changed; every link begins anew.
    pub(crate) fn reload(&mut self, durable: &Durable, effects: &mut Effects) {
        for link in std::mem::take(&mut self.links).into_keys() {
            effects.now.push(Effect::Mesh(MeshEffect::Close { link }));
        }
        if let Some(row) = &durable.mesh {
            let epoch = self.epoch;
            self.row = Some(MeshRow {
                epoch,
                ..row.clone()
            });
        } else {
            self.row = None;
        }
        self.row_changed = true;
        self.awaiting.clear();
        self.owed.clear();
        self.change_due = None;
        self.by_id.retain(|_, peer| *peer == self.me);
        self.load(durable);
    }

    /// Forgets commands that wait and were answered otherwise.
    pub(crate) fn forget_revokes(&mut self, answered: impl Fn(&Caller) -> bool) {
        self.revokes.retain(|revoke| !answered(&revoke.caller));
    }

    /// Returns whether this hub is on the roster of its mesh.
    pub(crate) fn is_admitted(&self) -> bool {
        self.roster.is_member(&self.me)
    }

    /// Returns whether a hub is on the roster, this one included.
    pub(crate) fn is_member(&self, peer: &PeerId) -> bool {
        self.roster.is_member(peer)
    }

    /// Returns whether a hub was revoked.
    pub(crate) fn is_revoked(&self, peer: &PeerId) -> bool {
        self.roster.is_revoked(peer)
    }

    /// Returns the hubs on the roster, this one included.
    pub(crate) fn members(&self) -> impl Iterator<Item = &PeerId> {
        self.roster.members()
    }

    /// Returns how many hubs are on the roster, this one included.
    pub(crate) fn size(&self) -> usize {
        self.roster.members().count()
    }

    /// Returns whether no more hubs can come in, revoked ones counted.
    pub(crate) fn is_full(&self) -> bool {
        self.roster.len() >= limits::HUBS
    }

    /// Returns the first hub of the mesh this hub belongs to, unless it was revoked there.
    pub(crate) fn root(&self) -> Option<&PeerId> {
        let row = self.row.as_ref().filter(|_| self.is_admitted());
        row.map(|row| &row.root)
    }

    /// Returns who was admitted with a ticket.
    pub(crate) fn admitted_with(&self, ticket: &Bytes) -> BTreeSet<PeerId> {
        self.roster.admitted_with(ticket)
    }

    /// Returns all entries of the roster, each behind the admission of its author.
    pub(crate) fn roster_entries(&self) -> Vec<Signed> {
        self.roster.missing(&[])
    }

    /// Returns where this hub listens.
    pub(crate) fn listening(&self) -> &[String] {
        &self.listening
    }

    /// Returns where the other members listen, and whether they are linked.
    pub(crate) fn places(&self) -> impl Iterator<Item = (bool, &PeerId, &[String])> {
        let others = self.roster.members().filter(|peer| **peer != self.me);
        others.map(|peer| {
            let linked = self.link_to(peer).is_some();
            (linked, peer, self.addresses_of(peer))
        })
    }

    /// Returns the addresses that are known of a hub: those in its own entry, or those that this
    /// hub was given when it came in.
    fn addresses_of(&self, peer: &PeerId) -> &[String] {
        let known = self.hubs.get(peer).and_then(|known| known.entry.as_ref());
        if let Some(entry) = known {
            return &entry.addresses;
        }
        let hints = self.row.iter().flat_map(|row| &row.hints);
        let mut hints = hints
            .filter(|(of, _)| of == peer)
            .map(|(_, hints)| hints.as_slice());
        hints.next_back().unwrap_or_default()
    }

    /// Returns where a hub's pairing listener is reached, as it says.
    pub(crate) fn pairing_addresses(&self, peer: &PeerId) -> Vec<String> {
        let known = self.hubs.get(peer).and_then(|known| known.entry.as_ref());
        known.map(|entry| entry.pairing.clone()).unwrap_or_default()
    }

    /// Returns whether there is another hub in the mesh, linked or not; of a mesh in which this hub
    /// was revoked nothing counts any more.
    pub(crate) fn has_others(&self) -> bool {
        self.is_admitted() && self.roster.members().any(|peer| *peer != self.me)
    }

    /// Returns the human name of another hub.
    pub(crate) fn hub_id(&self, peer: &PeerId) -> Option<&HubId> {
        self.hubs.get(peer).map(|known| &known.row.hub_id)
    }

    /// Returns the other hub of this name.
    pub(crate) fn peer_of(&self, hub_id: &HubId) -> Option<&PeerId> {
        self.by_id.get(hub_id).filter(|peer| **peer != self.me)
    }

    /// Returns the link to a hub, once both sides have taken each other in.
    pub(crate) fn link_to(&self, peer: &PeerId) -> Option<LinkId> {
        self.hubs.get(peer)?.link
    }

    /// Returns every hub that is linked.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (&PeerId, &Known, LinkId)> {
        self.hubs
            .iter()
            .filter_map(|(peer, known)| Some((peer, known, known.link?)))
    }

    /// Returns whether messages wait for other hubs.
    pub(crate) fn has_outbox(&self) -> bool {
        self.outboxes.values().any(|outbox| outbox.waiting > 0)
    }

    /// Returns when [`Hub::mesh_timers`] is due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.row.as_ref()?;
        [
            Some(self.poll_due),
            self.own.due,
            self.revokes.iter().map(|revoke| revoke.deadline).min(),
            self.change_due,
            self.publishing.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Effects {
    /// Adds a frame that goes out at once, or behind the first words of its link.
    pub(crate) fn frame(&mut self, link: LinkId, frame: &Frame) {
        self.frame_bytes(link, frame.encode().into());
    }

    /// As [`Effects::frame`]; the bytes can be shared between links.
    pub(crate) fn frame_bytes(&mut self, link: LinkId, bytes: Arc<[u8]>) {
        let opening = !self.after.is_empty() && self.opening.contains(&link);
        let place = if opening {
            &mut self.after
        } else {
            &mut self.now
        };
        place.push(frame_effect(link, bytes));
    }

    /// Adds a frame that goes out after the commit.
    pub(crate) fn frame_after(&mut self, link: LinkId, frame: &Frame) {
        self.after.push(frame_effect(link, frame.encode().into()));
    }

    /// Adds a frame with which a link begins; it goes out after the commit, and in this batch
    /// nothing goes out on the link before it.
    pub(crate) fn frame_first(&mut self, link: LinkId, frame: &Frame) {
        if self.after.is_empty() {
            // Those of a batch before.
            self.opening.clear();
        }
        self.opening.insert(link);
        self.frame_after(link, frame);
    }
}

/// Returns the effect of writing a frame to a link; its bytes can be shared between links.
pub(crate) fn frame_effect(link: LinkId, bytes: Arc<[u8]>) -> Effect {
    Effect::Mesh(MeshEffect::Frame { link, bytes })
}

impl Hub {
    pub(crate) fn mesh_input(&mut self, t: &mut Turn<'_, impl Store>, input: MeshInput) -> Done {
        match input {
            MeshInput::LinkUp {
                link,
                peer,
                address,
                path,
            } => self.link_up(t, link, peer, address, path),
            MeshInput::Frame { link, frame } => self.link_frame(t, link, frame),
            MeshInput::LinkDown { link, reason } => self.link_down(t, link, &reason),
            MeshInput::RoundTrip { link, micros } => {
                if let Some(link) = self.mesh.links.get_mut(&link) {
                    link.round_trip = Some(micros);
                }
                Ok(())
            }
            MeshInput::Gossip {
                author,
                publication,
            } => self.gossip(t, author, publication),
            MeshInput::Listening { addresses } => self.listening(t, addresses),
            MeshInput::Seen { peer, addresses } => self.seen(t, peer, addresses),
            MeshInput::Unseen { peer } => {
                self.mesh.nearby.remove(&peer);
                self.status_changed(t);
                Ok(())
            }
            MeshInput::Server { address, state } => {
                self.server_state(t, address, state);
                Ok(())
            }
            MeshInput::Punched { peer, outcome } => {
                self.punched(t, peer, outcome);
                Ok(())
            }
            MeshInput::DialFailed {
                peer,
                address,
                failure,
            } => self.dial_failed(t, peer, address, failure),
        }
    }

    /// Tells the body what the store remembers of the mesh: when the hub has started, and when
    /// what it was told last may have been dropped.
    pub(crate) fn mesh_started(&mut self, t: &mut Turn<'_, impl Store>) {
        if let (Some(row), None) = (&self.mesh.row, &self.mesh.key) {
            // The key file was removed; the store has the key.
            let key = row.psk.clone();
            self.mesh.key = Some(key.clone());
            t.effects.after.push(Effect::Mesh(MeshEffect::Key(key)));
        }
        self.check_key();
        if self.mesh.changes_key() {
            // It ended between storing the newest key and using it.
            self.use_newest_key(t);
        }
        self.peers_changed(t);
    }

    pub(crate) fn mesh_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.mesh.row.is_none() {
            return Ok(());
        }
        self.save_mesh(t)?;
        self.directory_timer(t)?;
        self.revoke_timer(t);
        self.publishing_timers(t)?;
        if self.mesh.poll_due <= t.now {
            self.mesh.poll_due = t.now + directory::POLL_MS;
            self.poll_unlinked(t);
            self.save_hubs(t)?;
        }
        Ok(())
    }

    /// Stores the mesh's row if it has changed.
    fn save_mesh(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if std::mem::take(&mut self.mesh.row_changed)
            && let Some(row) = self.mesh.row.clone()
        {
            self.write(t, Write::PutMesh(Box::new(row)))?;
        }
        Ok(())
    }

    /// Tells the body to which hubs to keep connected.
    pub(crate) fn peers_changed(&mut self, t: &mut Turn<'_, impl Store>) {
        self.pairing.door_changed();
        let mut peers = MeshPeers {
            rendezvous: self.rendezvous_servers(),
            ..MeshPeers::default()
        };
        let mesh = &self.mesh;
        let Some(row) = &mesh.row else {
            peers.try_nearby = mesh.key.is_some();
            t.effects.after.push(Effect::Mesh(MeshEffect::Hubs(peers)));
            return;
        };
        let places = mesh.places();
        peers.hubs = places
            .map(|(_, peer, addresses)| (peer.clone(), addresses.to_vec()))
            .collect();
        peers.addresses.clone_from(&row.addresses);
        peers.blocked = mesh.roster.revoked().cloned().collect();
        if mesh.is_revoked(&mesh.me) {
            peers.hubs.clear();
        }
        peers.former_keys = mesh.former_keys();
        peers.try_nearby = !mesh.is_admitted() && !mesh.is_revoked(&mesh.me);
        t.effects.after.push(Effect::Mesh(MeshEffect::Hubs(peers)));
    }
}
