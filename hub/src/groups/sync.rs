//! Keeping groups the same on every hub that has or had members: who has how much of which log.
//!
//! Nothing is kept of what another hub has but what it said on this link, so a link that ends
//! leaves nothing behind. What is exchanged is worked out from both sides' versions each time.

use super::pace::Pace;
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{GroupId, Hub, Store, Warning};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::limits;
use ecorelay_protocol::link::{Frame, GroupVersion, GroupVersions};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};

/// How long this hub waits before it tells others what it has taken in, in ms: most of them have
/// it from the author by then.
const ANNOUNCE_MS: u64 = 500;
/// Groups another hub named that this one does not know and asked about, on all links.
const ASKED_UNKNOWN: usize = 1_000;

/// What hubs have said to each other of their groups on the links that are up. Versions are kept
/// as a hash: they are only compared.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    /// When the versions of these groups are announced.
    due: BTreeMap<GroupId, u64>,
    /// The versions last heard, and last said.
    heard: BTreeMap<(LinkId, GroupId), u64>,
    said: BTreeMap<(LinkId, GroupId), u64>,
    /// The own and the other's versions at which more was last asked for: asking again is only of
    /// use when one of them is another.
    asked: BTreeMap<(LinkId, GroupId), (u64, u64)>,
    asked_unknown: BTreeSet<(LinkId, String)>,
    pub(super) paces: BTreeMap<LinkId, Pace>,
    /// How many operations of each hub were refused.
    refused: BTreeMap<PeerId, u64>,
}

impl Syncing {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let paces = self.paces.values().filter_map(Pace::deadline);
        self.due.values().copied().chain(paces).min()
    }

    pub(super) fn announce(&mut self, id: GroupId, now: u64) {
        self.due.entry(id).or_insert(now + ANNOUNCE_MS);
    }

    /// Forgets what was said on links that are gone.
    fn forget(&mut self, live: impl Fn(&LinkId) -> bool) {
        self.heard.retain(|(link, _), _| live(link));
        self.said.retain(|(link, _), _| live(link));
        self.asked.retain(|(link, _), _| live(link));
        self.asked_unknown.retain(|(link, _)| live(link));
        self.paces.retain(|link, _| live(link));
    }
}

/// Returns a number that is another for other versions.
fn hash_of(versions: &[GroupVersion]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let there = versions.iter().filter(|v| v.changes > 0 || v.texts > 0);
    let mut there: Vec<&GroupVersion> = there.collect();
    there.sort_by(|a, b| a.author.cmp(&b.author));
    there.hash(&mut hasher);
    hasher.finish()
}

impl Hub {
    /// A hub is linked: tells it how far this one has the groups both have members of.
    pub(crate) fn groups_linked(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
    ) -> Done {
        let links = &self.mesh.links;
        self.groups.syncing.forget(|link| links.contains_key(link));
        let peer = Some(peer.clone());
        let shared = self
            .groups
            .all
            .values()
            .filter(|g| g.hubs.contains_key(&peer));
        let ids: Vec<GroupId> = shared.map(|g| g.row.id).collect();
        for id in ids {
            self.say_versions(t, link, id)?;
        }
        Ok(())
    }

    /// A linked hub says how far it has a group.
    pub(crate) fn group_versions(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        versions: &GroupVersions,
    ) -> Done {
        if self.mesh.link_to(peer) != Some(link) {
            return Ok(());
        }
        if versions.authors.len() > limits::HUBS {
            self.refuse_ops(t, peer, 1, "versions of more hubs than there can be");
            return Ok(());
        }
        let Some(id) = self.groups.by_uid.get(&versions.group).copied() else {
            if !versions.authors.is_empty() {
                self.ask_unknown(t, link, &versions.group);
            }
            return Ok(());
        };
        let shares = |g: &super::Group| g.hubs.contains_key(&Some(peer.clone()));
        if !self.groups.all.get(&id).is_some_and(shares) {
            return Ok(());
        }
        let heard = hash_of(&versions.authors);
        self.groups.syncing.heard.insert((link, id), heard);
        self.send_paced(t, link, peer, id, versions)?;
        if self.lacks(t, id, versions)? {
            self.ask(t, link, id)?;
        }
        Ok(())
    }

    /// Announces what was taken in to the linked hubs that may not have it.
    pub(crate) fn group_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        self.pace_timers(t)?;
        let due = self.groups.syncing.due.iter();
        let due: Vec<GroupId> = due
            .filter(|(_, at)| **at <= t.now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.groups.syncing.due.remove(&id);
            let Some(group) = self.groups.all.get(&id) else {
                continue;
            };
            let hubs = group.hubs.keys().flatten();
            let links: Vec<LinkId> = hubs.filter_map(|peer| self.mesh.link_to(peer)).collect();
            if links.is_empty() {
                continue;
            }
            let own = hash_of(&self.own_versions(t, id)?.authors);
            for link in links {
                let syncing = &self.groups.syncing;
                let known = |last: &BTreeMap<_, u64>| last.get(&(link, id)) == Some(&own);
                if !known(&syncing.heard) && !known(&syncing.said) {
                    self.say_versions(t, link, id)?;
                }
            }
        }
        Ok(())
    }

    /// Returns how far this hub has a group.
    pub(super) fn own_versions(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
    ) -> Done<GroupVersions> {
        let group = self.groups.all.get(&id).map(|g| g.row.uid.clone());
        let authors = self
            .log(t, id)?
            .authors
            .iter()
            .map(|(author, log)| GroupVersion {
                author: author.clone(),
                changes: log.changes,
                texts: log.texts,
            });
        Ok(GroupVersions {
            authors: authors.collect(),
            group: group.unwrap_or_default(),
        })
    }

    /// Says after the commit how far this hub has a group.
    pub(super) fn say_versions(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        id: GroupId,
    ) -> Done {
        let versions = self.own_versions(t, id)?;
        let hash = hash_of(&versions.authors);
        self.groups.syncing.said.insert((link, id), hash);
        t.effects.frame_after(link, &Frame::GroupVersions(versions));
        Ok(())
    }

    /// Asks for what this hub lacks, unless it has asked for just that.
    pub(super) fn ask(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId, id: GroupId) -> Done {
        let own = hash_of(&self.own_versions(t, id)?.authors);
        let syncing = &mut self.groups.syncing;
        let heard = syncing.heard.get(&(link, id)).copied().unwrap_or(0);
        if syncing.asked.insert((link, id), (own, heard)) == Some((own, heard)) {
            return Ok(());
        }
        self.say_versions(t, link, id)
    }

    /// Asks once for the log of a group that is not known here.
    pub(super) fn ask_unknown(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId, uid: &str) {
        let asked = &mut self.groups.syncing.asked_unknown;
        if !super::op::is_uid(uid)
            || asked.len() >= ASKED_UNKNOWN
            || !asked.insert((link, uid.to_owned()))
        {
            return;
        }
        let versions = GroupVersions {
            group: uid.to_owned(),
            authors: Vec::new(),
        };
        t.effects.frame_after(link, &Frame::GroupVersions(versions));
    }

    /// Returns whether another hub has something of a group that this one lacks and can use.
    fn lacks(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        versions: &GroupVersions,
    ) -> Done<bool> {
        let here = self.groups.all.get(&id).is_some_and(super::Group::is_here);
        let log = self.log(t, id)?;
        Ok(versions.authors.iter().any(|version| {
            let own = log.author(&version.author);
            version.changes > own.changes || (here && version.texts > own.texts)
        }))
    }

    /// Counts operations of a hub that are not valid, and shows that in `status`.
    pub(super) fn refuse_ops(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        count: u64,
        why: &str,
    ) {
        let refused = &mut self.groups.syncing.refused;
        if refused.len() >= limits::HUBS && !refused.contains_key(peer) {
            refused.pop_first();
        }
        let sum = refused.entry(peer.clone()).or_default();
        *sum += count;
        let sum = *sum;
        let hub = self
            .mesh
            .hub_id(peer)
            .map_or(peer.as_str(), |hub_id| hub_id.as_str());
        let message = format!(
            "The hub {hub} has sent {sum} operations of groups that are not valid; they were ignored. The last: {why}."
        );
        let warning = Warning {
            code: "group_ops_refused".into(),
            message,
            remedy: format!(
                "Update ecorelay on {hub}; ask its owner whom the hub belongs to if that does not help."
            ),
        };
        if self.warnings.insert("group_ops_refused", warning).is_none() {
            self.status_changed(t);
        }
    }
}
