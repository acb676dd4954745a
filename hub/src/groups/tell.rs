//! What members on this hub are told of changes of their groups.

use super::fold::Event;
use super::op::Who;
use crate::hub::{Done, Fail, Turn};
use crate::mail::Draft;
use crate::{GroupId, Hub, Member, Store};
use ecorelay_protocol::{Address, MessageKind, Name};
use std::collections::BTreeSet;

/// How much of a text is quoted, in characters.
const QUOTED: usize = 60;

impl Hub {
    /// Returns the line of the history that shows a change, and from whom it is.
    pub(super) fn line_of(&self, event: &Event) -> Option<(Who, String)> {
        let name = |who: &Who| self.address_of_who(who);
        let (from, text) = match event {
            Event::Invited { by, who } => (by, format!("{} invited {}", name(by), name(who))),
            Event::Removed { by, who, reason } => {
                let text = format!("{} removed {}: {reason}", name(by), name(who));
                (by, text)
            }
            Event::Left { who } => (who, format!("{} left", name(who))),
            Event::Renamed { old, new } => {
                let text = format!("{} is now called {}", name(old), name(new));
                (new, text)
            }
            Event::Created { .. } | Event::Deleted { .. } => return None,
        };
        Some((from.clone(), text))
    }

    /// Tells a session of this hub that it is in a group now, by the last of these changes that
    /// says so.
    pub(super) fn tell_joined(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        group: &Name,
        member: &Member,
        events: &[&Event],
    ) -> Done {
        let me = self.who_is(member);
        for event in events.iter().rev() {
            match event {
                Event::Created { by, members } if members.contains(&me) => {
                    let shown: Vec<String> = std::iter::once(by)
                        .chain(members)
                        .map(|who| self.address_of_who(who).to_string())
                        .collect();
                    let by = self.address_of_who(by);
                    let text = format!(
                        "{by} made the group \"{group}\" with {}. relay_group_send writes to it, relay_group_history reads it.",
                        shown.join(", ")
                    );
                    return self.tell_member(t, &by, &member.name, group, text);
                }
                Event::Invited { by, who } if *who == me => {
                    let by = self.address_of_who(by);
                    let text = format!(
                        "{by} invited you to the group \"{group}\". relay_group_history reads it, relay_group_send writes to it."
                    );
                    return self.tell_member(t, &by, &member.name, group, text);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells a session of this hub that it was taken out of a group.
    pub(super) fn tell_removed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        group: &Name,
        member: &Member,
        events: &[&Event],
    ) -> Done {
        let me = self.who_is(member);
        let of_me = events.iter().rev().find_map(|event| match event {
            Event::Removed { by, who, reason } if *who == me => Some((by, reason)),
            _ => None,
        });
        let Some((by, reason)) = of_me else {
            return Ok(());
        };
        let by = self.address_of_who(by);
        let text = format!("{by} removed {} from {group}: {reason}", member.name);
        self.tell_member(t, &by, &member.name, group, text)
    }

    /// Tells a session of this hub that a group it was in is gone.
    pub(super) fn tell_deleted(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        group: &Name,
        member: &Member,
        by: &Who,
    ) -> Done {
        if self.who_is(member) == *by {
            return Ok(());
        }
        let by = self.address_of_who(by);
        let text = format!("{by} deleted group {group}");
        self.tell_member(t, &by, &member.name, group, text)
    }

    /// Tells the members on this hub that a group is shown under another name here.
    pub(super) fn tell_new_name(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        name: &Name,
        shown: &Name,
    ) -> Done {
        let Some(group) = self.groups.all.get(&id) else {
            return Ok(());
        };
        let admin = self.address_of(&group.row.admin);
        let here: Vec<Name> = group
            .members
            .keys()
            .filter(|m| m.hub.is_none())
            .map(|m| m.name.clone())
            .collect();
        for member in here {
            let text = format!(
                "Two groups are called \"{name}\". The one that {admin} made is shown as \"{shown}\" here."
            );
            self.tell_member(t, &admin, &member, shown, text)?;
        }
        Ok(())
    }

    /// Tells sessions of this hub that texts they wrote do not count, because of changes on other
    /// hubs that these had not heard of. `lost` are the texts' numbers with who wrote them.
    pub(super) fn tell_lost(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        lost: &[(u64, Name)],
    ) -> Done {
        let Some(group) = self.groups.all.get(&id) else {
            return Ok(());
        };
        let (shown, admin) = (group.row.name.clone(), self.address_of(&group.row.admin));
        let authors: BTreeSet<&Name> = lost.iter().map(|(_, name)| name).collect();
        for author in authors {
            let mut of = lost.iter().filter(|(_, name)| name == author);
            let Some((first, _)) = of.next() else {
                continue;
            };
            let row = t.store.group_texts(id, None, first - 1, 1, 0)?.pop();
            let text = row.map_or_else(String::new, |row| row.text);
            let mut quoted: String = text.chars().take(QUOTED).collect();
            if quoted.len() < text.len() {
                quoted.push('…');
            }
            let text = match of.count() {
                0 => format!("Your message \"{quoted}\" to the group \"{shown}\" does not count"),
                more => format!(
                    "Your last {} messages to the group \"{shown}\", from \"{quoted}\" on, do not count",
                    more + 1
                ),
            };
            let text = format!(
                "{text}: you were no longer a member when you wrote, which this hub had not heard of."
            );
            self.tell_member(t, &admin, author, &shown, text)?;
        }
        Ok(())
    }

    /// Sends a session of this hub word of its group, now or when it is back. A mailbox that
    /// takes no more does not stop the change.
    fn tell_member(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: &Address,
        to: &Name,
        group: &Name,
        text: String,
    ) -> Done {
        let draft = Draft {
            kind: MessageKind::System,
            from: from.clone(),
            to: to.clone(),
            text,
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
