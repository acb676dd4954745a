//! Rooms and broadcasts between hubs: gossip as the fast way, links to fill its gaps.

use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{Hub, Store};
use ecorelay_protocol::link::{Fill, Publication, Publications, Published};
use ecorelay_protocol::{CborError, PeerId};

/// What this hub has published and what it has of others.
#[derive(Debug, Default)]
pub(crate) struct Publishing {}

impl Publishing {
    /// Returns when [`Hub::publishing_timers`] is due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        None
    }

    /// Returns how far this hub has published.
    pub(crate) fn published(&self, epoch: u64) -> Published {
        Published { epoch, seq: 0 }
    }
}

impl Hub {
    /// A gossip message came.
    pub(crate) fn gossip(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _author: PeerId,
        _publication: Result<Box<Publication>, CborError>,
    ) -> Done {
        Ok(())
    }

    /// A linked hub says how far it has published.
    pub(crate) fn heard_published(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _link: LinkId,
        _peer: &PeerId,
        _published: Published,
    ) -> Done {
        Ok(())
    }

    /// A linked hub asks for publications of this one.
    pub(crate) fn fill_asked(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _link: LinkId,
        _fill: &Fill,
    ) -> Done {
        Ok(())
    }

    /// A linked hub sends publications of its own that were asked for.
    pub(crate) fn filled(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _peer: &PeerId,
        _publications: Publications,
    ) -> Done {
        Ok(())
    }

    pub(crate) fn publishing_timers(&mut self, _t: &mut Turn<'_, impl Store>) -> Done {
        Ok(())
    }
}
