//! Writing to a group and reading it: entries, cursors, what is unread.

use super::Group;
use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo, TagUse};
use crate::hub::{Done, Turn, refuse};
use crate::{ConnId, Found, GroupEntryRow, GroupId, Hub, Store, Write};
use ecorelay_protocol::{
    Address, ErrorCode, GroupEntry, GroupEntryType, GroupMemberInfo, GroupSummary, HubLine,
    MessageKind, Name, Push, Received, header_line, iso_ms, limits,
};

impl Hub {
    pub(super) fn group_send(
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
                Some(name),
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

    pub(super) fn group_history(
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

    pub(super) fn group_info(
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
