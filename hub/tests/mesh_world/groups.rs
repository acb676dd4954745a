//! Groups as they are on the disks of several hubs.

use super::Mesh;
use ecorelay_hub::{Member, Store as _};
use ecorelay_protocol::GroupEntryType;
use std::collections::BTreeSet;

/// What a group is on one hub, in words that are the same on every hub.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    pub admin: String,
    pub members: BTreeSet<String>,
    pub deleted: bool,
    pub history: Vec<String>,
}

/// Returns all groups of a hub by their id, as it has them on disk.
pub fn views(mesh: &Mesh, at: usize) -> Vec<(String, View)> {
    let machine = &mesh.machines[at];
    let mut store = machine.store.clone();
    let of = |member: &Member| match &member.hub {
        Some(peer) => format!("{}@{peer}", member.name),
        None => format!("{}@{}", member.name, machine.peer),
    };
    let mut views = Vec::new();
    for load in machine.durable().groups {
        let rows = store.group_entries(load.row.id, 0, usize::MAX, usize::MAX);
        let mut rows = rows.unwrap();
        let place = |row: &ecorelay_hub::GroupEntryRow| {
            let author = row
                .op
                .author
                .clone()
                .unwrap_or_else(|| machine.peer.clone());
            (row.op.lamport, author, !row.op.change, row.op.seq)
        };
        rows.sort_by_key(place);
        let line = |row: &ecorelay_hub::GroupEntryRow| {
            let text = match row.entry_type {
                GroupEntryType::Message => row.text.clone(),
                // The words of a line are told as its hub sees the members.
                GroupEntryType::System => format!("{:?}", place(row)),
            };
            format!("{}: {text}", of(&row.from))
        };
        let view = View {
            admin: of(&load.row.admin),
            members: load.members.iter().map(|m| of(&m.member)).collect(),
            deleted: load.row.deleted.is_some(),
            history: rows.iter().map(line).collect(),
        };
        views.push((load.row.uid, view));
    }
    views.sort_by(|(a, _), (b, _)| a.cmp(b));
    views
}
