//! How much of the groups' logs is under way on one link: a hub that lacks a lot of many groups
//! gets one large part after the other, so that the link's queue does not overflow.

use super::Group;
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{GroupId, Hub, Store};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::GroupVersions;
use std::collections::BTreeMap;

/// A part of a log is large from this size on, in bytes: it is answered before the next goes.
/// Smaller ones of all groups together fit into a link's queue.
pub(super) const LARGE: usize = 32 * 1024;
/// How long an answer is waited for, in ms; a hub that took nothing gives none.
const ANSWER_MS: u64 = 5_000;

/// What is under way on one link.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The group of which a large part was sent, and until when its answer is waited for.
    unanswered: Option<(GroupId, u64)>,
    /// What the other hub has of groups it is to get more of.
    waiting: BTreeMap<GroupId, GroupVersions>,
}

impl Pace {
    /// Returns when it is no longer waited for an answer.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.unanswered.map(|(_, until)| until)
    }
}

impl Hub {
    /// Sends another hub what it lacks of a group, now or when it is its turn.
    pub(super) fn send_paced(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        id: GroupId,
        versions: &GroupVersions,
    ) -> Done {
        let pace = self.groups.syncing.paces.entry(link).or_default();
        if pace.unanswered.is_some_and(|(of, _)| of != id) {
            pace.waiting.insert(id, versions.clone());
            return Ok(());
        }
        pace.unanswered = None;
        self.send_part(t, link, peer, id, versions)?;
        self.send_waiting(t, link, peer)
    }

    fn send_part(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        id: GroupId,
        versions: &GroupVersions,
    ) -> Done {
        if self.send_missing(t, link, peer, id, versions)? {
            let pace = self.groups.syncing.paces.entry(link).or_default();
            pace.unanswered = Some((id, t.now + ANSWER_MS));
        }
        Ok(())
    }

    fn send_waiting(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId, peer: &PeerId) -> Done {
        let from = Some(peer.clone());
        while let Some(pace) = self.groups.syncing.paces.get_mut(&link)
            && pace.unanswered.is_none()
            && let Some((id, versions)) = pace.waiting.pop_first()
        {
            let shares = |g: &Group| g.hubs.contains_key(&from);
            if self.groups.all.get(&id).is_some_and(shares) {
                self.send_part(t, link, peer, id, &versions)?;
            }
        }
        Ok(())
    }

    /// Goes on where no answer came.
    pub(super) fn pace_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let paces = self.groups.syncing.paces.iter_mut();
        let late = paces.filter(|(_, pace)| pace.deadline().is_some_and(|due| due <= t.now));
        let late: Vec<LinkId> = late
            .map(|(link, pace)| {
                pace.unanswered = None;
                *link
            })
            .collect();
        for link in late {
            let peer = self.mesh.links.get(&link).map(|entry| entry.peer.clone());
            match peer.filter(|peer| self.mesh.link_to(peer) == Some(link)) {
                Some(peer) => self.send_waiting(t, link, &peer)?,
                None => drop(self.groups.syncing.paces.remove(&link)),
            }
        }
        Ok(())
    }
}
