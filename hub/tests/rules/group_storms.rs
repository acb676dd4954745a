//! Groups under a random schedule of changes, partitions and crashes; groups that come from an
//! older store or an import.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use crate::mesh_world::groups::views;
use ecorelay_hub::{GroupEntryRow, GroupId, GroupRow, Member, MemberRow, OpId, Store as _, Write};
use ecorelay_protocol::GroupEntryType;
use serde_json::{Value, json};

const HUBS: usize = 3;
const EACH: usize = 2;

/// The sessions of one run; `None` while its hub is down.
struct Run {
    mesh: Mesh,
    rng: fastrand::Rng,
    clients: Vec<(usize, String, Option<Client>)>,
    texts: usize,
}

impl Run {
    fn ask(&mut self, who: usize, line: Value) -> Value {
        let Some(client) = self.clients[who].2 else {
            return Value::Null;
        };
        if !self.mesh.machines[client.machine].is_up()
            || self.mesh.machines[client.machine].is_closed(client.conn)
        {
            self.clients[who].2 = None;
            return Value::Null;
        }
        let answer = self.mesh.ask(client, line);
        self.mesh.confirm(client, "handed");
        answer
    }

    fn come_back(&mut self) {
        for (machine, name, client) in &mut self.clients {
            let up = self.mesh.machines[*machine].is_up();
            let closed = |c: Client| self.mesh.machines[c.machine].is_closed(c.conn);
            if up && client.is_none_or(closed) {
                *client = Some(self.mesh.session(*machine, name));
            }
        }
    }

    fn step(&mut self) {
        let who = self.rng.usize(0..self.clients.len());
        let (hub, name, _) = self.clients[self.rng.usize(0..self.clients.len())].clone();
        let peer = format!("{name}@hub{hub}");
        match self.rng.u32(0..100) {
            0..=54 => {
                self.texts += 1;
                let text = format!("text {}", self.texts);
                self.ask(who, json!({"type":"group_send","group":"g","text":text}));
            }
            55..=62 => {
                self.ask(0, json!({"type":"group_invite","group":"g","peer":peer}));
            }
            63..=70 => {
                self.ask(
                    0,
                    json!({"type":"group_remove","group":"g","peer":peer,"reason":"x"}),
                );
            }
            71..=73 => {
                self.ask(who, json!({"type":"group_leave","group":"g"}));
            }
            74..=78 => {
                let fresh = format!("s{}", self.rng.u32(0..9));
                let (machine, old, _) = self.clients[who].clone();
                let taken = self
                    .clients
                    .iter()
                    .any(|(m, n, _)| *m == machine && *n == fresh);
                if !taken
                    && self.ask(who, json!({"type":"rename","new_name":fresh}))["type"] == "ack"
                {
                    self.clients[who].1 = fresh;
                } else {
                    self.clients[who].1 = old;
                }
            }
            79..=84 => {
                let sides = (0..HUBS).map(|_| self.rng.u8(0..2)).collect();
                self.mesh.partition(sides);
            }
            85..=88 => self.mesh.heal(),
            89..=91 => {
                let at = self.rng.usize(0..HUBS);
                self.mesh.kill(at);
            }
            _ => {
                let ms = self.rng.u64(1..20_000);
                self.mesh.pass(ms);
            }
        }
        self.come_back();
    }
}

fn run(seed: u64) {
    let mut mesh = Mesh::new(HUBS, seed);
    mesh.form();
    let mut clients = Vec::new();
    for machine in 0..HUBS {
        for n in 0..EACH {
            let name = format!("s{n}");
            let client = mesh.session(machine, &name);
            clients.push((machine, name, Some(client)));
        }
    }
    mesh.pass(1_000);
    let rng = fastrand::Rng::with_seed(seed);
    let mut run = Run {
        mesh,
        rng,
        clients,
        texts: 0,
    };
    let members = ["s1", "s0@hub1", "s1@hub1", "s0@hub2"];
    run.ask(
        0,
        json!({"type":"group_create","group":"g","name":"g","members":members}),
    );
    for _ in 0..run.rng.usize(10..120) {
        run.step();
    }
    run.mesh.heal();
    run.mesh.pass(120_000);
    run.come_back();
    run.mesh.pass(120_000);
    let all: Vec<_> = (0..HUBS).map(|at| views(&run.mesh, at)).collect();
    for (at, views) in all.iter().enumerate() {
        for (uid, view) in views {
            // Who has no members any more keeps nothing new.
            let peer = run.mesh.machines[at].peer.to_string();
            let here = view.members.iter().any(|m| m.ends_with(&peer));
            let first = &all[0].iter().find(|(id, _)| id == uid).unwrap().1;
            assert_eq!(
                (&view.members, &view.admin),
                (&first.members, &first.admin),
                "hub {at}"
            );
            if here {
                assert_eq!(view.history, first.history, "hub {at}");
            }
        }
    }
    let status = run.mesh.status(0);
    let warned = status["warnings"].to_string();
    assert!(!warned.contains("group_ops_refused"), "{warned}");
}

#[test]
fn groups_converge_whatever_happens() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return run(seed.parse().unwrap());
    }
    let runs = std::env::var("SIM_RUNS").map_or(60, |runs| runs.parse().unwrap());
    for seed in 0..runs {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("failed with SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn texts(mesh: &mut Mesh, client: Client) -> Vec<String> {
    let page = mesh.ask(
        client,
        json!({"type":"group_history","group":"g","limit":500}),
    );
    let messages = page["messages"].as_array();
    let messages = messages.unwrap_or_else(|| panic!("{page}"));
    let entry = |m: &Value| {
        format!(
            "{}: {}",
            m["from"].as_str().unwrap(),
            m["text"].as_str().unwrap()
        )
    };
    messages.iter().map(entry).collect()
}

/// Puts a group on a disk as the store brings it up from before groups had logs.
fn old_group(mesh: &mut Mesh, at: usize) {
    let store = &mut mesh.machines[at].store;
    let local = |name: &str| Member::local(name.parse().unwrap());
    let id = GroupId(9);
    let row = GroupRow {
        id,
        uid: "0000000000000000000000000000abcd".into(),
        name: "g".parse().unwrap(),
        admin: local("ann"),
        created: 5,
        trimmed: 2,
        top: 0,
        deleted: None,
    };
    store.write(Write::PutGroup(row)).unwrap();
    for name in ["ann", "al"] {
        let member = MemberRow {
            member: local(name),
            last_read: 0,
            joined: 5,
        };
        store.write(Write::PutMember { group: id, member }).unwrap();
    }
    for (n, from, entry_type) in [
        (3, "al", GroupEntryType::Message),
        (4, "gone", GroupEntryType::System),
        (5, "ann", GroupEntryType::Message),
    ] {
        let row = GroupEntryRow {
            group: id,
            id: n,
            op: OpId {
                lamport: n,
                author: None,
                change: false,
                seq: n,
            },
            msg_id: format!("m-{n}"),
            ts: n,
            wrote: from.parse().unwrap(),
            from: local(from),
            entry_type,
            old: true,
            void: false,
            proof: None,
            text: format!("old {n}"),
        };
        store.write(Write::AppendGroupEntry(Box::new(row))).unwrap();
    }
    store.commit().unwrap();
}

#[test]
fn a_group_from_before_gets_a_log_and_can_be_shared() {
    let mut mesh = Mesh::formed(2);
    old_group(&mut mesh, 0);
    mesh.kill(0);
    mesh.pass(10_000);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    let invite = json!({"type":"group_invite","group":"g","peer":"bob@hub1"});
    assert_eq!(mesh.ask(ann, invite)["type"], "group_ack");
    mesh.pass(2_000);
    assert_eq!(
        mesh.ask(bob, json!({"type":"group_send","group":"g","text":"new"}))["type"],
        "group_ack"
    );
    mesh.pass(2_000);
    let seen = texts(&mut mesh, bob);
    assert_eq!(
        seen,
        [
            "al@hub0: old 3",
            "gone@hub0: old 4",
            "ann@hub0: old 5",
            "ann@hub0: ann@hub0 invited bob",
            "bob: new"
        ]
    );
    let own = texts(&mut mesh, ann);
    assert_eq!(own.len(), 6, "{own:?}");
    assert!(own[0].contains("2 earlier entries"), "{own:?}");
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
    // Once only.
    mesh.kill(0);
    mesh.pass(10_000);
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
}

#[test]
fn an_imported_group_can_be_shared() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    let import = json!({"type":"import_group","group":"g","admin":"ann","members":[["ann",1],["al",0],["far@desk",2]],
        "messages":[{"from":"al","text":"one","ts":5},{"from":"gone","text":"gone left","ts":6,"system":true},{"from":"far@desk","text":"three","ts":7}]});
    let taken = mesh.command(0, import.clone());
    assert_eq!(
        (&taken["taken"], &taken["known"]),
        (&json!(3), &json!(0)),
        "{taken}"
    );
    assert_eq!(mesh.command(0, import)["known"], 3);
    assert_eq!(mesh.take_type(ann, "incoming_group_msg").len(), 0);
    assert_eq!(texts(&mut mesh, ann), ["gone: gone left", "far: three"]);
    let invite = json!({"type":"group_invite","group":"g","peer":"bob@hub1"});
    assert_eq!(mesh.ask(ann, invite)["type"], "group_ack");
    mesh.pass(2_000);
    let seen = texts(&mut mesh, bob);
    assert_eq!(
        seen[..3],
        ["al@hub0: one", "gone@hub0: gone left", "far@hub0: three"]
    );
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
}
