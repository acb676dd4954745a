//! Groups: durable conversations with members, an admin, a history and a cursor per member.
//!
//! Every change is an entry of the group's log, whose place ([`OpId`]) is the same on every hub;
//! members are addresses, so a group does not care which hub a member is on.

mod changes;
mod history;
mod sync;

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Durable, GroupEntryRow, GroupId, GroupRow, Hub, MemberRow, OpId, Store, Write};
use ecorelay_protocol::{Address, ErrorCode, GroupEntryType, GroupRequest, HubLine, Name, limits};
use std::collections::BTreeMap;

/// The history is cut in steps, so that not every entry pays for it.
const TRIM_STEP: u64 = 32;

/// A group without its history.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) row: GroupRow,
    pub(crate) members: BTreeMap<Address, MemberRow>,
    pub(crate) last_id: u64,
    /// The lowest id that may still be there.
    first_id: u64,
    /// Cursors whose page is on its way: not moved yet, not shown again.
    in_flight: BTreeMap<Address, u64>,
}

/// All groups of a hub.
#[derive(Debug)]
pub(crate) struct Groups {
    by_name: BTreeMap<Name, Group>,
    last: u32,
}

impl Groups {
    pub(crate) fn new(durable: &Durable) -> Self {
        let groups = durable.groups.iter().map(|(row, members, last_id)| {
            let members = members.iter().map(|m| (m.address.clone(), m.clone()));
            let group = Group {
                row: row.clone(),
                members: members.collect(),
                last_id: *last_id,
                first_id: (last_id + 1).saturating_sub(limits::GROUP_HISTORY as u64 + TRIM_STEP),
                in_flight: BTreeMap::new(),
            };
            (row.name.clone(), group)
        });
        Self {
            by_name: groups.collect(),
            last: durable.last_group,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values()
    }

    /// Notes the pages that are on their way.
    pub(crate) fn note_cursors<'a>(
        &mut self,
        cursors: impl Iterator<Item = (GroupId, &'a Address, u64)>,
    ) {
        for (id, reader, to) in cursors {
            if let Some(group) = self.by_id(id) {
                group.in_flight.insert(reader.clone(), to);
            }
        }
    }

    fn by_id(&mut self, id: GroupId) -> Option<&mut Group> {
        self.by_name.values_mut().find(|g| g.row.id == id)
    }
}

impl Group {
    fn cursor(&self, reader: &Address) -> u64 {
        let read = self.members.get(reader).map_or(0, |m| m.last_read);
        read.max(self.in_flight.get(reader).copied().unwrap_or(0))
    }
}

impl Hub {
    pub(crate) fn group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        group: &str,
        request: GroupRequest,
    ) -> Done {
        let me = Address::local(self.me(caller)?);
        let name = Name::parse(group, "The group's name")?;
        match request {
            GroupRequest::Create { members } => self.group_create(t, caller, &me, name, &members),
            GroupRequest::Invite { peer } => self.group_invite(t, caller, &me, &name, &peer),
            GroupRequest::Remove { peer, reason } => {
                self.group_remove(t, caller, &me, &name, &peer, &reason)
            }
            GroupRequest::Leave => self.group_leave(t, caller, &me, &name),
            GroupRequest::Send { text, msg_id } => {
                self.group_send(t, caller, &me, &name, text, msg_id)
            }
            GroupRequest::History { limit } => self.group_history(t, caller, &me, &name, limit),
            GroupRequest::Info => self.group_info(t, caller, &me, &name),
            GroupRequest::Delete => self.group_delete(t, caller, &me, &name),
        }
    }

    /// Returns the group if the caller is in it. A group that is not there gives the same word,
    /// so that nobody learns the names of others' groups.
    fn group_of(&self, name: &Name, me: &Address) -> Done<&Group> {
        match self.groups.by_name.get(name) {
            Some(group) if group.members.contains_key(me) => Ok(group),
            _ => refuse(
                ErrorCode::NotMember,
                format!(
                    "You are not a member of a group \"{name}\". relay_group_list lists yours."
                ),
            ),
        }
    }

    /// Returns the group if the caller is its admin.
    fn group_as_admin(&self, name: &Name, me: &Address) -> Done<&Group> {
        match self.groups.by_name.get(name) {
            None => refuse(
                ErrorCode::GroupNotFound,
                format!("There is no group \"{name}\". relay_group_list lists yours."),
            ),
            Some(group) if group.row.admin != *me => refuse(
                ErrorCode::NotAdmin,
                format!("Only the admin of \"{name}\" may do this."),
            ),
            Some(group) => Ok(group),
        }
    }

    /// Moves a member's place in all its groups to its new name.
    pub(crate) fn move_memberships(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        old: &Name,
        new: &Name,
    ) -> Done {
        let (old, new) = (Address::local(old.clone()), Address::local(new.clone()));
        let names: Vec<Name> = self
            .groups
            .iter()
            .filter(|g| g.members.contains_key(&old))
            .map(|g| g.row.name.clone())
            .collect();
        for name in names {
            let Some(group) = self.groups.by_name.get_mut(&name) else {
                continue;
            };
            let Some(mut member) = group.members.remove(&old) else {
                continue;
            };
            group.in_flight.remove(&old);
            let id = group.row.id;
            member.address = new.clone();
            if let Some(other) = group.members.get(&new) {
                member.last_read = member.last_read.max(other.last_read);
            }
            group.members.insert(new.clone(), member.clone());
            let admin = group.row.admin == old;
            if admin {
                group.row.admin = new.clone();
            }
            let row = group.row.clone();
            self.write(
                t,
                Write::DeleteMember {
                    group: id,
                    address: old.clone(),
                },
            )?;
            self.write(t, Write::PutMember { group: id, member })?;
            if admin {
                self.write(t, Write::PutGroup(row))?;
            }
            self.system_entry(t, &name, &new, format!("{old} is now called {new}"))?;
        }
        Ok(())
    }

    pub(crate) fn add_member(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        address: Address,
    ) -> Done {
        let Some(group) = self.groups.by_name.get_mut(name) else {
            return Ok(());
        };
        let member = MemberRow {
            address: address.clone(),
            last_read: 0,
            joined: t.now,
        };
        group.members.insert(address, member.clone());
        let id = group.row.id;
        self.status_changed(t);
        self.write(t, Write::PutMember { group: id, member })
            .map(drop)
    }

    fn drop_member(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        address: &Address,
    ) -> Done {
        let Some(group) = self.groups.by_name.get_mut(name) else {
            return Ok(());
        };
        group.members.remove(address);
        let id = group.row.id;
        self.status_changed(t);
        self.write(
            t,
            Write::DeleteMember {
                group: id,
                address: address.clone(),
            },
        )
        .map(drop)
    }

    fn system_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        by: &Address,
        text: String,
    ) -> Done {
        let msg_id = format!("m-{}", self.ids.uuid());
        self.append_entry(t, name, by, GroupEntryType::System, text, msg_id)
            .map(drop)
    }

    fn append_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        from: &Address,
        entry_type: GroupEntryType,
        text: String,
        msg_id: String,
    ) -> Done<GroupEntryRow> {
        let hub = self.config.hub_id.clone();
        let Some(group) = self.groups.by_name.get_mut(name) else {
            return refuse(
                ErrorCode::GroupNotFound,
                format!("There is no group \"{name}\"."),
            );
        };
        group.last_id += 1;
        // While all members are on one hub, its own numbers are the order of the log.
        let op = OpId {
            lamport: group.last_id,
            hub,
            seq: group.last_id,
        };
        let row = GroupEntryRow {
            group: group.row.id,
            id: group.last_id,
            op,
            msg_id,
            ts: t.now,
            from: from.clone(),
            entry_type,
            text,
        };
        let kept = limits::GROUP_HISTORY as u64;
        let trim = (group.last_id >= group.first_id + kept + TRIM_STEP).then(|| {
            group.first_id = group.last_id + 1 - kept;
            Write::TrimGroup {
                group: group.row.id,
                keep_from: group.first_id,
            }
        });
        self.write(t, Write::AppendGroupEntry(row.clone()))?;
        if let Some(trim) = trim {
            self.write(t, trim)?;
        }
        Ok(row)
    }

    fn member_address(&self, peer: &str) -> Done<Address> {
        let address = Address::parse(peer, "A member's name")?.relative_to(&self.config.hub_id);
        match address.hub {
            None => Ok(address),
            Some(_) => Err(address.unknown_hub().into()),
        }
    }

    fn answer_group_ack(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) {
        let line = HubLine::GroupAck {
            msg_id: None,
            delivered_count: None,
            queued_count: None,
            req_id: None,
        };
        self.answer(t, caller, line);
    }

    /// Adds an empty group, if there is room for one more.
    pub(crate) fn add_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: Name,
        admin: Address,
    ) -> Done {
        if self.groups.by_name.len() >= limits::GROUPS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "There are {} groups already, the limit; delete one first.",
                    limits::GROUPS
                ),
            );
        }
        self.groups.last += 1;
        let row = GroupRow {
            id: GroupId(self.groups.last),
            uid: self.ids.uuid(),
            name: name.clone(),
            admin,
            created: t.now,
        };
        self.write(t, Write::PutGroup(row.clone()))?;
        let group = Group {
            row,
            members: BTreeMap::new(),
            last_id: 0,
            first_id: 1,
            in_flight: BTreeMap::new(),
        };
        self.groups.by_name.insert(name, group);
        Ok(())
    }

    /// Returns whether there is a group of this name.
    pub(crate) fn has_group(&self, name: &Name) -> bool {
        self.groups.by_name.contains_key(name)
    }

    /// Adds an old entry to an adopted group.
    pub(crate) fn adopt_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        from: &Address,
        system: bool,
        text: String,
        ts: u64,
    ) -> Done {
        let entry_type = if system {
            GroupEntryType::System
        } else {
            GroupEntryType::Message
        };
        let msg_id = format!("m-{}", self.ids.uuid());
        let mut then = Turn {
            now: ts,
            store: &mut *t.store,
            effects: &mut *t.effects,
        };
        self.append_entry(&mut then, name, from, entry_type, text, msg_id)
            .map(drop)
    }

    /// Sets the cursor of a member of an adopted group.
    pub(crate) fn adopt_cursor(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        address: &Address,
        read: u64,
    ) -> Done {
        let Some(group) = self.groups.by_name.get(name) else {
            return Ok(());
        };
        let (id, last) = (group.row.id, group.last_id);
        self.move_cursor(t, id, address, read.min(last), true)
    }
}
