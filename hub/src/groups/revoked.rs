//! What a revocation means for groups.
//!
//! Nothing more goes to a revoked hub or comes from it, and the hub of each group's admin takes
//! its members out. That is a change like any other: what they wrote counts up to it, on every
//! hub alike. Where the admin's own hub is the revoked one, the group stays as it is, with nobody
//! who could change who is in it.

use super::op::{Body, creator};
use crate::hub::{Done, Fail, Turn};
use crate::{GroupId, Hub, Member, Store};
use ecorelay_protocol::Name;

/// Why they are taken out; goes into the history.
const REASON: &str = "its hub was revoked";

impl Hub {
    /// Takes the members on revoked hubs out of the groups whose admin is on this hub.
    pub(crate) fn remove_revoked_members(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let me = self.keys.peer_id().as_str();
        let own = self.groups.all.values().filter(|group| {
            let admin_here = group.row.admin.hub.is_none();
            group.row.deleted.is_none() && admin_here && creator(&group.row.uid) == Some(me)
        });
        let mut out: Vec<(GroupId, Name, Member)> = Vec::new();
        for group in own {
            let gone = group.members.keys().filter(|member| {
                let hub = member.hub.as_ref();
                hub.is_some_and(|hub| self.mesh.is_revoked(hub))
            });
            let admin = &group.row.admin.name;
            out.extend(gone.map(|m| (group.row.id, admin.clone(), m.clone())));
        }
        for (id, by, member) in out {
            let (who, reason) = (self.who_is(&member), REASON.to_owned());
            match self.write_change(t, id, Body::Remove { by, who, reason }) {
                // Its log is full: there it stays, and gets nothing.
                Err(Fail::Refused(_)) => {}
                result => result?,
            }
        }
        Ok(())
    }
}
