//! What a group's log of changes comes to: the same on every hub that has the same operations,
//! in whatever order they came.

use super::op::{Body, Op, Who, creator};
use ecorelay_protocol::{Name, PeerId, limits};
use std::collections::{BTreeMap, BTreeSet};

/// What the changes up to a place come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) name: Option<Name>,
    pub(super) created: u64,
    pub(super) admin: Option<Who>,
    /// With when they joined, in ms.
    pub(super) members: BTreeMap<Who, u64>,
    /// The hubs that have or had members.
    pub(super) hubs: BTreeSet<PeerId>,
    /// When it was deleted, in ms.
    pub(super) deleted: Option<u64>,
    /// Members' names on their hub that they no longer have.
    renamed: BTreeMap<Who, Name>,
}

/// A change that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Created { by: Who, members: Vec<Who> },
    Invited { by: Who, who: Who },
    Removed { by: Who, who: Who, reason: String },
    Left { who: Who },
    Renamed { old: Who, new: Who },
    Deleted { by: Who },
}

impl State {
    /// Adds the change that is next in the total order, and returns what it does. A change that
    /// does not count here, because of one before it, does nothing.
    pub(super) fn apply(&mut self, author: &PeerId, op: &Op) -> Option<Event> {
        if self.deleted.is_some() {
            return None;
        }
        let of = |name: &Name| (name.clone(), author.clone());
        match &op.body {
            Body::Create {
                name,
                admin,
                members,
            } => {
                let admin = of(admin);
                self.name = Some(name.clone());
                self.created = op.ts;
                self.admin = Some(admin.clone());
                self.join(admin.clone(), op.ts);
                for member in members {
                    self.join(member.clone(), op.ts);
                }
                let members = members.clone();
                Some(Event::Created { by: admin, members })
            }
            Body::Invite { by, who } => {
                let by = self.as_admin(of(by))?;
                if self.members.contains_key(who) || self.members.len() >= limits::GROUP_MEMBERS {
                    return None;
                }
                self.renamed.remove(who);
                self.join(who.clone(), op.ts);
                let who = who.clone();
                Some(Event::Invited { by, who })
            }
            Body::Remove { by, who, reason } => {
                let by = self.as_admin(of(by))?;
                // The admin may not have known yet that it has another name.
                let who = self.as_member(who).filter(|who| *who != by)?;
                self.go(&who);
                let reason = reason.clone();
                Some(Event::Removed { by, who, reason })
            }
            Body::Leave { who } => {
                let who = of(who);
                if !self.members.contains_key(&who) || self.admin.as_ref() == Some(&who) {
                    return None;
                }
                self.go(&who);
                Some(Event::Left { who })
            }
            Body::Rename { old, new } => {
                let (old, new) = (of(old), of(new));
                let joined = self.members.remove(&old)?;
                self.members.entry(new.clone()).or_insert(joined);
                if self.admin.as_ref() == Some(&old) {
                    self.admin = Some(new.clone());
                }
                self.renamed.remove(&new);
                self.renamed.insert(old.clone(), new.0.clone());
                Some(Event::Renamed { old, new })
            }
            Body::Delete { by } => {
                let by = self.as_admin(of(by))?;
                self.deleted = Some(op.ts);
                Some(Event::Deleted { by })
            }
            Body::Text { .. } | Body::Old { .. } => None,
        }
    }

    /// Returns whether a text counts that is next in the total order.
    pub(super) fn counts(&self, author: &PeerId, from: &Name, old: bool, uid: &str) -> bool {
        if old {
            return creator(uid) == Some(author.as_str());
        }
        self.deleted.is_none() && self.members.contains_key(&(from.clone(), author.clone()))
    }

    /// Returns whether a hub has members now.
    pub(super) fn has_members_of(&self, hub: &PeerId) -> bool {
        self.deleted.is_none() && self.members.keys().any(|(_, of)| of == hub)
    }

    fn join(&mut self, who: Who, ts: u64) {
        self.hubs.insert(who.1.clone());
        self.members.entry(who).or_insert(ts);
    }

    fn go(&mut self, who: &Who) {
        self.members.remove(who);
        self.renamed
            .retain(|(_, hub), now| *hub != who.1 || *now != who.0);
    }

    fn as_admin(&self, by: Who) -> Option<Who> {
        (self.admin.as_ref() == Some(&by)).then_some(by)
    }

    /// Returns the member that has, or last had, this name.
    fn as_member(&self, who: &Who) -> Option<Who> {
        let mut who = who.clone();
        // A name can have come back; each step uses another entry.
        for _ in 0..=self.renamed.len() {
            if self.members.contains_key(&who) {
                return Some(who);
            }
            who.0 = self.renamed.get(&who)?.clone();
        }
        None
    }
}
