//! Making a group.

use super::op::{Body, Written, new_uid};
use super::{Group, GroupLog};
use crate::hub::{Done, Turn, refuse};
use crate::{GroupId, GroupRow, Hub, Member, Store, Write};
use ecorelay_protocol::{ErrorCode, Name, limits};
use std::collections::BTreeMap;

impl Hub {
    /// Makes a group of this hub.
    pub(super) fn new_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: Name,
        admin: &Name,
        members: Vec<Member>,
    ) -> Done<GroupId> {
        let (id, made) = self.make_group(t, name, admin, members)?;
        self.take_ops(t, id, vec![made.clone()])?;
        self.share_op(t, id, &made)?;
        Ok(id)
    }

    /// Adds the row of a new group of this hub, and returns the operation that makes it.
    pub(super) fn make_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: Name,
        admin: &Name,
        members: Vec<Member>,
    ) -> Done<(GroupId, Written)> {
        if self.groups.by_name.len() >= limits::GROUPS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "There are {} groups already, the limit; delete one first.",
                    limits::GROUPS
                ),
            );
        }
        let uid = new_uid(&self.ids.uuid(), self.keys.peer_id());
        let row = Member::local(admin.clone());
        let id = self.add_group(t, uid, name.clone(), row, t.now)?;
        let body = Body::Create {
            name,
            admin: admin.clone(),
            members: members.iter().map(|member| self.who_is(member)).collect(),
        };
        let made = self.next_op(t, id, body)?;
        Ok((id, made))
    }

    /// Adds the row of a group whose log is still empty.
    pub(super) fn add_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        uid: String,
        name: Name,
        admin: Member,
        created: u64,
    ) -> Done<GroupId> {
        self.groups.last += 1;
        let id = GroupId(self.groups.last);
        let row = GroupRow {
            id,
            uid: uid.clone(),
            name,
            admin,
            created,
            trimmed: 0,
            top: 0,
            deleted: None,
        };
        self.write(t, Write::PutGroup(row.clone()))?;
        let group = Group {
            row,
            members: BTreeMap::new(),
            hubs: BTreeMap::new(),
            last_id: 0,
            in_flight: BTreeMap::new(),
            log: Some(Box::new(GroupLog::default())),
        };
        self.groups.all.insert(id, group);
        self.groups.by_uid.insert(uid, id);
        Ok(id)
    }
}
