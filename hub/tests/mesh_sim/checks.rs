//! What must hold when the network is whole, every hub is up and all is quiet: everybody knows
//! everybody, groups are the same everywhere, nothing waits, nothing goes round in circles.

use crate::actor::Actor;
use crate::books::Books;
use crate::mesh_world::Mesh;
use ecorelay_hub::{GroupLoad, Member, Store as _};
use ecorelay_protocol::GroupEntryType;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Frames that may go on when all is quiet.
const PERIODIC: [&str; 3] = ["sync", "published", "group_versions"];

/// What a group is on one hub, with every address in full.
#[derive(Debug, PartialEq, Eq)]
struct GroupView {
    admin: String,
    deleted: bool,
    members: BTreeSet<String>,
    history: Vec<(String, String)>,
}

fn in_full(mesh: &Mesh, member: &Member, hub: usize) -> String {
    let at = match &member.hub {
        Some(peer) => mesh.machines.iter().position(|m| m.peer == *peer).unwrap(),
        None => hub,
    };
    format!("{}@hub{at}", member.name)
}

fn full_name(name: &str, hub: usize) -> String {
    if name.contains('@') {
        name.to_owned()
    } else {
        format!("{name}@hub{hub}")
    }
}

/// Every hub shows exactly the live sessions and the rooms they are in.
pub fn directory(mesh: &mut Mesh, actors: &[Actor]) {
    let mut live = BTreeSet::new();
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for actor in actors {
        let Some(name) = actor.name() else { continue };
        let name = full_name(name, actor.machine);
        for room in actor.rooms() {
            let members = rooms.entry((*room).to_owned()).or_default();
            members.insert(name.clone());
        }
        live.insert(name);
    }
    for at in 0..mesh.machines.len() {
        let status = mesh.status(at);
        let linked = status["hubs"].as_array().unwrap();
        for hub in linked {
            assert_eq!(hub["state"], "direct", "hub{at}: {hub}");
            assert_eq!(hub["outbox"], 0, "hub{at}: {hub}");
        }
        assert_eq!(linked.len(), mesh.machines.len() - 1, "hub{at}: {status}");
        assert_eq!(status["in_flight"], 0, "hub{at}: {status}");
        // A person's line sees everybody, as no session does.
        let probe = mesh.session(at, "probe");
        let shown: Vec<String> = mesh.peers(probe);
        let shown: BTreeSet<String> = shown.iter().map(|n| full_name(n, at)).collect();
        let listed = mesh.ask(probe, json!({"type":"list_rooms"}));
        mesh.leave(probe);
        mesh.pass(2_000);
        assert_eq!(shown, live, "the peers that hub{at} shows");
        let listed = listed["rooms"].as_array().unwrap().iter().map(|room| {
            let members = room["members"].as_array().unwrap().iter();
            let members = members.map(|m| full_name(m.as_str().unwrap(), at));
            (room["name"].as_str().unwrap().to_owned(), members.collect())
        });
        let listed: BTreeMap<String, BTreeSet<String>> = listed.collect();
        assert_eq!(listed, rooms, "the rooms that hub{at} shows");
    }
}

fn views(mesh: &Mesh, at: usize) -> BTreeMap<String, GroupView> {
    let mut store = mesh.machines[at].store.clone();
    let mut views = BTreeMap::new();
    for GroupLoad { row, members, .. } in store.load().unwrap().groups {
        // What counts, in the order of the log, which is the same everywhere.
        let entries = store
            .group_entries(row.id, 0, usize::MAX, usize::MAX)
            .unwrap();
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let from = in_full(mesh, &entry.from, at);
                let op = entry.op;
                let author = op.author.unwrap_or_else(|| mesh.machines[at].peer.clone());
                let place = (op.lamport, author, !op.change, op.seq);
                let text = match entry.entry_type {
                    GroupEntryType::Message => entry.text,
                    // The words of a line are told as its hub sees the members.
                    GroupEntryType::System => format!("{place:?}"),
                };
                (place, from, text)
            })
            .collect();
        entries.sort();
        let view = GroupView {
            admin: in_full(mesh, &row.admin, at),
            deleted: row.deleted.is_some(),
            members: members
                .iter()
                .map(|m| in_full(mesh, &m.member, at))
                .collect(),
            history: entries
                .into_iter()
                .map(|(_, from, text)| (from, text))
                .collect(),
        };
        views.insert(row.uid, view);
    }
    views
}

/// A group is the same on every hub that has members, with every text that was accepted.
pub fn groups(mesh: &Mesh, books: &Books) {
    let all: Vec<_> = (0..mesh.machines.len()).map(|at| views(mesh, at)).collect();
    let uids: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    for uid in uids {
        let holders = all
            .iter()
            .enumerate()
            .filter_map(|(at, v)| Some((at, v.get(uid)?)));
        let holders: Vec<(usize, &GroupView)> = holders.collect();
        let deleted = holders.iter().any(|(_, view)| view.deleted);
        for (at, view) in &holders {
            assert_eq!(
                view.deleted, deleted,
                "a deleted group on hub{at}: {holders:#?}"
            );
        }
        // Hubs of members, as any holder sees it.
        let homes: BTreeSet<usize> = holders
            .iter()
            .flat_map(|(_, view)| view.members.iter())
            .map(|m| m.rsplit_once("@hub").unwrap().1.parse().unwrap())
            .collect();
        let mut first: Option<(usize, &GroupView)> = None;
        for home in homes {
            let view = all[home].get(uid);
            let view = view.unwrap_or_else(|| {
                panic!("hub{home} has members of a group it does not have: {holders:#?}")
            });
            match first {
                None => first = Some((home, view)),
                Some((other, same)) => {
                    assert_eq!(view, same, "a group on hub{home} and on hub{other}");
                }
            }
        }
        let Some((home, view)) = first else { continue };
        for (text, (author, said_in)) in &books.said {
            let parted = books.parted.iter().any(|(_, who)| who == author);
            if said_in != uid || parted {
                continue;
            }
            let times = view.history.iter().filter(|(_, t)| t == text).count();
            let here = view
                .members
                .iter()
                .any(|m| m.ends_with(&format!("@hub{}", author / 100)));
            if here && !books.removals {
                assert_eq!(times, 1, "{text} in the group {uid} on hub{home}");
            }
        }
    }
}

/// Nothing is left in a mailbox unread, in an outbox, or on its way.
pub fn stores(mesh: &Mesh, books: &Books) {
    for machine in &mesh.machines {
        let durable = machine.durable();
        let unread: usize = durable.mailboxes.iter().map(|m| m.unread).sum();
        assert_eq!(unread, 0, "unread mail is left at {}", machine.hub_id);
        for outbox in &durable.outboxes {
            assert_eq!(
                outbox.waiting, 0,
                "{} has an outbox: {outbox:?}",
                machine.hub_id
            );
        }
        for row in machine.store.outgoing() {
            let read = books
                .texts
                .get(&row.msg_id)
                .and_then(|t| books.settled.get(t));
            assert!(
                row.refused
                    || read.is_none()
                    || row.state == ecorelay_protocol::DeliveryState::Read,
                "{} does not know that {} was read: {row:?}",
                machine.hub_id,
                row.msg_id
            );
        }
    }
}

/// What holds at every moment.
pub fn always(mesh: &Mesh, steps: usize) {
    for machine in &mesh.machines {
        let mut ids = BTreeSet::new();
        for row in machine.store.messages() {
            assert!(ids.insert(&row.msg_id), "{} is in two places", row.msg_id);
        }
        let rows = machine.store.rows();
        assert!(
            rows < 500 + 20 * steps,
            "{} has {rows} rows",
            machine.hub_id
        );
    }
    assert_eq!(mesh.traffic.overflows, 0, "a link's queue was full");
}

/// When all is quiet, traffic dies down to what is periodic.
pub fn quiet(mesh: &mut Mesh, actors: &mut [Actor], books: &mut Books) {
    listen_for(mesh, actors, books, 120_000);
    let before = mesh.traffic.clone();
    let minutes = 3;
    listen_for(mesh, actors, books, minutes * 60_000);
    let mut periodic = 0;
    for (kind, count) in &mesh.traffic.frames {
        let new = count - before.frames.get(kind).copied().unwrap_or(0);
        if PERIODIC.contains(kind) {
            periodic += new;
        } else {
            assert_eq!(new, 0, "{kind} frames go on for ever");
        }
    }
    let hubs = mesh.machines.len() as u64;
    // Four of each kind and minute on every link and in both directions are plenty.
    let plenty = hubs * (hubs - 1) * minutes * 4 * PERIODIC.len() as u64;
    assert!(
        periodic <= plenty,
        "{periodic} periodic frames, {plenty} are plenty"
    );
    assert_eq!(
        mesh.traffic.gossip, before.gossip,
        "gossip goes on for ever"
    );
    assert_eq!(mesh.traffic.links, before.links, "links come and go");
}

/// Lets time pass while every session listens.
pub fn listen_for(mesh: &mut Mesh, actors: &mut [Actor], books: &mut Books, ms: u64) {
    let step = 10_000;
    for _ in 0..ms / step {
        mesh.pass(200);
        for actor in actors.iter_mut() {
            actor.listen(mesh, books);
        }
        mesh.pass(step - 200);
        for actor in actors.iter_mut() {
            actor.listen(mesh, books);
        }
    }
}
