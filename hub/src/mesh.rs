//! The mesh as the brain sees it: who belongs to it, which hubs are linked, what they have, and
//! what goes from one to the other.
//!
//! [`Mesh`] holds the state; each module adds one subject to [`Hub`]: `links` how a link begins
//! and ends, `roster` who belongs, `directory` who is where, `outbox` and `incoming` direct
//! messages, `publications` rooms and broadcasts, `invite` tickets, `view` what `status` shows.

mod events;
mod links;
mod publications;

pub use events::{DialFailure, LinkId, LinkPath, MeshEffect, MeshInput, MeshPeers};
pub(crate) use links::Link;
pub(crate) use publications::Publishing;

use crate::hub::{Done, Turn};
use crate::{Durable, Effect, Effects, Hub, HubConfig, HubRow, MeshRow, Store};
use ecorelay_protocol::link::{DirectoryEntry, Frame};
use ecorelay_protocol::{HubId, PeerId, Psk};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything about the mesh.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// The mesh this hub belongs to, or is joining.
    pub(crate) row: Option<MeshRow>,
    /// The key in use.
    pub(crate) key: Option<Psk>,
    /// This start's boot counter.
    pub(crate) epoch: u64,
    /// The hubs that are known, linked or not.
    pub(crate) hubs: BTreeMap<PeerId, Known>,
    /// Whose name is whose.
    pub(crate) by_id: BTreeMap<HubId, PeerId>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) publishing: Publishing,
}

/// A hub that is known.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) row: HubRow,
    /// What it says of its sessions.
    pub(crate) entry: Option<DirectoryEntry>,
    /// The link to it, once both sides have taken each other in.
    pub(crate) link: Option<LinkId>,
    /// Since when it is not linked, in ms.
    pub(crate) offline_since: u64,
}

impl Mesh {
    pub(crate) fn new(config: &HubConfig, durable: &Durable) -> Self {
        let stored = durable.mesh.as_ref().map_or(0, |row| row.epoch);
        let known = durable.hubs.iter().map(|row| {
            let known = Known {
                row: row.clone(),
                entry: None,
                link: None,
                offline_since: row.last_seen,
            };
            (row.peer.clone(), known)
        });
        let by_id = durable.hubs.iter();
        Self {
            row: durable.mesh.clone(),
            key: config.mesh_key.clone(),
            epoch: config.started.max(stored + 1),
            hubs: known.collect(),
            by_id: by_id
                .map(|row| (row.hub_id.clone(), row.peer.clone()))
                .collect(),
            links: BTreeMap::new(),
            publishing: Publishing::default(),
        }
    }

    /// Returns the human name of a hub.
    pub(crate) fn hub_id(&self, peer: &PeerId) -> Option<&HubId> {
        self.hubs.get(peer).map(|known| &known.row.hub_id)
    }

    /// Returns the hub of this name.
    pub(crate) fn peer_of(&self, hub_id: &HubId) -> Option<&PeerId> {
        self.by_id.get(hub_id)
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
}

impl Effects {
    /// Adds a frame that goes out at once.
    pub(crate) fn frame(&mut self, link: LinkId, frame: &Frame) {
        self.now.push(frame_effect(link, frame.encode().into()));
    }

    /// Adds a frame that goes out after the commit.
    pub(crate) fn frame_after(&mut self, link: LinkId, frame: &Frame) {
        self.after.push(frame_effect(link, frame.encode().into()));
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
            MeshInput::RoundTrip { .. }
            | MeshInput::Listening { .. }
            | MeshInput::Seen { .. }
            | MeshInput::Unseen { .. }
            | MeshInput::DialFailed { .. } => Ok(()),
            MeshInput::Gossip {
                author,
                publication,
            } => self.gossip(t, author, publication),
        }
    }
}
