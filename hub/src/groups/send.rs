//! Writing to a group, and pushing what was written to its live members.

use super::apply::counts;
use super::op::Body;
use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo};
use crate::hub::{Done, Turn, refuse};
use crate::{Found, GroupEntryRow, GroupId, Hub, Member, Store};
use ecorelay_protocol::{
    Address, ErrorCode, GroupEntryType, HubLine, MessageKind, Name, Push, Received, header_line,
    iso_ms, limits,
};

impl Hub {
    pub(super) fn group_send(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
        text: String,
        msg_id: Option<String>,
    ) -> Done {
        let group = self.group_of(name, me)?;
        let (id, absent) = (group.row.id, group.members.len() - 1);
        let msg_id = msg_id.filter(|_| self.extended(caller.conn));
        if let Some(msg_id) = &msg_id
            && let Some(found) = t.store.find(msg_id)?
        {
            return match found {
                Found::Group(entry) if entry.group == id && entry.from == *me => {
                    let msg_id = msg_id.clone();
                    let finish = Finish::Group { msg_id, absent };
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
        let body = Body::Text {
            from: me.name.clone(),
            msg_id: msg_id.clone(),
            text,
        };
        let written = self.next_op(t, id, body)?;
        let void = !counts(&self.log(t, id)?.state, &written);
        let Some(entry) = self.add_text(t, id, &written, void)? else {
            return Ok(());
        };
        self.trim_history(t, id)?;
        self.share_op(t, id, &written)?;
        let pending = self.new_pending();
        let outstanding = if quiet {
            0
        } else {
            self.push_entry(t, name, &entry, Some(pending))
        };
        let finish = Finish::Group { msg_id, absent };
        self.await_pushes(t, caller, pending, outstanding, finish);
        Ok(())
    }

    /// Pushes an entry to the members on this hub that are live, and returns how many these are.
    fn push_entry(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
        entry: &GroupEntryRow,
        pending: Option<u64>,
    ) -> usize {
        let Some(group) = self.groups.named(name) else {
            return 0;
        };
        let here = group
            .members
            .keys()
            .filter(|m| m.hub.is_none() && **m != entry.from);
        let here: Vec<Name> = here.map(|m| m.name.clone()).collect();
        let from = self.address_of(&entry.from);
        let mut line = Line::new(|extended| entry_line(name, entry, &from, extended));
        let mut live = 0;
        for to in &here {
            let push = PushTo {
                to,
                id: &entry.msg_id,
                key: None,
                reads: false,
                ask: None,
                pending,
                after: false,
            };
            live += usize::from(self.push(t, &push, &mut line).is_ok());
            self.copy_text_to_watchers(
                t,
                to,
                MessageKind::Group,
                Some(name),
                &from.to_string(),
                &entry.text,
                &entry.msg_id,
            );
        }
        live
    }

    /// Shows the live members on this hub what other hubs have sent: the entries with an id
    /// above `after`. Many at once are what was missed while there was no link: one notice.
    pub(super) fn push_arrived(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        after: u64,
    ) -> Done {
        let Some(group) = self.groups.all.get(&id) else {
            return Ok(());
        };
        if !group.is_here() || group.last_id <= after {
            return Ok(());
        }
        let name = group.row.name.clone();
        let (many, most) = (limits::REPLAY_ON_REGISTER, limits::PAGE_BYTES_V6);
        let mut rows = t.store.group_entries(id, after, many + 1, most)?;
        rows.retain(|row| {
            let message = row.entry_type == GroupEntryType::Message && row.op.author.is_some();
            message && self.held_back(&self.address_of(&row.from)).is_none()
        });
        if rows.len() > many {
            let here = group.members.keys().filter(|m| m.hub.is_none());
            let live = here.filter_map(|m| self.sessions.get(&m.name).map(|s| s.conn));
            let live: Vec<_> = live.filter(|conn| self.extended(*conn)).collect();
            for conn in live {
                let text = format!(
                    "There is much that is new in the group \"{name}\". relay_group_history reads it."
                );
                self.notice(t, conn, text, false);
            }
            return Ok(());
        }
        for row in rows {
            // The name of a session elsewhere has a budget of its own.
            let from = self.address_of(&row.from).to_string();
            let sender = Name::slug(&from, "remote")
                .parse()
                .unwrap_or_else(|_| row.from.name.clone());
            if self.budgets.fan_out(&sender, t.now) {
                self.push_entry(t, &name, &row, None);
            }
        }
        Ok(())
    }
}

/// Returns the line that shows a new entry to a live member. The reference numbers them.
fn entry_line(group: &Name, entry: &GroupEntryRow, from: &Address, extended: bool) -> HubLine {
    let origin_hub = from.hub.as_ref().map(ToString::to_string);
    let from = from.to_string();
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
            origin_hub,
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
