//! Groups that come from elsewhere: from before groups had logs, and from an import.

use super::op::{Body, LAST_TS, Op, Written, new_uid};
use crate::hub::{Done, Turn};
use crate::{GroupId, Hub, Member, Store, Write};
use ecorelay_protocol::{Address, ImportGroup, Name, limits};

impl Hub {
    /// Gives groups from before groups had logs a log: one operation that makes the group with
    /// the members it has. Its entries are the first texts of that log.
    pub(crate) fn adopt_groups(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        for id in std::mem::take(&mut self.groups.old) {
            let own = self.own_peer();
            let Some(group) = self.groups.all.get_mut(&id) else {
                continue;
            };
            self.groups.by_uid.remove(&group.row.uid);
            group.row.uid = new_uid(&group.row.uid, &own);
            let row = group.row.clone();
            let members: Vec<Member> = group.members.keys().cloned().collect();
            self.groups.by_uid.insert(row.uid.clone(), id);
            let others = members.iter().filter(|m| **m != row.admin);
            let op = Op {
                group: row.uid.clone(),
                seq: 1,
                lamport: 0,
                ts: row.created,
                body: Body::Create {
                    name: row.name.clone(),
                    admin: row.admin.name.clone(),
                    members: others.map(|member| self.who_is(member)).collect(),
                },
            };
            let change = Written::own(own, op);
            self.write(t, Write::PutGroup(row))?;
            self.adopt(t, id, &change)?;
        }
        Ok(())
    }

    /// Adds the operation that makes a group; nobody is told.
    fn adopt(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId, made: &Written) -> Done {
        let log = self.log(t, id)?;
        log.state.apply(&made.author, &made.op);
        let state = log.state.clone();
        self.put_change(t, id, made)?;
        self.materialize(t, id, &state, &[])
    }

    /// Takes over a group with its entries and cursors; returns how many entries that were.
    pub(crate) fn adopt_import(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: Name,
        import: ImportGroup,
    ) -> Done<usize> {
        let own = self.config.hub_id.clone();
        // Who was on another hub then is nobody this hub can reach now.
        let here = |text: &str| {
            let address = Address::parse(text, "A member's name").ok()?;
            let address = address.relative_to(&own);
            address.hub.is_none().then_some(address.name)
        };
        let admin = here(&import.admin);
        let members: Vec<(Name, u64)> = import
            .members
            .iter()
            .filter_map(|(member, read)| Some((here(member)?, *read)))
            .collect();
        let first = members.first().map(|(member, _)| member.clone());
        let Some(admin) = admin.or(first) else {
            return Ok(0);
        };
        let names = members.iter().map(|(member, _)| member);
        let others = names.filter(|member| **member != admin);
        let others = others.cloned().map(Member::local).collect();
        let (id, made) = self.make_group(t, name, &admin, others)?;
        self.adopt(t, id, &made)?;
        let taken = import.messages.len();
        for entry in import.messages {
            // Another hub would refuse it, and all behind it.
            if entry.text.len() > limits::TEXT_BYTES {
                continue;
            }
            let from = Address::parse(&entry.from, "An author's name");
            let from = from.map_or_else(|_| admin.clone(), |address| address.name);
            let body = Body::Old {
                from,
                system: entry.system,
                msg_id: format!("m-{}", self.ids.uuid()),
                text: entry.text,
            };
            let mut written = self.next_op(t, id, body)?;
            written.op.ts = entry.ts.min(LAST_TS);
            let written = Written::own(written.author, written.op);
            self.add_text(t, id, &written, false)?;
        }
        for (member, read) in members {
            let last = self.groups.all.get(&id).map_or(0, |g| g.last_id);
            let reader = Address::local(member);
            self.move_cursor(t, id, &reader, read.min(last), true)?;
        }
        Ok(taken)
    }
}
