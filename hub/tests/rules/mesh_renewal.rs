//! Members that missed a change of the key find back by themselves; revocations that cross each
//! other end in one mesh with one key; who was revoked gets nothing.

use crate::mesh_world::Mesh;
use crate::mesh_world::machine::Crash;
use crate::mesh_world::raw::{Raw, sign};
use ecorelay_hub::{Keys as _, PlainKeys};
use ecorelay_protocol::link::{Admission, Frame};
use ecorelay_protocol::pairing::{Method, PairingCode, Standing, Word};
use ecorelay_protocol::{PeerId, Psk};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How long it may take until all are together again, in ms.
const HEAL_MS: u64 = 600_000;

fn revoke(mesh: &mut Mesh, at: usize, hub: usize) -> Value {
    let hub = format!("hub{hub}");
    mesh.command(at, json!({"type":"hub","hub":hub,"change":"revoke"}))
}

fn key(mesh: &Mesh, at: usize) -> Option<Psk> {
    mesh.machines[at].key.clone()
}

fn row(mesh: &Mesh, at: usize) -> ecorelay_hub::MeshRow {
    mesh.machines[at].durable().mesh.unwrap()
}

/// Returns who belongs to the mesh, as a hub wants to be connected to them, itself included.
fn members(mesh: &Mesh, at: usize) -> BTreeSet<usize> {
    let machine = &mesh.machines[at];
    let peers = machine.peers.as_ref().unwrap();
    let of = |peer: &PeerId| mesh.machines.iter().position(|m| m.peer == *peer);
    let hubs = peers.hubs.iter().filter_map(|(peer, _)| of(peer));
    hubs.chain([at]).collect()
}

/// Every one of these hubs is linked with every other, under one key that no other hub has.
fn together(mesh: &Mesh, hubs: &[usize], what: &str) {
    let all: BTreeSet<usize> = hubs.iter().copied().collect();
    for &a in hubs {
        assert_eq!(members(mesh, a), all, "{what}: members at hub{a}");
        let (own, row) = (key(mesh, a), row(mesh, a));
        assert!(
            own.as_ref() == Some(&row.psk),
            "{what}: hub{a} uses an old key"
        );
        for &b in hubs {
            assert!(
                own == key(mesh, b),
                "{what}: hub{a} and hub{b} have other keys"
            );
            assert!(
                a == b || mesh.linked(a, b),
                "{what}: hub{a} and hub{b} are not linked"
            );
        }
    }
    for out in (0..mesh.machines.len()).filter(|n| !all.contains(n)) {
        assert!(
            key(mesh, out) != key(mesh, hubs[0]),
            "{what}: hub{out} has the key"
        );
        assert!(
            hubs.iter().all(|hub| !mesh.linked(out, *hub)),
            "{what}: hub{out} is linked"
        );
    }
}

#[test]
fn a_member_that_was_away_comes_back_by_itself() {
    for seed in 0..10 {
        let mut mesh = Mesh::new(4, seed);
        mesh.form();
        mesh.partition(vec![0, 0, 1, 0]);
        mesh.pass(30_000);
        let answer = revoke(&mut mesh, 0, 3);
        assert_eq!(answer["missing"], json!(["hub2"]), "{answer}");
        // And a second change while it is away.
        mesh.pass(10_000);
        mesh.heal();
        mesh.pass(60_000);
        together(&mesh, &[0, 1, 2], &format!("seed {seed}"));
    }
}

#[test]
fn a_member_that_was_off_for_several_changes_comes_back() {
    let mut mesh = Mesh::new(5, 3);
    mesh.form();
    mesh.partition(vec![0, 0, 1, 0, 0]);
    mesh.pass(30_000);
    revoke(&mut mesh, 0, 3);
    mesh.pass(20_000);
    revoke(&mut mesh, 1, 4);
    mesh.pass(20_000);
    assert_eq!(row(&mesh, 0).generation, 2);
    mesh.kill(2);
    mesh.heal();
    mesh.pass(90_000);
    together(&mesh, &[0, 1, 2], "after two changes");
}

#[test]
fn revocations_on_both_sides_of_a_partition_both_count() {
    for seed in 0..10 {
        let mut mesh = Mesh::new(6, seed);
        mesh.form();
        mesh.partition(vec![0, 0, 0, 1, 1, 1]);
        mesh.pass(30_000);
        revoke(&mut mesh, 1, 2);
        revoke(&mut mesh, 3, 4);
        mesh.pass(20_000);
        assert!(key(&mesh, 0) != key(&mesh, 3));
        mesh.heal();
        mesh.pass(HEAL_MS);
        together(&mesh, &[0, 1, 3, 5], &format!("seed {seed}"));
    }
}

#[test]
fn of_two_hubs_that_revoke_each_other_the_nearer_stays() {
    for seed in 0..10 {
        let mut mesh = Mesh::new(5, seed);
        mesh.form();
        mesh.partition(vec![0, 0, 1, 1, 1]);
        mesh.pass(30_000);
        revoke(&mut mesh, 2, 0);
        mesh.pass(5_000);
        revoke(&mut mesh, 0, 2);
        mesh.pass(20_000);
        mesh.heal();
        mesh.pass(HEAL_MS);
        together(&mesh, &[0, 1, 3, 4], &format!("seed {seed}"));
    }
}

#[test]
fn a_crash_at_any_step_ends_with_one_key() {
    for who in 0..3 {
        for let_out in [0, 1, 2, 3, 5, 8, 13] {
            for before in [true, false] {
                let mut mesh = Mesh::new(4, 11);
                mesh.form();
                let crash = match before {
                    true => Crash::BeforeCommit(let_out),
                    false => Crash::AfterCommit(let_out),
                };
                let conn = mesh.machines[0].connect().unwrap();
                mesh.machines[0].write(
                    conn,
                    &json!({"type":"hub","hub":"hub3","change":"revoke","req_id":"r"}),
                );
                mesh.crash(who, crash);
                mesh.pass(HEAL_MS);
                let what = format!("hub{who} {crash:?}");
                if members(&mesh, 0).contains(&3) {
                    assert!(before && who == 0, "{what}: an answered revocation is lost");
                    together(&mesh, &[0, 1, 2, 3], &what);
                } else {
                    together(&mesh, &[0, 1, 2], &what);
                }
            }
        }
    }
}

#[test]
fn a_revoked_hub_gains_nothing_at_the_pairing_listener() {
    let mut mesh = Mesh::formed(3);
    let out = mesh.machines[2].peer.clone();
    revoke(&mut mesh, 0, 2);
    mesh.pass(30_000);
    let standing = Word::Standing(Standing {
        hub_id: "hub2".parse().unwrap(),
        root: Some(mesh.machines[0].peer.clone()),
        others: Vec::new(),
        count: 2,
        brings: Vec::new(),
        now: mesh.machines[0].now(mesh.time),
    });
    for at in [0, 1] {
        for peer in [out.clone(), PlainKeys::numbered(9).peer_id().clone()] {
            mesh.raw_words.clear();
            let talk = mesh.raw_talk(at, &peer, Method::Member);
            mesh.raw_say(talk, standing.clone());
            mesh.raw_say(talk, Word::Taken);
            let said = std::mem::take(&mut mesh.raw_words);
            let refused =
                |word: &Word| matches!(word, Word::Refuse(r) if r.code == PairingCode::NotMember);
            assert!(said.iter().any(refused), "{said:?}");
            assert!(
                !said.iter().any(|w| matches!(w, Word::Bundle(_))),
                "{said:?}"
            );
        }
    }
    together(&mesh, &[0, 1], "after the attempts");
}

#[test]
fn what_a_revoked_hub_signs_counts_for_nothing() {
    let mut mesh = Mesh::formed(3);
    revoke(&mut mesh, 0, 2);
    mesh.pass(30_000);
    let root = mesh.machines[0].peer.clone();
    let revoked = PlainKeys::numbered(3);
    let entry = |subject: &PeerId, is: bool| Admission {
        root: root.clone(),
        subject: subject.clone(),
        ts: 1,
        revoked: is,
        ticket: None,
        keeps: Vec::new(),
    };
    let friend = PlainKeys::numbered(9).peer_id().clone();
    let forged = vec![
        sign(&revoked, &entry(&friend, false)),
        sign(&revoked, &entry(&mesh.machines[1].peer, true)),
        sign(&revoked, &entry(&root, true)),
    ];
    // Its friend brings them along; even if it had the key, it is not let in.
    let before = mesh.machines[0].durable().roster.len();
    let raw = Raw::open(&mut mesh, 0, 9);
    let mut hello = raw.hello(&mesh, "friend");
    hello.admissions = forged.clone();
    raw.send(&mut mesh, &Frame::Hello(Box::new(hello)));
    raw.send(&mut mesh, &Frame::Roster(forged.clone()));
    let heard = &raw.heard(&mesh).frames;
    assert!(
        !heard
            .iter()
            .any(|f| matches!(f, Frame::Rekey(_) | Frame::Sync(_) | Frame::Entry(_))),
        "{heard:?}"
    );
    assert_eq!(mesh.machines[0].durable().roster.len(), before);
    // A member that hands them on changes nothing either.
    let accomplice = Raw::member(&mut mesh, 0, 10, "raw");
    accomplice.send(&mut mesh, &Frame::Roster(forged));
    mesh.pass(20_000);
    assert!(members(&mesh, 0).contains(&1) && mesh.linked(0, 1));
    assert!(
        !mesh.machines[0]
            .peers
            .as_ref()
            .unwrap()
            .hubs
            .iter()
            .any(|(peer, _)| *peer == friend)
    );
}

/// What a person and the world do to a mesh at random.
fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let hubs = rng.usize(4..=7);
    let mut mesh = Mesh::new(hubs, rng.u64(..));
    mesh.habits.frame_ms = *rng.choice(&[1, 100]).unwrap();
    mesh.habits.batch_ms = *rng.choice(&[0, 20]).unwrap();
    mesh.habits.dial_ms = *rng.choice(&[10, 1_000]).unwrap();
    mesh.form();
    mesh.pass(20_000);
    for _ in 0..rng.usize(5..40) {
        let at = rng.usize(0..hubs);
        match rng.u32(0..12) {
            0 => mesh.kill(at),
            1 => mesh.crash(at, Crash::BeforeCommit(rng.usize(0..6))),
            2 => mesh.crash(at, Crash::AfterCommit(rng.usize(0..6))),
            3..=4 => {
                let sides = (0..hubs).map(|_| rng.u8(0..2)).collect();
                mesh.partition(sides);
            }
            5 => mesh.heal(),
            6..=7 => {
                let whom = format!("hub{}", rng.usize(0..hubs));
                if let Some(conn) = mesh.machines[at].connect() {
                    let line = json!({"type":"hub","hub":whom,"change":"revoke","req_id":"r"});
                    mesh.machines[at].write(conn, &line);
                }
            }
            _ => {}
        }
        mesh.pass(rng.u64(1..20_000));
    }
    for machine in &mut mesh.machines {
        machine.crash = None;
    }
    mesh.heal();
    mesh.habits.down_ms = 100;
    mesh.pass(60_000);
    mesh.pass(4 * HEAL_MS);
    // Who was revoked may not know, and see the mesh as it was.
    let agreed = |of: &BTreeSet<usize>| of.iter().all(|at| members(&mesh, *at) == *of);
    let views: BTreeSet<BTreeSet<usize>> = (0..hubs).map(|at| members(&mesh, at)).collect();
    let meshes: Vec<_> = views
        .into_iter()
        .filter(|v| v.len() > 1 && agreed(v))
        .collect();
    assert!(meshes.len() <= 1, "{meshes:?}");
    if let Some(mesh_now) = meshes.first() {
        let inside: Vec<usize> = mesh_now.iter().copied().collect();
        together(&mesh, &inside, "in the end");
    } else {
        let alone = (0..hubs).filter(|at| members(&mesh, *at).len() == 1);
        assert!(alone.count() > 0, "nobody agrees");
    }
    let inside: Vec<usize> = meshes.into_iter().flatten().collect();
    // Hubs that are out may still look for each other.
    let links = |mesh: &Mesh| {
        let pairs = inside
            .iter()
            .flat_map(|a| inside.iter().map(move |b| (*a, *b)));
        pairs
            .map(|(a, b)| mesh.link_between(a, b))
            .collect::<Vec<_>>()
    };
    let (before, linked) = (mesh.traffic.clone(), links(&mesh));
    mesh.pass(120_000);
    assert_eq!(links(&mesh), linked, "links come and go");
    assert_eq!(
        mesh.traffic.frames.get("rekey"),
        before.frames.get("rekey"),
        "keys go round"
    );
}

#[test]
fn whatever_is_revoked_and_breaks_one_mesh_is_left() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return run(seed.parse().unwrap());
    }
    let runs = std::env::var("SIM_RUNS").map_or(60, |runs| runs.parse().unwrap());
    for seed in 0..runs {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("failed with SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
