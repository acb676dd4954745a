//! Keeping groups the same on every hub that has members.

use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{Hub, Store};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::{GroupOps, GroupVersions};

impl Hub {
    /// A hub is linked: tells it how far this one has the groups both have members of.
    pub(crate) fn groups_linked(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _link: LinkId,
        _peer: &PeerId,
    ) -> Done {
        Ok(())
    }

    /// A linked hub says how far it has a group.
    pub(crate) fn group_versions(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _link: LinkId,
        _peer: &PeerId,
        _versions: &GroupVersions,
    ) -> Done {
        Ok(())
    }

    /// A linked hub sends a part of a group's log.
    pub(crate) fn group_ops(
        &mut self,
        _t: &mut Turn<'_, impl Store>,
        _link: LinkId,
        _peer: &PeerId,
        _ops: GroupOps,
    ) -> Done {
        Ok(())
    }
}
