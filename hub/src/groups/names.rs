//! What members and groups are called on this hub.

use super::op::Who;
use super::{Group, fold::State};
use crate::hub::{Done, Turn};
use crate::{GroupId, Hub, Member, Store, Write};
use ecorelay_protocol::{Address, HubId, Name, PeerId};

impl Hub {
    /// Returns a member as this hub keeps it.
    pub(super) fn member_of(&self, who: &Who) -> Member {
        let (name, hub) = who;
        Member {
            name: name.clone(),
            hub: (hub != self.keys.peer_id()).then(|| hub.clone()),
        }
    }

    /// Returns a member as every hub knows it.
    pub(super) fn who_is(&self, member: &Member) -> Who {
        let hub = member.hub.as_ref().unwrap_or(self.keys.peer_id());
        (member.name.clone(), hub.clone())
    }

    /// Returns a member's address as sessions see it. A hub whose name is not known yet gets one
    /// from its key.
    pub(crate) fn address_of(&self, member: &Member) -> Address {
        let hub = member.hub.as_ref().and_then(|peer| {
            let named = self.mesh.hub_id(peer).cloned();
            named.or_else(|| stand_in(peer))
        });
        Address {
            name: member.name.clone(),
            hub,
        }
    }

    pub(super) fn address_of_who(&self, who: &Who) -> Address {
        self.address_of(&self.member_of(who))
    }

    /// Returns the member an address in a request names.
    pub(super) fn member_named(&self, peer: &str, what: &str) -> Done<Member> {
        let address = Address::parse(peer, what)?.relative_to(&self.config.hub_id);
        let hub = match &address.hub {
            None => None,
            Some(hub_id) => match self.mesh.peer_of(hub_id) {
                Some(peer) => Some(peer.clone()),
                None => return Err(address.unknown_hub().into()),
            },
        };
        let name = address.name;
        Ok(Member {
            name,
            hub: hub.filter(|hub| hub != self.keys.peer_id()),
        })
    }

    /// Returns whether a member is there now, as far as this hub knows.
    pub(super) fn member_online(&self, member: &Member) -> bool {
        let Some(peer) = &member.hub else {
            return self.sessions.contains_key(&member.name);
        };
        let known = self
            .mesh
            .hubs
            .get(peer)
            .filter(|known| known.link.is_some());
        let entry = known.and_then(|known| known.entry.as_ref());
        entry.is_some_and(|entry| entry.sessions.contains_key(&member.name))
    }

    /// Gives a group its name on this hub once sessions of this hub are in it, and frees the name
    /// when none is any more. Of two groups of one name the older keeps it.
    pub(super) fn name_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        state: &State,
    ) -> Done {
        let Some(group) = self.groups.all.get(&id) else {
            return Ok(());
        };
        let named = self.groups.by_name.get(&group.row.name) == Some(&id);
        if !group.is_here() {
            if named {
                self.groups.by_name.remove(&group.row.name);
            }
            return Ok(());
        }
        let (Some(name), false) = (&state.name, named) else {
            return Ok(());
        };
        let Some(other) = self.groups.named(name) else {
            return self.set_name(t, id, name.clone());
        };
        let age = |group: &Group| (group.row.created, group.row.uid.clone());
        if age(other) < age(group) {
            let shown = self.other_name(name, &group.row.uid);
            self.set_name(t, id, shown.clone())?;
            self.tell_new_name(t, id, name, &shown)
        } else {
            let (other, shown) = (other.row.id, self.other_name(name, &other.row.uid));
            self.groups.by_name.remove(name);
            self.set_name(t, other, shown.clone())?;
            self.set_name(t, id, name.clone())?;
            self.tell_new_name(t, other, name, &shown)
        }
    }

    fn set_name(&mut self, t: &mut Turn<'_, impl Store>, id: GroupId, name: Name) -> Done {
        let Some(group) = self.groups.all.get_mut(&id) else {
            return Ok(());
        };
        self.groups.by_name.insert(name.clone(), id);
        if group.row.name == name {
            return Ok(());
        }
        group.row.name = name;
        let row = group.row.clone();
        self.write(t, Write::PutGroup(row)).map(drop)
    }

    /// Returns a free name for a group whose name is another's here.
    fn other_name(&self, name: &Name, uid: &str) -> Name {
        let uuid = uid.split('.').next().unwrap_or_default();
        let tail: String = uuid.chars().rev().take(4).collect();
        let tail: String = tail.chars().rev().collect();
        let keep = name.as_str().len().min(64 - 1 - tail.len());
        let base = format!("{}-{tail}", &name.as_str()[..keep]);
        let base: Name = base.parse().unwrap_or_else(|_| name.with_suffix(2));
        let mut shown = base.clone();
        let mut n = 2;
        while self.has_group(&shown) {
            shown = base.with_suffix(n);
            n += 1;
        }
        shown
    }
}

/// Returns what a hub is called whose name is not known.
fn stand_in(peer: &PeerId) -> Option<HubId> {
    let text = peer.as_str();
    let tail = text.get(text.len().saturating_sub(8)..)?;
    format!("hub-{tail}").parse().ok()
}
