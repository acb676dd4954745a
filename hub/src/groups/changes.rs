//! Making a group, its membership, its end: what changes who may read and write.

use crate::clients::Caller;
use crate::hub::{Done, Fail, Turn, refuse};
use crate::mail::Draft;
use crate::{Hub, Store, Write};
use ecorelay_protocol::{Address, ErrorCode, HubLine, MessageKind, Name, limits};

impl Hub {
    pub(super) fn group_create(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: Name,
        members: &[String],
    ) -> Done {
        if self.has_group(&name) {
            return refuse(
                ErrorCode::BadArgs,
                format!("A group \"{name}\" exists already; choose another name."),
            );
        }
        let mut addresses = vec![me.clone()];
        for member in members {
            let address = self.member_address(member)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.len() > limits::GROUP_MEMBERS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "A group has at most {} members, you included.",
                    limits::GROUP_MEMBERS
                ),
            );
        }
        self.add_group(t, name.clone(), me.clone())?;
        for address in &addresses {
            self.add_member(t, &name, address.clone())?;
        }
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let told = format!(
            "{me} made the group \"{name}\" with {}. relay_group_send writes to it, relay_group_history reads it.",
            shown.join(", ")
        );
        for address in addresses.iter().filter(|a| *a != me) {
            self.tell_member(t, me, address, &name, &told)?;
        }
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
        me: &Address,
        name: &Name,
        peer: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let count = group.members.len();
        let peer = self.member_address(peer)?;
        if self
            .groups
            .by_name
            .get(name)
            .is_some_and(|g| g.members.contains_key(&peer))
        {
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
        self.add_member(t, name, peer.clone())?;
        self.system_entry(t, name, me, format!("{me} invited {peer}"))?;
        let told = format!(
            "{me} invited you to the group \"{name}\". relay_group_history reads it, relay_group_send writes to it."
        );
        self.tell_member(t, me, &peer, name, &told)?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_remove(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
        peer: &str,
        reason: &str,
    ) -> Done {
        let group = self.group_as_admin(name, me)?;
        let peer = Address::parse(peer, "\"peer\"")?.relative_to(&self.config.hub_id);
        if peer == *me {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot be removed; delete the group instead.",
            );
        }
        if !group.members.contains_key(&peer) {
            return refuse(
                ErrorCode::NotMember,
                format!("\"{peer}\" is not a member of \"{name}\"."),
            );
        }
        self.drop_member(t, name, &peer)?;
        self.system_entry(t, name, me, format!("{me} removed {peer}: {reason}"))?;
        self.tell_member(
            t,
            me,
            &peer,
            name,
            &format!("{me} removed {peer} from {name}: {reason}"),
        )?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_leave(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
    ) -> Done {
        if self.group_of(name, me)?.row.admin == *me {
            return refuse(
                ErrorCode::BadArgs,
                "The admin cannot leave the group; delete it instead.",
            );
        }
        self.drop_member(t, name, me)?;
        self.system_entry(t, name, me, format!("{me} left"))?;
        self.answer_group_ack(t, caller);
        Ok(())
    }

    pub(super) fn group_delete(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        me: &Address,
        name: &Name,
    ) -> Done {
        let group = self.group_as_admin(name, me)?.clone();
        self.write(t, Write::DeleteGroup(group.row.id))?;
        self.groups.by_name.remove(name);
        let told = format!("{me} deleted group {name}");
        for member in group.members.keys().filter(|m| *m != me) {
            self.tell_member(t, me, member, name, &told)?;
        }
        self.status_changed(t);
        self.answer_group_ack(t, caller);
        Ok(())
    }

    /// Sends a member word of its group, now or when it is back. A mailbox that takes no more
    /// does not stop the change.
    fn tell_member(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: &Address,
        to: &Address,
        group: &Name,
        text: &str,
    ) -> Done {
        if to.hub.is_some() {
            return Ok(());
        }
        let draft = Draft {
            kind: MessageKind::System,
            from: from.clone(),
            to: to.name.clone(),
            text: text.to_owned(),
            reply_to: None,
            ask_id: None,
            group: Some(group.clone()),
            urgent: false,
            msg_id: None,
        };
        match self.store_message(t, draft) {
            Ok(row) => {
                // Not live: it is in the mailbox.
                let _ = self.push_message(t, &row, None, false);
                Ok(())
            }
            Err(Fail::Refused(_)) => Ok(()),
            Err(Fail::Store(error)) => Err(error.into()),
        }
    }
}
