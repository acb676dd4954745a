//! How a link begins, what its frames mean, how it ends.

use crate::hub::{Done, Turn};
use crate::mesh::{LinkId, LinkPath};
use crate::{Effect, Hub, MeshEffect, Store};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::{Frame, FrameError};

/// A link that is open.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) address: String,
    pub(crate) path: LinkPath,
    /// Since when, in ms.
    pub(crate) since: u64,
    pub(crate) stage: Stage,
    /// The round-trip time, in microseconds.
    pub(crate) round_trip: Option<u64>,
}

/// How far two hubs have taken each other in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No valid hello came yet.
    Greeting,
    /// This hub is not admitted yet: nothing but the roster counts.
    Joining,
    /// Both belong to the mesh.
    Accepted,
    /// It is being closed.
    Refused,
}

impl Hub {
    pub(super) fn link_up(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: PeerId,
        address: String,
        path: LinkPath,
    ) -> Done {
        let entry = Link {
            peer,
            address,
            path,
            since: t.now,
            stage: Stage::Greeting,
            round_trip: None,
        };
        self.mesh.links.insert(link, entry);
        Ok(())
    }

    pub(super) fn link_frame(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        frame: Result<Box<Frame>, FrameError>,
    ) -> Done {
        let Some(entry) = self.mesh.links.get(&link) else {
            return Ok(());
        };
        let peer = entry.peer.clone();
        let Ok(frame) = frame else {
            t.effects.now.push(Effect::Mesh(MeshEffect::Close { link }));
            return Ok(());
        };
        match *frame {
            Frame::Published(published) => self.heard_published(t, link, &peer, published),
            Frame::Fill(fill) => self.fill_asked(t, link, &fill),
            Frame::Publications(publications) => self.filled(t, &peer, publications),
            Frame::GroupVersions(versions) => self.group_versions(t, link, &peer, &versions),
            Frame::GroupOps(ops) => self.group_ops(t, link, &peer, ops),
            _ => Ok(()),
        }
    }

    pub(super) fn link_down(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        _reason: &str,
    ) -> Done {
        let Some(entry) = self.mesh.links.remove(&link) else {
            return Ok(());
        };
        if let Some(known) = self.mesh.hubs.get_mut(&entry.peer)
            && known.link == Some(link)
        {
            known.link = None;
            known.offline_since = t.now;
        }
        self.status_changed(t);
        Ok(())
    }
}
