//! Groups: durable conversations with members, an admin, a history and a cursor per member, on
//! every hub that has members.
//!
//! A group is the log of its operations, each written and signed by the hub of whoever acts
//! (`op`). Changes of the membership are kept for ever and folded in one total order (`fold`);
//! texts are a ring. What they come to on this hub is kept as rows (`apply`, `refold`,
//! `materialize`), which is what requests (`changes`, `history`) read. `sync`, `exchange` and
//! `intake` keep logs the same on all hubs, `pace` keeps links from overflowing, `tell` says
//! to sessions what has happened.

mod adopt;
mod apply;
mod changes;
mod exchange;
mod fold;
mod history;
mod intake;
mod log;
mod make;
mod materialize;
mod names;
mod op;
mod pace;
mod refold;
mod revoked;
mod send;
mod sync;
mod tell;
#[cfg(test)]
mod tests;
mod trim;

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Durable, GroupId, GroupRow, Hub, Member, MemberRow, Store};
use ecorelay_protocol::{Address, ErrorCode, GroupRequest, HubLine, Name, PeerId};
use log::GroupLog;
use std::collections::BTreeMap;
use sync::Syncing;

/// A group without its history.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) row: GroupRow,
    pub(crate) members: BTreeMap<Member, MemberRow>,
    /// The hubs that have or had members (`None` for this one), with the last text of each that
    /// is no longer kept.
    hubs: BTreeMap<Option<PeerId>, u64>,
    pub(crate) last_id: u64,
    /// Cursors whose page is on its way: not moved yet, not shown again.
    in_flight: BTreeMap<Member, u64>,
    log: Option<Box<GroupLog>>,
}

/// All groups of a hub.
#[derive(Debug)]
pub(crate) struct Groups {
    all: BTreeMap<GroupId, Group>,
    /// Those that sessions of this hub are in.
    by_name: BTreeMap<Name, GroupId>,
    by_uid: BTreeMap<String, GroupId>,
    /// Those from before groups had logs.
    old: Vec<GroupId>,
    last: u32,
    syncing: Syncing,
}

impl Groups {
    pub(crate) fn new(durable: &Durable) -> Self {
        let group = |load: &crate::GroupLoad| {
            let members = load.members.iter().map(|m| (m.member.clone(), m.clone()));
            let hubs = load.hubs.iter().map(|h| (h.hub.clone(), h.texts));
            let group = Group {
                row: load.row.clone(),
                members: members.collect(),
                hubs: hubs.collect(),
                last_id: load.last_id.max(load.row.top),
                in_flight: BTreeMap::new(),
                log: None,
            };
            (load.row.id, group)
        };
        let all: BTreeMap<GroupId, Group> = durable.groups.iter().map(group).collect();
        let shown = all.values().filter(|g| g.is_here());
        let old = all.values().filter(|g| op::creator(&g.row.uid).is_none());
        Self {
            by_name: shown.map(|g| (g.row.name.clone(), g.row.id)).collect(),
            by_uid: all
                .values()
                .map(|g| (g.row.uid.clone(), g.row.id))
                .collect(),
            old: old.map(|g| g.row.id).collect(),
            last: durable.last_group,
            syncing: Syncing::default(),
            all,
        }
    }

    /// Returns the groups that sessions of this hub are in, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values().filter_map(|id| self.all.get(id))
    }

    /// Returns when [`Hub::group_timers`] is due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.syncing.next_deadline()
    }

    /// Notes the pages that are on their way.
    pub(crate) fn note_cursors<'a>(
        &mut self,
        cursors: impl Iterator<Item = (GroupId, &'a Address, u64)>,
    ) {
        for (id, reader, to) in cursors {
            if let Some(group) = self.all.get_mut(&id) {
                let reader = Member::local(reader.name.clone());
                group.in_flight.insert(reader, to);
            }
        }
    }

    fn named(&self, name: &Name) -> Option<&Group> {
        self.all.get(self.by_name.get(name)?)
    }
}

impl Group {
    /// Returns whether sessions of this hub are in it.
    fn is_here(&self) -> bool {
        self.row.deleted.is_none() && self.members.keys().any(|m| m.hub.is_none())
    }

    fn cursor(&self, reader: &Member) -> u64 {
        let read = self.members.get(reader).map_or(0, |m| m.last_read);
        read.max(self.in_flight.get(reader).copied().unwrap_or(0))
    }
}

impl Hub {
    pub(crate) fn group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        group: &str,
        request: GroupRequest,
    ) -> Done {
        let me = Member::local(self.me(caller)?);
        let name = Name::parse(group, "The group's name")?;
        match request {
            GroupRequest::Create { members } => self.group_create(t, caller, &me, name, &members),
            GroupRequest::Invite { peer } => self.group_invite(t, caller, &me, &name, &peer),
            GroupRequest::Remove { peer, reason } => {
                self.group_remove(t, caller, &me, &name, &peer, &reason)
            }
            GroupRequest::Leave => self.group_leave(t, caller, &me, &name),
            GroupRequest::Send { text, msg_id } => {
                self.group_send(t, caller, &me, &name, text, msg_id)
            }
            GroupRequest::History { limit } => self.group_history(t, caller, &me, &name, limit),
            GroupRequest::Info => self.group_info(t, caller, &me, &name),
            GroupRequest::Delete => self.group_delete(t, caller, &me, &name),
        }
    }

    /// Returns the group if the caller is in it. A group that is not there gives the same word,
    /// so that nobody learns the names of others' groups.
    fn group_of(&self, name: &Name, me: &Member) -> Done<&Group> {
        match self.groups.named(name) {
            Some(group) if group.members.contains_key(me) => Ok(group),
            _ => refuse(
                ErrorCode::NotMember,
                format!(
                    "You are not a member of a group \"{name}\". relay_group_list lists yours."
                ),
            ),
        }
    }

    /// Returns the group if the caller is its admin.
    fn group_as_admin(&self, name: &Name, me: &Member) -> Done<&Group> {
        match self.groups.named(name) {
            None => refuse(
                ErrorCode::GroupNotFound,
                format!("There is no group \"{name}\". relay_group_list lists yours."),
            ),
            Some(group) if group.row.admin != *me => refuse(
                ErrorCode::NotAdmin,
                format!("Only the admin of \"{name}\" may do this."),
            ),
            Some(group) => Ok(group),
        }
    }

    /// Returns whether there is a group of this name.
    pub(crate) fn has_group(&self, name: &Name) -> bool {
        self.groups.by_name.contains_key(name)
    }

    fn answer_group_ack(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) {
        let line = HubLine::GroupAck {
            msg_id: None,
            delivered_count: None,
            queued_count: None,
            req_id: None,
        };
        self.answer(t, caller, line);
    }
}
