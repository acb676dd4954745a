//! Who can be reached on other hubs right now: what the directory says of those that are linked.

use crate::Hub;
use ecorelay_protocol::link::SessionEntry;
use ecorelay_protocol::{Address, HubId, Name, RoomSummary, limits};
use std::collections::{BTreeMap, BTreeSet};

impl Hub {
    /// Returns every live session of every hub that is linked.
    fn elsewhere(&self) -> impl Iterator<Item = (&HubId, &Name, &SessionEntry)> {
        self.mesh
            .linked()
            .filter_map(|(_, known, _)| Some((&known.row.hub_id, known.entry.as_ref()?)))
            .flat_map(|(hub, entry)| entry.sessions.iter().map(move |(n, s)| (hub, n, s)))
    }

    /// Returns how many live sessions other hubs have.
    pub(crate) fn sessions_elsewhere(&self) -> usize {
        self.elsewhere().count()
    }

    /// Returns how many sessions of other hubs are in a room.
    pub(crate) fn count_elsewhere(&self, room: &Name) -> usize {
        let all = self.elsewhere();
        all.filter(|(.., session)| session.rooms.contains(room))
            .count()
    }

    /// Returns who is in a room: sessions of this hub, then those of others.
    pub(crate) fn room_members(&self, room: &Name) -> Vec<String> {
        let here = self.rooms.get(room).into_iter().flatten();
        let there = self
            .elsewhere()
            .filter(|(.., session)| session.rooms.contains(room))
            .take(limits::ROOM_MEMBERS)
            .map(|(hub, name, _)| address(hub, name));
        here.map(ToString::to_string).chain(there).collect()
    }

    /// Returns all rooms of the mesh and who is in them. What other hubs say they have is
    /// bounded as a whole.
    pub(crate) fn room_summaries(&self) -> Vec<RoomSummary> {
        let none = BTreeSet::new();
        let mut rooms: BTreeMap<&Name, (&BTreeSet<Name>, Vec<String>)> = BTreeMap::new();
        for (room, here) in &self.rooms {
            rooms.insert(room, (here, Vec::new()));
        }
        let there = self
            .elsewhere()
            .flat_map(|(hub, name, session)| session.rooms.iter().map(move |r| (r, hub, name)))
            .take(limits::MEMBERS_LISTED);
        for (room, hub, name) in there {
            let (_, members) = rooms.entry(room).or_insert((&none, Vec::new()));
            members.push(address(hub, name));
        }
        let summary =
            |(name, (here, there)): (&Name, (&BTreeSet<Name>, Vec<String>))| RoomSummary {
                name: name.to_string(),
                members: here.iter().map(ToString::to_string).chain(there).collect(),
            };
        rooms.into_iter().map(summary).collect()
    }
}

fn address(hub: &HubId, name: &Name) -> String {
    let address = Address {
        name: name.clone(),
        hub: Some(hub.clone()),
    };
    address.to_string()
}
