//! Taking operations of other hubs into a group's log: what is checked of them, and what a hub
//! that lies cannot do.

use super::Group;
use super::exchange::FRAME_OPS;
use super::log::Author;
use super::op::{Body, Written, creator, is_uid};
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{GroupId, Hub, Store, Write};
use ecorelay_protocol::link::GroupOps;
use ecorelay_protocol::{PeerId, limits};
use std::collections::{BTreeMap, BTreeSet};

/// How far one operation may be ahead of everything known of the group.
const JUMP: u64 = 1 << 32;
/// Groups that one other hub may bring here: it cannot use up the room of all.
const GROUPS_OF_ONE_HUB: usize = limits::GROUPS / 2;

/// Why an operation is not taken.
enum Miss {
    /// It is there already, or of no use here.
    Known,
    /// Something before it is missing.
    Gap,
    /// It is not valid.
    Invalid(&'static str),
}

/// How far the log goes with what was taken of the frame at hand.
struct Ahead {
    authors: BTreeMap<PeerId, Author>,
    lamport: u64,
    changes: usize,
    /// The hubs that have or had members.
    hubs: BTreeSet<PeerId>,
    /// Texts are of use here.
    here: bool,
    deleted: bool,
}

impl Hub {
    /// A linked hub sends a part of a group's log.
    pub(crate) fn group_ops(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        frame: GroupOps,
    ) -> Done {
        if self.mesh.link_to(peer) != Some(link) {
            return Ok(());
        }
        let (uid, more) = (frame.group, frame.more);
        let mut ops = Vec::new();
        for signed in frame.ops.into_iter().take(FRAME_OPS) {
            match Written::read(signed, &uid) {
                Ok(written) => ops.push(written),
                Err(why) => self.refuse_ops(t, peer, 1, &why),
            }
        }
        let id = match self.groups.by_uid.get(&uid).copied() {
            Some(id) => id,
            None => match self.meet_group(t, link, peer, &uid, &ops, more)? {
                Some(id) => id,
                None => return Ok(()),
            },
        };
        let from = Some(peer.clone());
        let takes = |g: &Group| g.hubs.is_empty() || g.hubs.contains_key(&from);
        if !self.groups.all.get(&id).is_some_and(takes) {
            return Ok(());
        }
        let kept: BTreeMap<PeerId, u64> = frame.kept.into_iter().take(limits::HUBS).collect();
        let mut ahead = self.ahead(t, id)?;
        let (mut taken, mut gap) = (Vec::new(), false);
        for written in ops {
            match ahead.take(&written, &kept, || written.verified(&*self.keys)) {
                Ok(()) => taken.push(written),
                Err(Miss::Known) => {}
                Err(Miss::Gap) => gap = true,
                Err(Miss::Invalid(why)) => self.refuse_ops(t, peer, 1, why),
            }
        }
        if !taken.is_empty() {
            let before = self.groups.all.get(&id).map_or(0, |g| g.last_id);
            self.take_ops(t, id, taken)?;
            self.push_arrived(t, id, before)?;
            self.groups.syncing.announce(id, t.now);
        }
        if more || gap {
            self.ask(t, link, id)?;
        }
        Ok(())
    }

    fn ahead(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId) -> Done<Ahead> {
        let own = self.own_peer();
        let log = self.log(t, id)?;
        Ok(Ahead {
            authors: log.authors.clone(),
            lamport: log.lamport,
            changes: log.changes,
            hubs: log.state.hubs.clone(),
            here: log.state.has_members_of(&own),
            deleted: log.state.deleted.is_some(),
        })
    }

    /// Returns a new row for a group that is not known yet, if its log begins here, and if this
    /// hub and the sender have members.
    fn meet_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        uid: &str,
        ops: &[Written],
        more: bool,
    ) -> Done<Option<GroupId>> {
        let made = ops.iter().find_map(|written| match &written.op.body {
            Body::Create { name, admin, .. } => Some((written, name, admin)),
            _ => None,
        });
        let Some((made, name, admin)) = made else {
            self.ask_unknown(t, link, uid);
            return Ok(None);
        };
        if !is_uid(uid) || !made.verified(&*self.keys) {
            self.refuse_ops(t, peer, 1, "the making of a group with a bad signature");
            return Ok(None);
        }
        let mut hubs = BTreeSet::new();
        for written in ops {
            hubs_of(written, &mut hubs);
        }
        if !hubs.contains(peer) || !(more || hubs.contains(self.keys.peer_id())) {
            return Ok(None);
        }
        let by = made.author.as_str();
        let of_one = self
            .groups
            .all
            .values()
            .filter(|g| creator(&g.row.uid) == Some(by));
        if self.groups.by_name.len() >= limits::GROUPS || of_one.count() >= GROUPS_OF_ONE_HUB {
            self.refuse_ops(t, peer, 1, "there are as many groups as there can be");
            return Ok(None);
        }
        self.forget_groups(t)?;
        let who = (admin.clone(), made.author.clone());
        let (uid, name, ts) = (uid.to_owned(), name.clone(), made.op.ts);
        let admin = self.member_of(&who);
        self.add_group(t, uid, name, admin, ts).map(Some)
    }

    /// Makes room for one more group by forgetting the oldest that no session here is in.
    fn forget_groups(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        while self.groups.all.len() - self.groups.by_name.len() >= limits::GROUPS_REMEMBERED {
            let away = self.groups.all.values().filter(|g| !g.is_here());
            let oldest = away.min_by_key(|g| (g.row.deleted.is_none(), g.row.created));
            let Some(row) = oldest.map(|g| g.row.clone()) else {
                return Ok(());
            };
            self.groups.all.remove(&row.id);
            self.groups.by_uid.remove(&row.uid);
            self.write(t, Write::DeleteGroup(row.id))?;
        }
        Ok(())
    }
}

impl Ahead {
    /// Takes one operation, if it is the next of its author and valid.
    fn take(
        &mut self,
        written: &Written,
        kept: &BTreeMap<PeerId, u64>,
        verified: impl FnOnce() -> bool,
    ) -> Result<(), Miss> {
        let op = &written.op;
        let is_change = op.body.is_change();
        let head = self
            .authors
            .get(&written.author)
            .copied()
            .unwrap_or_default();
        let had = if is_change { head.changes } else { head.texts };
        if op.seq <= had || (!is_change && self.deleted) {
            return Err(Miss::Known);
        }
        let first_kept = !is_change && kept.get(&written.author) == Some(&op.seq);
        let makes = matches!(op.body, Body::Create { .. });
        if (op.seq > had + 1 && !first_kept)
            || (!makes && !self.hubs.contains(&written.author))
            || (!is_change && !self.here)
        {
            return Err(Miss::Gap);
        }
        if op.lamport > self.lamport.saturating_add(JUMP) {
            return Err(Miss::Invalid("a time far ahead of everything in the group"));
        }
        if is_change && op.seq > 1 && op.lamport <= head.changed {
            return Err(Miss::Invalid(
                "a change that is not after the one before it",
            ));
        }
        if is_change && self.changes >= limits::GROUP_CHANGES {
            return Err(Miss::Invalid(
                "more changes of the membership than a group can have",
            ));
        }
        if !verified() {
            return Err(Miss::Invalid("a signature that is not its author's"));
        }
        self.lamport = self.lamport.max(op.lamport);
        let head = self.authors.entry(written.author.clone()).or_default();
        if is_change {
            (head.changes, head.changed) = (op.seq, op.lamport);
            self.changes += 1;
            hubs_of(written, &mut self.hubs);
        } else {
            head.texts = op.seq;
        }
        Ok(())
    }
}

/// Adds the hubs that an operation brings into the group.
fn hubs_of(written: &Written, hubs: &mut BTreeSet<PeerId>) {
    match &written.op.body {
        Body::Create { members, .. } => {
            hubs.insert(written.author.clone());
            hubs.extend(members.iter().map(|(_, hub)| hub.clone()));
        }
        Body::Invite { who, .. } => {
            hubs.insert(who.1.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::groups::op::{Op, new_uid};
    use crate::{Keys as _, PlainKeys};

    fn peer(n: u8) -> PeerId {
        PlainKeys::numbered(n).peer_id().clone()
    }

    fn written(author: u8, seq: u64, lamport: u64, change: bool) -> Written {
        let who = "a".parse().unwrap();
        let body = if change {
            Body::Leave { who }
        } else {
            let (msg_id, text) = ("m-1".into(), "x".into());
            Body::Text {
                from: who,
                msg_id,
                text,
            }
        };
        let group = new_uid("u", &peer(1));
        let op = Op {
            group,
            seq,
            lamport,
            ts: 1,
            body,
        };
        Written::own(peer(author), op)
    }

    fn ahead() -> Ahead {
        let author = Author {
            changes: 2,
            changed: 7,
            texts: 4,
            gone: 0,
        };
        Ahead {
            authors: BTreeMap::from([(peer(1), author)]),
            lamport: 9,
            changes: 2,
            hubs: BTreeSet::from([peer(1), peer(2)]),
            here: true,
            deleted: false,
        }
    }

    #[test]
    fn only_what_is_next_and_valid_is_taken() {
        let none = BTreeMap::new();
        let take = |w: Written, good: bool| match ahead().take(&w, &none, || good) {
            Ok(()) => "taken",
            Err(Miss::Known) => "known",
            Err(Miss::Gap) => "gap",
            Err(Miss::Invalid(_)) => "invalid",
        };
        assert_eq!(take(written(1, 3, 10, true), true), "taken");
        assert_eq!(take(written(1, 5, 8, false), true), "taken");
        assert_eq!(take(written(2, 1, 1, false), true), "taken");
        assert_eq!(take(written(1, 2, 10, true), true), "known");
        assert_eq!(take(written(1, 4, 10, true), true), "gap");
        assert_eq!(take(written(1, 6, 10, false), true), "gap");
        assert_eq!(take(written(3, 1, 10, false), true), "gap");
        assert_eq!(take(written(1, 3, 7, true), true), "invalid");
        assert_eq!(take(written(1, 3, JUMP + 10, true), true), "invalid");
        assert_eq!(take(written(1, 3, 10, true), false), "invalid");
        let kept = BTreeMap::from([(peer(1), 9)]);
        assert!(
            ahead()
                .take(&written(1, 9, 10, false), &kept, || true)
                .is_ok()
        );
        assert!(
            ahead()
                .take(&written(1, 8, 10, false), &kept, || true)
                .is_err()
        );
    }
}
