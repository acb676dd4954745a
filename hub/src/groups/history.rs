//! Reading a group: its history in the total order, cursors in the order of arrival.

use super::Group;
use super::log::place_of;
use crate::clients::Caller;
use crate::delivery::TagUse;
use crate::hub::{Done, Turn};
use crate::{ConnId, GroupEntryRow, GroupId, Hub, Member, Store, Write};
use ecorelay_protocol::{
    Address, GroupEntry, GroupEntryType, GroupMemberInfo, GroupSummary, HubLine, Name, iso_ms,
    limits,
};

impl Hub {
    pub(super) fn group_history(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
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
        let limit = limit.unwrap_or(limits::HISTORY_PAGE);
        let beyond = self.beyond_the_ring(t, id)?;
        let beyond: Vec<u64> = beyond.into_iter().filter(|id| *id > cursor).collect();
        let rows = t
            .store
            .group_entries(id, cursor, limit + beyond.len(), budget)?;
        let gap = self.cut_after(t, id, cursor)? + beyond.len() as u64;
        let gap = (gap > 0).then_some(gap);
        let (mut page, mut sum, mut read_to) = (Vec::new(), 0, cursor);
        for row in rows {
            let (id, is_beyond) = (row.id, beyond.contains(&row.id));
            if !is_beyond {
                let entry = self.history_entry(&row);
                sum += serde_json::to_string(&entry).map_or(0, |json| json.len());
                if !page.is_empty() && (sum > budget || page.len() >= limit) {
                    break;
                }
                page.push((row, entry));
            }
            read_to = id;
        }
        let own = self.own_peer();
        page.sort_by_cached_key(|(row, _)| place_of(&row.op, &own));
        let mut messages = Vec::new();
        if let Some(gap) = gap {
            messages.push(GroupEntry {
                id: cursor + gap,
                from: "ecorelay".into(),
                text: format!(
                    "{gap} earlier entries are no longer kept; the history holds the last {}",
                    limits::GROUP_HISTORY
                ),
                ts: page
                    .first()
                    .map_or_else(String::new, |(row, _)| iso_ms(row.ts)),
                entry_type: GroupEntryType::System,
            });
        }
        messages.extend(page.into_iter().map(|(_, entry)| entry));
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
        if let Some(group) = self.groups.all.get_mut(&id) {
            group.in_flight.insert(me.clone(), read_to);
        }
        let tag = self.delivery.tag(TagUse::Cursor {
            group: id,
            reader: Address::local(me.name.clone()),
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
        let Some(group) = self.groups.all.get_mut(&id) else {
            return Ok(());
        };
        let reader = Member::local(reader.name.clone());
        if group.in_flight.get(&reader) == Some(&to) {
            group.in_flight.remove(&reader);
        }
        let Some(member) = group.members.get_mut(&reader) else {
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
        let me = Member::local(self.me(caller)?);
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

    pub(super) fn group_info(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
    ) -> Done {
        let group = self.group_of(name, me)?;
        let members = group.members.values().map(|m| GroupMemberInfo {
            name: self.address_of(&m.member).to_string(),
            online: self.member_online(&m.member),
            last_read: (m.member == *me).then_some(m.last_read),
        });
        let line = HubLine::GroupInfoResult {
            group: name.to_string(),
            admin: self.address_of(&group.row.admin).to_string(),
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
        let me = Member::local(name.clone());
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

    fn history_entry(&self, row: &GroupEntryRow) -> GroupEntry {
        GroupEntry {
            id: row.id,
            from: self.address_of(&row.from).to_string(),
            text: row.text.clone(),
            ts: iso_ms(row.ts),
            entry_type: row.entry_type,
        }
    }
}

fn unread(t: &mut Turn<'_, impl Store>, group: &Group, me: &Member) -> Done<usize> {
    let cursor = group.cursor(me);
    if cursor >= group.last_id {
        return Ok(0);
    }
    Ok(t.store.count_group_entries(group.row.id, cursor, me)?)
}
