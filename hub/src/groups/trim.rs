//! The ring of a group's history: the newest texts by the total order, the same on every hub.

use super::log::place_of;
use super::op::Place;
use crate::hub::{Done, Turn};
use crate::{EntryPlace, GroupHubRow, GroupId, Hub, Store, Write};
use ecorelay_protocol::{PeerId, limits};
use std::collections::{BTreeMap, BTreeSet};

/// The history is cut in steps, so that not every entry pays for it.
const TRIM_STEP: usize = 32;

impl Hub {
    /// Cuts a group's history where it has grown over its bound.
    pub(super) fn trim_history(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId) -> Done {
        let most = limits::GROUP_HISTORY + TRIM_STEP;
        if self
            .groups
            .all
            .get(&id)
            .is_none_or(|g| g.row.deleted.is_some())
        {
            return Ok(());
        }
        let log = self.log(t, id)?;
        if log.texts < most && log.lines < most {
            return Ok(());
        }
        let own = self.own_peer();
        let places = t.store.group_places(id)?;
        let (mut lines, mut texts): (Vec<_>, Vec<_>) = places.iter().partition(|e| e.op.change);
        for part in [&mut lines, &mut texts] {
            part.sort_by_cached_key(|entry| place_of(&entry.op, &own));
            part.truncate(part.len().saturating_sub(limits::GROUP_HISTORY));
        }
        let mut gone: BTreeMap<Option<PeerId>, u64> = BTreeMap::new();
        for text in &texts {
            let last = gone.entry(text.op.author.clone()).or_default();
            *last = text.op.seq.max(*last);
        }
        let log = self.log(t, id)?;
        log.texts -= texts.len();
        log.lines -= lines.len();
        for (hub, texts) in gone {
            let author = hub.clone().unwrap_or_else(|| own.clone());
            let author = self.log(t, id)?.authors.entry(author).or_default();
            author.gone = author.gone.max(texts);
            if let Some(group) = self.groups.all.get_mut(&id) {
                group.hubs.insert(hub.clone(), texts);
            }
            let hub = GroupHubRow { hub, texts };
            self.write(t, Write::PutGroupHub { group: id, hub })?;
        }
        let ids: Vec<u64> = lines.iter().chain(&texts).map(|entry| entry.id).collect();
        if let Some(group) = self.groups.all.get_mut(&id) {
            let highest = ids.iter().copied().max().unwrap_or(0);
            group.row.trimmed = group.row.trimmed.max(highest);
        }
        self.write(t, Write::DeleteGroupEntries { group: id, ids })?;
        self.note_top(t, id)
    }

    /// Returns the entries that the next cut takes, so that every hub shows the same history,
    /// wherever it is between two cuts.
    pub(super) fn beyond_the_ring(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
    ) -> Done<BTreeSet<u64>> {
        let log = self.log(t, id)?;
        if log.texts + log.lines <= limits::GROUP_HISTORY {
            return Ok(BTreeSet::new());
        }
        let own = self.own_peer();
        let mut places: Vec<(Place, EntryPlace)> = t
            .store
            .group_places(id)?
            .into_iter()
            .map(|entry| (place_of(&entry.op, &own), entry))
            .collect();
        places.sort_by(|(a, _), (b, _)| b.cmp(a));
        let (mut texts, mut lines, mut shown) = (0, 0, 0);
        let mut beyond = BTreeSet::new();
        for (_, entry) in places {
            let rank = if entry.op.change {
                &mut lines
            } else {
                &mut texts
            };
            *rank += 1;
            if entry.void {
                continue;
            }
            if *rank > limits::GROUP_HISTORY || shown >= limits::GROUP_HISTORY {
                beyond.insert(entry.id);
            } else {
                shown += 1;
            }
        }
        Ok(beyond)
    }

    /// Returns how many entries with an id above `cursor` are no longer kept.
    pub(super) fn cut_after(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        cursor: u64,
    ) -> Done<u64> {
        let trimmed = self.groups.all.get(&id).map_or(0, |g| g.row.trimmed);
        if trimmed <= cursor {
            return Ok(0);
        }
        let places = t.store.group_places(id)?;
        let there = places.iter().filter(|e| e.id > cursor && e.id <= trimmed);
        Ok((trimmed - cursor).saturating_sub(there.count() as u64))
    }
}
