//! Groups: durable conversations with members, an admin, a history and a cursor per member.
//!
//! Every change is an entry of the group's log, whose place ([`OpId`]) is the same on every hub;
//! members are addresses, so a group does not care which hub a member is on.

use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo, TagUse};
use crate::hub::{Done, Fail, Turn, refuse};
use crate::mail::Draft;
use crate::{
    ConnId, Durable, Found, GroupEntryRow, GroupId, GroupRow, Hub, MemberRow, OpId, Store, Write,
};
use ecorelay_protocol::{
    Address, ErrorCode, GroupEntry, GroupEntryType, GroupMemberInfo, GroupRequest, GroupSummary,
    HubLine, MessageKind, Name, Push, Received, header_line, iso_ms, limits,
};
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

    fn group_create(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: Name,
        members: &[String],
    ) -> Done {
        if self.groups.by_name.contains_key(&name) {
            return refuse(
                ErrorCode::BadArgs,
                format!("A group \"{name}\" exists already; choose another name."),
            );
        }
        if self.groups.by_name.len() >= limits::GROUPS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "There are {} groups already, the limit; delete one first.",
                    limits::GROUPS
                ),
            );
        }
        let mut addresses = vec![me.clone()];
        for member in members {
            let address = self.member_address(member)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.len() > limits::GROUP_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "A group has at most {} members, you included.",
                    limits::GROUP_MEMBERS
                ),
            );
        }
        self.groups.last += 1;
        let row = GroupRow {
            id: GroupId(self.groups.last),
            uid: self.ids.uuid(),
            name: name.clone(),
            admin: me.clone(),
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
        self.groups.by_name.insert(name.clone(), group);
        for address in &addresses {
            self.add_member(t, &name, address.clone())?;
        }
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let told = format!(
            "{me} made the group \"{name}\" with {}. relay_group_send writes to it, relay_group_history reads it.",
            shown.join(", ")
        );
        for address in addresses.iter().filter(|a| *a != me) {
            self.tell_member(t, me, address, &name, &told)?;
        }
        self.answer(
            t,
            caller,
            HubLine::GroupCreated {
                group: name.to_string(),
                members: shown,
                req_id: None,
            },
        );
        Ok(())
    }

    fn group_invite(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
        peer: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let count = group.members.len();
        let peer = self.member_address(peer)?;
        if self
            .groups
            .by_name
            .get(name)
            .is_some_and(|g| g.members.contains_key(&peer))
        {
            return refuse(
                ErrorCode::BadArgs,
                format!("\"{peer}\" is a member of \"{name}\" already."),
            );
        }
        if count >= limits::GROUP_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!("A group has at most {} members.", limits::GROUP_MEMBERS),
            );
        }
        self.add_member(t, name, peer.clone())?;
        self.system_entry(t, name, me, format!("{me} invited {peer}"))?;
        let told = format!(
            "{me} invited you to the group \"{name}\". relay_group_history reads it, relay_group_send writes to it."
        );
        self.tell_member(t, me, &peer, name, &told)?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    fn group_remove(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
        peer: &str,
        reason: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let peer = Address::parse(peer, "\"peer\"")?.relative_to(&self.config.hub_id);
        if peer == *me {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot be removed; delete the group instead.",
            );
        }
        if !group.members.contains_key(&peer) {
            return refuse(
                ErrorCode::NotMember,
                format!("\"{peer}\" is not a member of \"{name}\"."),
            );
        }
        self.drop_member(t, name, &peer)?;
        self.system_entry(t, name, me, format!("{me} removed {peer}: {reason}"))?;
        self.tell_member(
            t,
            me,
            &peer,
            name,
            &format!("{me} removed {peer} from {name}: {reason}"),
        )?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    fn group_leave(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
    ) -> Done {
        if self.group_of(name, me)?.row.admin == *me {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot leave the group; delete it instead.",
            );
        }
        self.drop_member(t, name, me)?;
        self.system_entry(t, name, me, format!("{me} left"))?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    fn group_delete(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
    ) -> Done {
        let group = self.group_as_admin(name, me)?.clone();
        self.write(t, Write::DeleteGroup(group.row.id))?;
        self.groups.by_name.remove(name);
        let told = format!("{me} deleted group {name}");
        for member in group.members.keys().filter(|m| *m != me) {
            self.tell_member(t, me, member, name, &told)?;
        }
        self.status_changed(t);
        self.answer_group_ack(t, caller);
        Ok(())
    }

    fn group_send(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
        text: String,
        msg_id: Option<String>,
    ) -> Done {
        let group = self.group_of(name, me)?;
        let id = group.row.id;
        let others: Vec<Address> = group.members.keys().filter(|m| *m != me).cloned().collect();
        let msg_id = msg_id.filter(|_| self.extended(caller.conn));
        if let Some(msg_id) = &msg_id
            && let Some(found) = t.store.find(msg_id)?
        {
            return match found {
                Found::Group(entry) if entry.group == id && entry.from == *me => {
                    let finish = Finish::Group {
                        msg_id: msg_id.clone(),
                        absent: others.len(),
                    };
                    let pending = self.new_pending();
                    self.await_pushes(t, caller, pending, 0, finish);
                    Ok(())
                }
                _ => refuse(
                    ErrorCode::BadArgs,
                    "\"msg_id\" belongs to another message; leave it out.",
                ),
            };
        }
        let msg_id = msg_id.unwrap_or_else(|| format!("m-{}", self.ids.uuid()));
        let quiet = !self.budgets.fan_out(&me.name, t.now);
        let entry =
            self.append_entry(t, name, me, GroupEntryType::Message, text, msg_id.clone())?;
        let pending = self.new_pending();
        let mut line = Line::new(|extended| entry_line(name, &entry, extended));
        let mut outstanding = 0;
        for to in others.iter().filter(|m| m.hub.is_none() && !quiet) {
            let push = PushTo {
                to: &to.name,
                id: &msg_id,
                key: None,
                reads: false,
                ask: None,
                pending: Some(pending),
                after: false,
            };
            outstanding += usize::from(self.push(t, &push, &mut line).is_ok());
            self.copy_text_to_watchers(
                t,
                &to.name,
                MessageKind::Group,
                me.name.as_str(),
                &entry.text,
                &msg_id,
            );
        }
        let finish = Finish::Group {
            msg_id,
            absent: others.len(),
        };
        self.await_pushes(t, caller, pending, outstanding, finish);
        Ok(())
    }

    fn group_history(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
        limit: Option<usize>,
    ) -> Done {
        let extended = self.extended(caller.conn);
        let group = self.group_of(name, me)?;
        let (id, cursor, last) = (group.row.id, group.cursor(me), group.last_id);
        let budget = if extended {
            limits::PAGE_BYTES_V6
        } else {
            limits::PAGE_BYTES_V5
        };
        let rows =
            t.store
                .group_entries(id, cursor, limit.unwrap_or(limits::HISTORY_PAGE), budget)?;
        let missing = rows
            .first()
            .map_or(0, |row| row.id.saturating_sub(cursor + 1));
        let gap = (missing > 0).then_some(missing);
        let mut messages = Vec::new();
        if let Some(gap) = gap {
            messages.push(GroupEntry {
                id: cursor + gap,
                from: "ecorelay".into(),
                text: format!(
                    "{gap} earlier entries are no longer kept; the history holds the last {}",
                    limits::GROUP_HISTORY
                ),
                ts: rows.first().map_or_else(String::new, |row| iso_ms(row.ts)),
                entry_type: GroupEntryType::System,
            });
        }
        let mut sum = 0;
        let mut read_to = cursor;
        for row in &rows {
            let entry = history_entry(row);
            sum += serde_json::to_string(&entry).map_or(0, |json| json.len());
            if read_to > cursor && sum > budget {
                break;
            }
            read_to = row.id;
            messages.push(entry);
        }
        let unread_remaining = if read_to >= last {
            0
        } else {
            t.store.count_group_entries(id, read_to, me)?
        };
        let line = HubLine::GroupMessages {
            group: name.to_string(),
            messages,
            unread_remaining,
            gap: gap.filter(|_| extended),
            req_id: None,
        };
        if let Some(group) = self.groups.by_name.get_mut(name) {
            group.in_flight.insert(me.clone(), read_to);
        }
        let tag = self.delivery.tag(TagUse::Cursor {
            group: id,
            reader: me.clone(),
            to: read_to,
        });
        self.answer_tagged(t, caller, line, Some(tag));
        Ok(())
    }

    /// A page of history reached its reader, or did not.
    pub(crate) fn move_cursor(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        reader: &Address,
        to: u64,
        ok: bool,
    ) -> Done {
        let Some(group) = self.groups.by_id(id) else {
            return Ok(());
        };
        if group.in_flight.get(reader) == Some(&to) {
            group.in_flight.remove(reader);
        }
        let Some(member) = group.members.get_mut(reader) else {
            return Ok(());
        };
        if !ok || member.last_read >= to {
            return Ok(());
        }
        member.last_read = to;
        let member = member.clone();
        self.write(t, Write::PutMember { group: id, member })
            .map(drop)
    }

    pub(crate) fn group_list(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) -> Done {
        let me = Address::local(self.me(caller)?);
        let mut groups = Vec::new();
        for group in self.groups.iter().filter(|g| g.members.contains_key(&me)) {
            groups.push(GroupSummary {
                name: group.row.name.to_string(),
                unread_count: unread(t, group, &me)?,
            });
        }
        self.answer(
            t,
            caller,
            HubLine::GroupListResult {
                groups,
                req_id: None,
            },
        );
        Ok(())
    }

    fn group_info(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
    ) -> Done {
        let group = self.group_of(name, me)?;
        let members = group.members.values().map(|m| GroupMemberInfo {
            name: m.address.to_string(),
            online: m.address.hub.is_none() && self.sessions.contains_key(&m.address.name),
            last_read: (m.address == *me).then_some(m.last_read),
        });
        let line = HubLine::GroupInfoResult {
            group: name.to_string(),
            admin: group.row.admin.to_string(),
            members: members.collect(),
            unread_count: unread(t, group, me)?,
            req_id: None,
        };
        self.answer(t, caller, line);
        Ok(())
    }

    /// Tells a session that came back in which groups it has something to read.
    pub(crate) fn replay_groups(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        conn: ConnId,
    ) -> Done {
        let me = Address::local(name.clone());
        let mut told = Vec::new();
        for group in self.groups.iter().filter(|g| g.members.contains_key(&me)) {
            let unread = unread(t, group, &me)?;
            if unread > 0 {
                told.push(format!("{} ({unread})", group.row.name));
            }
        }
        if !told.is_empty() {
            let text = format!(
                "Unread in your groups: {}. relay_group_history reads them.",
                told.join(", ")
            );
            self.notice(t, conn, text, true);
        }
        Ok(())
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

    /// Sends a member word of its group, now or when it is back. A mailbox that takes no more
    /// does not stop the change.
    fn tell_member(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: &Address,
        to: &Address,
        group: &Name,
        text: &str,
    ) -> Done {
        if to.hub.is_some() {
            return Ok(());
        }
        let draft = Draft {
            kind: MessageKind::System,
            from: from.clone(),
            to: to.name.clone(),
            text: text.to_owned(),
            reply_to: None,
            ask_id: None,
            group: Some(group.clone()),
            urgent: false,
            msg_id: None,
        };
        match self.store_message(t, draft) {
            Ok(row) => {
                // Not live: it is in the mailbox.
                let _ = self.push_message(t, &row, None, false);
                Ok(())
            }
            Err(Fail::Refused(_)) => Ok(()),
            Err(Fail::Store(error)) => Err(error.into()),
        }
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

    /// Takes over a group of the reference; returns whether it is new here.
    pub(crate) fn adopt_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: Name,
        admin: Address,
    ) -> Done<bool> {
        if self.groups.by_name.contains_key(&name) {
            return Ok(false);
        }
        if self.groups.by_name.len() >= limits::GROUPS {
            return refuse(
                ErrorCode::BadArgs,
                format!("There are {} groups already, the limit.", limits::GROUPS),
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
        Ok(true)
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

fn unread(t: &mut Turn<'_, impl Store>, group: &Group, me: &Address) -> Done<usize> {
    let cursor = group.cursor(me);
    if cursor >= group.last_id {
        return Ok(0);
    }
    Ok(t.store.count_group_entries(group.row.id, cursor, me)?)
}

fn history_entry(row: &GroupEntryRow) -> GroupEntry {
    GroupEntry {
        id: row.id,
        from: row.from.to_string(),
        text: row.text.clone(),
        ts: iso_ms(row.ts),
        entry_type: row.entry_type,
    }
}

/// Returns the line that shows a new entry to a live member. The reference numbers them.
fn entry_line(group: &Name, entry: &GroupEntryRow, extended: bool) -> HubLine {
    let from = entry.from.to_string();
    HubLine::IncomingGroupMsg {
        group: group.to_string(),
        received: Received {
            msg_id: if extended {
                entry.msg_id.clone()
            } else {
                entry.id.to_string()
            },
            text: entry.text.clone(),
            ts: iso_ms(entry.ts),
            urgent: None,
            origin_hub: None,
            push: Push {
                header: extended.then(|| {
                    header_line(
                        MessageKind::Group,
                        &from,
                        Some(group.as_str()),
                        &entry.msg_id,
                        false,
                    )
                }),
                kind: extended.then_some(MessageKind::Group),
            },
            from,
        },
    }
}
