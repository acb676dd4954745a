//! A group's log in memory: how far it goes, and what it comes to. Read from the store when it
//! is first needed.

use super::fold::State;
use super::op::{Op, Place, Written};
use crate::hub::{Done, Turn, refuse};
use crate::{EntryPlace, GroupChangeRow, GroupId, Hub, OpId, Store};
use ecorelay_protocol::{ErrorCode, PeerId, from_cbor};
use std::collections::BTreeMap;

/// How far the log of one group goes.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupLog {
    /// What all changes come to.
    pub(super) state: State,
    pub(super) authors: BTreeMap<PeerId, Author>,
    /// The highest Lamport time seen.
    pub(super) lamport: u64,
    pub(super) last_change: Option<Place>,
    pub(super) last_text: Option<Place>,
    /// How many changes there are.
    pub(super) changes: usize,
    /// How many texts and how many lines about changes the history holds.
    pub(super) texts: usize,
    pub(super) lines: usize,
}

/// How far one author's part of the log goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Author {
    /// Its last change.
    pub(super) changes: u64,
    /// The Lamport time of that.
    pub(super) changed: u64,
    /// Its last text.
    pub(super) texts: u64,
    /// Its last text that is no longer kept.
    pub(super) gone: u64,
}

impl GroupLog {
    /// Returns how far an author's part goes.
    pub(super) fn author(&self, author: &PeerId) -> Author {
        self.authors.get(author).copied().unwrap_or_default()
    }

    /// Counts an operation that was added.
    pub(super) fn count(&mut self, written: &Written) {
        let (place, op) = (written.place(), &written.op);
        self.lamport = self.lamport.max(op.lamport);
        let author = self.authors.entry(written.author.clone()).or_default();
        if op.body.is_change() {
            (author.changes, author.changed) = (op.seq, op.lamport);
            self.changes += 1;
            self.last_change = self.last_change.take().max(Some(place));
        } else {
            author.texts = author.texts.max(op.seq);
            self.texts += 1;
            self.last_text = self.last_text.take().max(Some(place));
        }
    }
}

/// Returns where an entry is in the total order; `own` is this hub.
pub(super) fn place_of(op: &OpId, own: &PeerId) -> Place {
    Place {
        lamport: op.lamport,
        author: op.author.as_ref().unwrap_or(own).clone(),
        text: !op.change,
        seq: op.seq,
    }
}

/// Returns the changes of a group in the total order. A row that cannot be read is left out.
pub(super) fn in_order(rows: Vec<GroupChangeRow>, own: &PeerId) -> Vec<Written> {
    let read = |row: GroupChangeRow| {
        Some(Written {
            author: row.author.unwrap_or_else(|| own.clone()),
            op: from_cbor::<Op>(&row.payload.0).ok()?,
            payload: row.payload,
            signature: row.signature,
        })
    };
    let mut changes: Vec<Written> = rows.into_iter().filter_map(read).collect();
    changes.sort_by_cached_key(Written::place);
    changes
}

impl Hub {
    /// Returns this hub's own key as other hubs know it.
    pub(super) fn own_peer(&self) -> PeerId {
        self.keys.peer_id().clone()
    }

    /// Returns a group's log.
    pub(super) fn log(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId) -> Done<&mut GroupLog> {
        let own = self.own_peer();
        let Some(group) = self.groups.all.get_mut(&id) else {
            return refuse(ErrorCode::GroupNotFound, "There is no such group.");
        };
        let log = match group.log.take() {
            Some(log) => log,
            None => {
                let changes = in_order(t.store.group_changes(id)?, &own);
                let places = t.store.group_places(id)?;
                let mut log = read_log(&changes, &places, &own);
                for (hub, gone) in &group.hubs {
                    let author = log
                        .authors
                        .entry(hub.clone().unwrap_or_else(|| own.clone()));
                    let author = author.or_default();
                    (author.texts, author.gone) = (author.texts.max(*gone), author.gone.max(*gone));
                }
                Box::new(log)
            }
        };
        Ok(group.log.insert(log))
    }
}

fn read_log(changes: &[Written], places: &[EntryPlace], own: &PeerId) -> GroupLog {
    let mut log = GroupLog::default();
    for change in changes {
        log.state.apply(&change.author, &change.op);
        log.count(change);
    }
    for entry in places {
        let place = place_of(&entry.op, own);
        log.lamport = log.lamport.max(place.lamport);
        if entry.op.change {
            log.lines += 1;
            continue;
        }
        log.texts += 1;
        let author = log.authors.entry(place.author.clone()).or_default();
        author.texts = author.texts.max(place.seq);
        log.last_text = log.last_text.take().max(Some(place));
    }
    log
}
