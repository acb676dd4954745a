//! Adding operations to a group's log, and bringing the rows of this hub in line with what it
//! comes to.

use super::fold::{Event, State};
use super::op::{Body, Op, Place, Written, new_uid};
use super::refold::Renames;
use super::{Group, GroupLog};
use crate::hub::{Done, Turn, refuse};
use crate::{
    GroupChangeRow, GroupEntryRow, GroupHubRow, GroupId, GroupRow, Hub, Member, MemberRow, OpId,
    Proof, Store, Write,
};
use ecorelay_protocol::{ErrorCode, GroupEntryType, Name, PeerId, limits};
use std::collections::BTreeMap;

/// A change that counts, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) place: Place,
    pub(super) ts: u64,
    pub(super) event: Event,
}

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

    /// Writes a change of this hub into a group's log and sends it to the other hubs.
    pub(super) fn write_change(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        body: Body,
    ) -> Done {
        if self.log(t, id)?.changes >= limits::GROUP_CHANGES {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "The membership of this group has changed {} times, the limit. Make a new group.",
                    limits::GROUP_CHANGES
                ),
            );
        }
        let written = self.next_op(t, id, body)?;
        self.take_ops(t, id, vec![written.clone()])?;
        self.share_op(t, id, &written)
    }

    /// Returns the next operation of this hub in a group's log.
    pub(super) fn next_op(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        body: Body,
    ) -> Done<Written> {
        let own = self.own_peer();
        let log = self.log(t, id)?;
        let author = log.author(&own);
        let last = if body.is_change() {
            author.changes
        } else {
            author.texts
        };
        let lamport = log.lamport + 1;
        let group = self.groups.all.get(&id);
        let op = Op {
            group: group.map_or_else(String::new, |g| g.row.uid.clone()),
            seq: last + 1,
            lamport,
            ts: t.now,
            body,
        };
        Ok(Written::own(own, op))
    }

    /// Adds operations to a group's log: each is the next of its author, or a text behind texts
    /// that nobody keeps any more.
    pub(super) fn take_ops(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        ops: Vec<Written>,
    ) -> Done {
        let mut events = Vec::new();
        // An operation that belongs before others that are known may change what those do.
        let mut late = false;
        for written in &ops {
            let place = written.place();
            let log = self.log(t, id)?;
            if written.op.body.is_change() {
                let newest = Some(&place) > log.last_change.as_ref().max(log.last_text.as_ref());
                late |= !newest;
                let event = if late {
                    None
                } else {
                    log.state.apply(&written.author, &written.op)
                };
                if let Some(event) = event {
                    self.rename_author(t, id, &event)?;
                    let ts = written.op.ts;
                    events.push(Counted { place, ts, event });
                }
                self.put_change(t, id, written)?;
            } else {
                late |= Some(&place) < log.last_change.as_ref();
                let counts = !late && counts(&log.state, written);
                self.add_text(t, id, written, !counts)?;
            }
        }
        let state = if late {
            let (state, all) = self.refold(t, id)?;
            events = all;
            state
        } else {
            self.add_lines(t, id, &events, &Renames::of(&events))?;
            self.log(t, id)?.state.clone()
        };
        self.materialize(t, id, &state, &events)?;
        self.trim_history(t, id)
    }

    /// Writes a new name into what its member wrote before.
    fn rename_author(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        group: GroupId,
        event: &Event,
    ) -> Done {
        let Event::Renamed { old, new } = event else {
            return Ok(());
        };
        let (old, new) = (self.member_of(old), self.member_of(new));
        self.write(t, Write::RenameGroupAuthor { group, old, new })
            .map(drop)
    }

    /// Adds a change to the log, and nothing else.
    pub(super) fn put_change(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        written: &Written,
    ) -> Done {
        self.log(t, id)?.count(written);
        let change = GroupChangeRow {
            group: id,
            author: self.foreign(&written.author),
            seq: written.op.seq,
            payload: written.payload.clone(),
            signature: written.signature.clone(),
        };
        self.write(t, Write::AppendGroupChange(Box::new(change)))
            .map(drop)
    }

    /// Adds a text to the history.
    pub(super) fn add_text(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        written: &Written,
        void: bool,
    ) -> Done<Option<GroupEntryRow>> {
        let (from, system, msg_id, text) = match &written.op.body {
            Body::Text { from, msg_id, text } => (from, false, msg_id, text),
            Body::Old {
                from,
                system,
                msg_id,
                text,
            } => (from, *system, msg_id, text),
            _ => return Ok(None),
        };
        // Another hub may have given it the id of a message of this one.
        let foreign = written.author != *self.keys.peer_id();
        let msg_id = if foreign && t.store.find(msg_id)?.is_some() {
            format!("m-{}", self.ids.uuid())
        } else {
            msg_id.clone()
        };
        let entry = Entry {
            wrote: from.clone(),
            from: self.member_of(&(from.clone(), written.author.clone())),
            entry_type: if system {
                GroupEntryType::System
            } else {
                GroupEntryType::Message
            },
            msg_id,
            text: text.clone(),
            old: matches!(written.op.body, Body::Old { .. }),
            void,
            proof: written.proof(),
        };
        let row = self.add_entry(t, id, &written.place(), written.op.ts, entry)?;
        self.log(t, id)?.count(written);
        Ok(Some(row))
    }

    /// Adds the lines that show changes to the history; `renames` are all that may come after.
    pub(super) fn add_lines(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        events: &[Counted],
        renames: &Renames<'_>,
    ) -> Done {
        for counted in events {
            let Some((who, text)) = self.line_of(&counted.event) else {
                continue;
            };
            let now = renames.now(&counted.place, who.clone());
            let entry = Entry {
                wrote: who.0,
                from: self.member_of(&now),
                entry_type: GroupEntryType::System,
                msg_id: format!("m-{}", self.ids.uuid()),
                text,
                old: false,
                void: false,
                proof: None,
            };
            self.add_entry(t, id, &counted.place, counted.ts, entry)?;
            self.log(t, id)?.lines += 1;
        }
        Ok(())
    }

    fn add_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        place: &Place,
        ts: u64,
        entry: Entry,
    ) -> Done<GroupEntryRow> {
        let author = self.foreign(&place.author);
        let Some(group) = self.groups.all.get_mut(&id) else {
            return refuse(ErrorCode::GroupNotFound, "There is no such group.");
        };
        group.last_id += 1;
        let row = GroupEntryRow {
            group: id,
            id: group.last_id,
            op: OpId {
                lamport: place.lamport,
                author,
                change: !place.text,
                seq: place.seq,
            },
            msg_id: entry.msg_id,
            ts,
            wrote: entry.wrote,
            from: entry.from,
            entry_type: entry.entry_type,
            old: entry.old,
            void: entry.void,
            proof: entry.proof,
            text: entry.text,
        };
        self.write(t, Write::AppendGroupEntry(Box::new(row.clone())))?;
        Ok(row)
    }

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

    /// Returns a hub as the store keeps it: `None` for this one.
    pub(super) fn foreign(&self, peer: &PeerId) -> Option<PeerId> {
        (peer != self.keys.peer_id()).then(|| peer.clone())
    }
}

/// An entry that has no place yet.
struct Entry {
    wrote: Name,
    from: Member,
    entry_type: GroupEntryType,
    msg_id: String,
    text: String,
    old: bool,
    void: bool,
    proof: Option<Proof>,
}

/// Returns whether a text counts that comes after all changes.
pub(super) fn counts(state: &State, written: &Written) -> bool {
    let (from, old) = match &written.op.body {
        Body::Text { from, .. } => (from, false),
        Body::Old { from, .. } => (from, true),
        _ => return false,
    };
    state.counts(&written.author, from, old, &written.op.group)
}
