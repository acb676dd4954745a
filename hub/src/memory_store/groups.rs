//! Groups in memory.

use crate::store::{
    EntryPlace, GroupChangeRow, GroupEntryRow, GroupHubRow, GroupId, GroupLoad, GroupRow, Member,
    MemberRow, Write,
};
use ecorelay_protocol::PeerId;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub(super) struct GroupTables {
    rows: BTreeMap<GroupId, GroupRow>,
    members: BTreeMap<(GroupId, Member), MemberRow>,
    hubs: BTreeMap<(GroupId, Option<PeerId>), GroupHubRow>,
    changes: BTreeMap<(GroupId, Option<PeerId>, u64), GroupChangeRow>,
    entries: BTreeMap<(GroupId, u64), GroupEntryRow>,
    pub(super) last: u32,
}

impl GroupTables {
    pub(super) fn rows(&self) -> usize {
        self.rows.len() + self.members.len() + self.changes.len() + self.entries.len()
    }

    pub(super) fn apply(&mut self, write: Write) {
        match write {
            Write::PutGroup(row) => {
                self.last = self.last.max(row.id.0);
                self.rows.insert(row.id, row);
            }
            Write::DeleteGroup(id) => {
                self.clear(id);
                self.rows.remove(&id);
                self.hubs.retain(|(group, _), _| *group != id);
                self.changes.retain(|(group, ..), _| *group != id);
            }
            Write::ClearGroup(id) => self.clear(id),
            Write::PutMember { group, member } => {
                self.members.insert((group, member.member.clone()), member);
            }
            Write::DeleteMember { group, member } => {
                self.members.remove(&(group, member));
            }
            Write::PutGroupHub { group, hub } => {
                self.hubs.insert((group, hub.hub.clone()), hub);
            }
            Write::AppendGroupChange(row) => {
                self.changes
                    .insert((row.group, row.author.clone(), row.seq), *row);
            }
            Write::AppendGroupEntry(row) => {
                self.entries.insert((row.group, row.id), *row);
            }
            Write::SetGroupEntry {
                group,
                id,
                new_id,
                from,
                void,
            } => {
                if let Some(mut entry) = self.entries.remove(&(group, id)) {
                    (entry.id, entry.from, entry.void) = (new_id, from, void);
                    self.entries.insert((group, new_id), entry);
                }
            }
            Write::RenameGroupAuthor { group, old, new } => {
                let entries = self.entries.values_mut();
                for entry in entries.filter(|e| e.group == group && e.from == old) {
                    entry.from = new.clone();
                }
            }
            Write::DeleteGroupEntries { group, ids } => {
                for id in ids {
                    self.entries.remove(&(group, id));
                }
            }
            _ => {}
        }
    }

    fn clear(&mut self, id: GroupId) {
        self.members.retain(|(group, _), _| *group != id);
        self.entries.retain(|(group, _), _| *group != id);
    }

    pub(super) fn load(&self) -> Vec<GroupLoad> {
        let load = |row: &GroupRow| {
            let members = self.members.iter().filter(|((g, _), _)| *g == row.id);
            let hubs = self.hubs.iter().filter(|((g, _), _)| *g == row.id);
            GroupLoad {
                row: row.clone(),
                members: members.map(|(_, member)| member.clone()).collect(),
                hubs: hubs.map(|(_, hub)| hub.clone()).collect(),
                last_id: self.of(row.id, 0).next_back().map_or(0, |e| e.id),
            }
        };
        self.rows.values().map(load).collect()
    }

    pub(super) fn find(&self, msg_id: &str) -> Option<GroupEntryRow> {
        self.entries.values().find(|e| e.msg_id == msg_id).cloned()
    }

    fn of(&self, group: GroupId, after: u64) -> impl DoubleEndedIterator<Item = &GroupEntryRow> {
        let range = (group, after.saturating_add(1))..=(group, u64::MAX);
        self.entries.range(range).map(|(_, entry)| entry)
    }

    pub(super) fn counting(
        &self,
        group: GroupId,
        after: u64,
    ) -> impl Iterator<Item = &GroupEntryRow> {
        self.of(group, after).filter(|e| !e.void)
    }

    pub(super) fn places(&self, group: GroupId) -> Vec<EntryPlace> {
        let place = |e: &GroupEntryRow| EntryPlace {
            id: e.id,
            op: e.op.clone(),
            wrote: e.wrote.clone(),
            from: e.from.clone(),
            old: e.old,
            void: e.void,
        };
        self.of(group, 0).map(place).collect()
    }

    pub(super) fn texts(
        &self,
        group: GroupId,
        author: Option<&PeerId>,
        after: u64,
    ) -> Vec<GroupEntryRow> {
        let texts = self
            .of(group, 0)
            .filter(|e| !e.op.change && e.op.author.as_ref() == author && e.op.seq > after);
        let mut texts: Vec<_> = texts.cloned().collect();
        texts.sort_by_key(|e| e.op.seq);
        texts
    }

    pub(super) fn changes(&self, group: GroupId) -> Vec<GroupChangeRow> {
        let of = self.changes.iter().filter(|((g, ..), _)| *g == group);
        of.map(|(_, change)| change.clone()).collect()
    }
}
