//! Bringing the rows of this hub in line with what a group's log comes to.

use super::apply::Counted;
use super::fold::{Event, State};
use crate::hub::{Done, Turn};
use crate::{GroupHubRow, GroupId, Hub, Member, MemberRow, Store, Write};
use std::collections::BTreeMap;

impl Hub {
    /// Brings the rows of a group in line with what its log comes to, and tells the sessions of
    /// this hub whom that concerns. `events` are the changes that may be new.
    pub(super) fn materialize(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        state: &State,
        events: &[Counted],
    ) -> Done {
        let events: Vec<&Event> = events.iter().map(|counted| &counted.event).collect();
        for hub in &state.hubs {
            let hub = self.foreign(hub);
            if let Some(group) = self.groups.all.get_mut(&id)
                && !group.hubs.contains_key(&hub)
            {
                group.hubs.insert(hub.clone(), 0);
                let hub = GroupHubRow { hub, texts: 0 };
                self.write(t, Write::PutGroupHub { group: id, hub })?;
            }
        }
        let Some(group) = self.groups.all.get(&id) else {
            return Ok(());
        };
        if group.row.deleted.is_some() {
            return Ok(());
        }
        if let Some(ts) = state.deleted {
            return self.end_group(t, id, ts, &events);
        }
        let before = group.members.clone();
        let members = state.members.iter();
        let after: BTreeMap<Member, u64> = members
            .map(|(who, joined)| (self.member_of(who), *joined))
            .collect();
        let mut read: BTreeMap<Member, u64> = BTreeMap::new();
        for event in &events {
            if let Event::Renamed { old, new } = event {
                let (old, new) = (self.member_of(old), self.member_of(new));
                let of = |m: &Member| before.get(m).map_or(0, |m| m.last_read);
                let carried = read.get(&old).copied().unwrap_or_else(|| of(&old));
                let carried = carried.max(of(&new));
                read.insert(new, carried);
            }
        }
        let mut changed = self.set_admin(t, id, state)?;
        let gone: Vec<Member> = before
            .keys()
            .filter(|m| !after.contains_key(*m))
            .cloned()
            .collect();
        for member in &gone {
            changed = true;
            let (group, member) = (id, member.clone());
            if let Some(group) = self.groups.all.get_mut(&id) {
                group.members.remove(&member);
                group.in_flight.remove(&member);
            }
            self.write(t, Write::DeleteMember { group, member })?;
        }
        let mut fresh = Vec::new();
        for (member, joined) in after {
            let known = before.get(&member);
            let last_read = read.get(&member).copied();
            let last_read = last_read.unwrap_or_else(|| known.map_or(0, |m| m.last_read));
            if known.is_some_and(|m| m.last_read == last_read) {
                continue;
            }
            changed = true;
            if known.is_none() {
                fresh.push(member.clone());
            }
            let member = MemberRow {
                member,
                last_read,
                joined,
            };
            if let Some(group) = self.groups.all.get_mut(&id) {
                group.members.insert(member.member.clone(), member.clone());
            }
            self.write(t, Write::PutMember { group: id, member })?;
        }
        if !changed {
            return Ok(());
        }
        self.status_changed(t);
        let name = self.groups.all.get(&id).map(|g| g.row.name.clone());
        for member in gone.iter().filter(|m| m.hub.is_none()) {
            if let Some(name) = &name {
                self.tell_removed(t, name, member, &events)?;
            }
        }
        self.name_group(t, id, state)?;
        let name = self.groups.all.get(&id).map(|g| g.row.name.clone());
        for member in fresh.iter().filter(|m| m.hub.is_none()) {
            if let Some(name) = &name {
                self.tell_joined(t, name, member, &events)?;
            }
        }
        Ok(())
    }

    fn set_admin(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        state: &State,
    ) -> Done<bool> {
        let Some(admin) = state.admin.as_ref().map(|admin| self.member_of(admin)) else {
            return Ok(false);
        };
        let Some(group) = self.groups.all.get_mut(&id) else {
            return Ok(false);
        };
        if group.row.admin == admin {
            return Ok(false);
        }
        group.row.admin = admin;
        let row = group.row.clone();
        self.write(t, Write::PutGroup(row))?;
        Ok(true)
    }

    /// Ends a group. What other hubs have to be told stays: the log of changes.
    fn end_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        ts: u64,
        events: &[&Event],
    ) -> Done {
        let Some(group) = self.groups.all.get_mut(&id) else {
            return Ok(());
        };
        let (name, here) = (group.row.name.clone(), group.is_here());
        let members: Vec<Member> = std::mem::take(&mut group.members).into_keys().collect();
        group.row.deleted = Some(ts);
        group.log = None;
        let (row, shared) = (group.row.clone(), group.hubs.keys().any(Option::is_some));
        if here {
            self.groups.by_name.remove(&name);
        }
        if shared {
            self.write(t, Write::ClearGroup(id))?;
            self.write(t, Write::PutGroup(row))?;
        } else {
            self.groups.all.remove(&id);
            self.groups.by_uid.remove(&row.uid);
            self.write(t, Write::DeleteGroup(id))?;
        }
        let by = events.iter().rev().find_map(|event| match event {
            Event::Deleted { by } => Some(by),
            _ => None,
        });
        for member in members.iter().filter(|m| m.hub.is_none()) {
            if let Some(by) = by {
                self.tell_deleted(t, &name, member, by)?;
            }
        }
        self.status_changed(t);
        Ok(())
    }
}
