//! Making a group, its membership, its end: what changes who may read and write.

use super::op::Body;
use crate::clients::Caller;
use crate::hub::{Done, Fail, Turn, refuse};
use crate::{GroupId, Hub, Member, Store};
use ecorelay_protocol::{Address, ErrorCode, HubLine, Name, limits};

impl Hub {
    pub(super) fn group_create(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: Name,
        members: &[String],
    ) -> Done {
        if self.has_group(&name) {
            return refuse(
                ErrorCode::BadArgs,
                format!("A group \"{name}\" exists already; choose another name."),
            );
        }
        let mut all = vec![me.clone()];
        for member in members {
            let member = self.member_named(member, "A member's name")?;
            if !all.contains(&member) {
                all.push(member);
            }
        }
        if all.len() > limits::GROUP_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "A group has at most {} members, you included.",
                    limits::GROUP_MEMBERS
                ),
            );
        }
        let shown = all
            .iter()
            .map(|member| self.address_of(member).to_string())
            .collect();
        let others = all.split_off(1);
        self.new_group(t, name.clone(), &me.name, others)?;
        self.answer(
            t,
            caller,
            HubLine::GroupCreated {
                group: name.to_string(),
                members: shown,
                req_id: None,
            },
        );
        Ok(())
    }

    pub(super) fn group_invite(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
        peer: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let (id, count) = (group.row.id, group.members.len());
        let member = self.member_named(peer, "A member's name")?;
        if group.members.contains_key(&member) {
            let peer = self.address_of(&member);
            return refuse(
                ErrorCode::BadArgs,
                format!("\"{peer}\" is a member of \"{name}\" already."),
            );
        }
        if count >= limits::GROUP_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!("A group has at most {} members.", limits::GROUP_MEMBERS),
            );
        }
        let (by, who) = (me.name.clone(), self.who_is(&member));
        self.write_change(t, id, Body::Invite { by, who })?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_remove(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
        peer: &str,
        reason: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let id = group.row.id;
        let peer = Address::parse(peer, "\"peer\"")?.relative_to(&self.config.hub_id);
        // As it is shown, for that is what a caller knows of a hub that is not known here.
        let mut members = group.members.keys();
        let member = members.find(|m| self.address_of(m) == peer).cloned();
        if member.as_ref() == Some(me) {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot be removed; delete the group instead.",
            );
        }
        let Some(member) = member else {
            return refuse(
                ErrorCode::NotMember,
                format!("\"{peer}\" is not a member of \"{name}\"."),
            );
        };
        let body = Body::Remove {
            by: me.name.clone(),
            who: self.who_is(&member),
            reason: reason.to_owned(),
        };
        self.write_change(t, id, body)?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_leave(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
    ) -> Done {
        let group = self.group_of(name, me)?;
        let id = group.row.id;
        if group.row.admin == *me {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot leave the group; delete it instead.",
            );
        }
        let who = me.name.clone();
        self.write_change(t, id, Body::Leave { who })?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_delete(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Member,
        name: &Name,
    ) -> Done {
        let id = self.group_as_admin(name, me)?.row.id;
        let by = me.name.clone();
        self.write_change(t, id, Body::Delete { by })?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    /// Moves a member's place in all its groups to its new name.
    pub(crate) fn move_memberships(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        old: &Name,
        new: &Name,
    ) -> Done {
        let member = Member::local(old.clone());
        let of = self
            .groups
            .iter()
            .filter(|g| g.members.contains_key(&member));
        let ids: Vec<GroupId> = of.map(|g| g.row.id).collect();
        for id in ids {
            let (old, new) = (old.clone(), new.clone());
            match self.write_change(t, id, Body::Rename { old, new }) {
                // Its log is full: there the old name stays.
                Err(Fail::Refused(_)) => {}
                result => result?,
            }
        }
        Ok(())
    }
}
