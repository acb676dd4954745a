//! Working a group out anew, when operations came that belong before others that are known.

use super::apply::Counted;
use super::fold::{Event, State};
use super::log::{in_order, place_of};
use super::op::{Place, Who};
use crate::hub::{Done, Turn};
use crate::{EntryPlace, GroupId, Hub, Store, Write};
use ecorelay_protocol::limits;
use std::collections::BTreeSet;

impl Hub {
    /// Folds a group's whole log, corrects its history, and returns what the log comes to with
    /// all changes that count.
    pub(super) fn refold(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
    ) -> Done<(State, Vec<Counted>)> {
        let own = self.own_peer();
        let uid = match self.groups.all.get(&id) {
            Some(group) => group.row.uid.clone(),
            None => String::new(),
        };
        let changes = in_order(t.store.group_changes(id)?, &own);
        let places = t.store.group_places(id)?;
        let (lines, mut texts): (Vec<_>, Vec<_>) = places.into_iter().partition(|e| e.op.change);
        texts.sort_by_cached_key(|entry| place_of(&entry.op, &own));

        let (mut state, mut events, mut verdicts) = (State::default(), Vec::new(), Vec::new());
        let mut next = changes.iter().peekable();
        for text in texts {
            let place = place_of(&text.op, &own);
            while let Some(change) = next.next_if(|change| change.place() < place) {
                fold(&mut state, change, &mut events);
            }
            let counts = state.counts(&place.author, &text.wrote, text.old, &uid);
            verdicts.push((place, text, counts));
        }
        for change in next {
            fold(&mut state, change, &mut events);
        }
        self.log(t, id)?.state = state.clone();
        if state.deleted.is_some() {
            return Ok((state, events));
        }
        let renames = Renames::of(&events);
        self.correct_texts(t, id, &renames, verdicts)?;
        self.correct_lines(t, id, &events, &renames, lines)?;
        Ok((state, events))
    }

    /// Notes which texts count and what their authors are called now. A text that counts after
    /// all is new to its readers.
    fn correct_texts(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        renames: &Renames<'_>,
        verdicts: Vec<(Place, EntryPlace, bool)>,
    ) -> Done {
        let (mut lost, mut moved) = (Vec::new(), false);
        for (place, text, counts) in verdicts {
            let who = (text.wrote.clone(), place.author.clone());
            let from = self.member_of(&renames.now(&place, who));
            if text.void != counts && text.from == from {
                continue;
            }
            let mut new_id = text.id;
            if text.void
                && counts
                && let Some(group) = self.groups.all.get_mut(&id)
            {
                group.last_id += 1;
                new_id = group.last_id;
                moved = true;
            }
            if !text.void && !counts && text.op.author.is_none() {
                lost.push((text.op.seq, text.from.name));
            }
            let (group, id, void) = (id, text.id, !counts);
            self.write(
                t,
                Write::SetGroupEntry {
                    group,
                    id,
                    new_id,
                    from,
                    void,
                },
            )?;
        }
        if moved {
            self.note_top(t, id)?;
        }
        self.tell_lost(t, id, &lost)
    }

    /// Brings the lines about changes in line with the changes that count.
    fn correct_lines(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        events: &[Counted],
        renames: &Renames<'_>,
        lines: Vec<EntryPlace>,
    ) -> Done {
        let own = self.own_peer();
        let shown = events.iter().filter(|c| self.line_of(&c.event).is_some());
        let shown: Vec<&Counted> = shown.collect();
        let shown = &shown[shown.len().saturating_sub(limits::GROUP_HISTORY)..];
        let wanted: BTreeSet<&Place> = shown.iter().map(|counted| &counted.place).collect();
        let (mut there, mut stale) = (BTreeSet::new(), Vec::new());
        for line in lines {
            let place = place_of(&line.op, &own);
            if !wanted.contains(&place) {
                stale.push(line.id);
                continue;
            }
            let who = (line.wrote, place.author.clone());
            let from = self.member_of(&renames.now(&place, who));
            if from != line.from {
                let (group, id, void) = (id, line.id, false);
                self.write(
                    t,
                    Write::SetGroupEntry {
                        group,
                        id,
                        new_id: id,
                        from,
                        void,
                    },
                )?;
            }
            there.insert(place);
        }
        self.log(t, id)?.lines = there.len();
        if !stale.is_empty() {
            let (group, ids) = (id, stale);
            self.write(t, Write::DeleteGroupEntries { group, ids })?;
            self.note_top(t, id)?;
        }
        let fresh = shown.iter().filter(|c| !there.contains(&c.place));
        let fresh: Vec<Counted> = fresh.map(|c| (*c).clone()).collect();
        self.add_lines(t, id, &fresh, renames)
    }

    /// Keeps the highest id in use, so that none is used again.
    pub(super) fn note_top(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId) -> Done {
        let Some(group) = self.groups.all.get_mut(&id) else {
            return Ok(());
        };
        group.row.top = group.last_id;
        let row = group.row.clone();
        self.write(t, Write::PutGroup(row)).map(drop)
    }
}

/// The renames of a group, in the total order.
pub(super) struct Renames<'a>(Vec<(&'a Place, &'a Who, &'a Who)>);

impl<'a> Renames<'a> {
    pub(super) fn of(events: &'a [Counted]) -> Self {
        let renames = events.iter().filter_map(|counted| match &counted.event {
            Event::Renamed { old, new } => Some((&counted.place, old, new)),
            _ => None,
        });
        Self(renames.collect())
    }

    /// Returns what somebody is called now who had this name at this place.
    pub(super) fn now(&self, place: &Place, mut who: Who) -> Who {
        for (at, old, new) in &self.0 {
            if *at > place && **old == who {
                who = (*new).clone();
            }
        }
        who
    }
}

fn fold(state: &mut State, change: &super::op::Written, events: &mut Vec<Counted>) {
    if let Some(event) = state.apply(&change.author, &change.op) {
        let (place, ts) = (change.place(), change.op.ts);
        events.push(Counted { place, ts, event });
    }
}
