//! Adding operations to a group's log.

use super::fold::{Event, State};
use super::op::{Body, Op, Place, Written};
use super::refold::Renames;
use crate::hub::{Done, Turn, refuse};
use crate::{GroupChangeRow, GroupEntryRow, GroupId, Hub, Member, OpId, Proof, Store, Write};
use ecorelay_protocol::{ErrorCode, GroupEntryType, Name, PeerId, limits};

/// A change that counts, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) place: Place,
    pub(super) ts: u64,
    pub(super) event: Event,
}

impl Hub {
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
