//! The simulator of a mesh: three to eight hubs, each with its store, clock and sessions, under
//! a seeded random schedule of partitions, cut cables, lost gossip, crashes at every step of a
//! batch, disks that are full for a while and clocks that are off.
//!
//! Invariants: an accepted message is read exactly once or its sender is told; the order per
//! sender holds; `delivered` is only said of what was handed over; `from` is the true sender.
//! When the network is whole again, every hub shows the same sessions, rooms and groups, nothing
//! waits, and traffic dies down. A failing seed is printed and replays exactly:
//! `SIM_SEED=n cargo test -p ecorelay-hub --test mesh_sim` (`SIM_TRACE=1` shows every line and
//! frame).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod actor;
mod books;
mod checks;
#[path = "../mesh_world/mod.rs"]
mod mesh_world;
mod person;

use actor::{Actor, NAMES, STRANGER};
use books::Books;
use mesh_world::machine::Crash;
use mesh_world::network::pair;
use mesh_world::{Habits, Mesh};
use person::Person;

/// How long the network may take to come together after it is whole again, in ms.
const HEAL_MS: u64 = 90_000;

fn habits(rng: &mut fastrand::Rng) -> Habits {
    let slow = rng.bool();
    Habits {
        frame_ms: if slow { 200 } else { 5 },
        gossip_ms: if slow { 2_000 } else { 20 },
        gossip_lost: *rng.choice(&[0, 10, 60]).unwrap(),
        gossip_twice: *rng.choice(&[0, 20]).unwrap(),
        batch_ms: *rng.choice(&[0, 3, 30]).unwrap(),
        batch: *rng.choice(&[1, 8, 256]).unwrap(),
        down_ms: *rng.choice(&[100, 5_000, 60_000]).unwrap(),
        dial_ms: *rng.choice(&[10, 1_000]).unwrap(),
        words_lost: *rng.choice(&[0, 50, 300]).unwrap(),
    }
}

/// One run: random steps, then quiet, then the books are checked.
fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let hubs = rng.usize(3..=5).max(if rng.u32(0..8) == 0 { 8 } else { 0 });
    let mut mesh = Mesh::new(hubs, rng.u64(..));
    mesh.habits = habits(&mut rng);
    for machine in &mut mesh.machines {
        machine.drops_pushes = true;
        if rng.bool() {
            machine.turn_clock(0, rng.i64(0..600_000));
            machine.clock.drift = rng.i64(-10_000..10_000);
        }
    }
    let renames = rng.u32(0..3) == 0;
    let mut actors = Vec::new();
    for machine in 0..hubs {
        for index in 0..rng.usize(1..=3) {
            actors.push(Actor::new(machine, index, rng.u32(0..4) > 0, renames));
        }
    }
    let mut books = Books::default();
    let mut person = Person::new(hubs);
    let early = rng.bool();
    if early {
        // Half of the runs begin with a mesh that stands.
        person.make_the_mesh(&mut mesh);
    }
    let steps = rng.usize(20..200);
    for _ in 0..steps {
        step(&mut rng, &mut mesh, &mut actors, &mut books, &mut person);
        checks::always(&mesh, steps);
    }
    settle(&mut mesh, &mut actors, &mut books, &mut person);
    checks::always(&mesh, steps);
    books.check(!renames);
    checks::stores(&mesh, &books);
    checks::directory(&mut mesh, &actors);
    checks::groups(&mesh, &books);
    checks::quiet(&mut mesh, &mut actors, &mut books);
    checks::groups(&mesh, &books);
}

fn step(
    rng: &mut fastrand::Rng,
    mesh: &mut Mesh,
    actors: &mut [Actor],
    books: &mut Books,
    person: &mut Person,
) {
    let hubs = mesh.machines.len();
    let at = rng.usize(0..hubs);
    match rng.u32(0..200) {
        0..=3 => match rng.u32(0..3) {
            0 => mesh.kill(at),
            1 => mesh.crash(at, Crash::BeforeCommit(rng.usize(0..5))),
            _ => mesh.crash(at, Crash::AfterCommit(rng.usize(0..5))),
        },
        4..=5 => {
            let fails = rng.bool();
            mesh.machines[at].store_fails(fails);
        }
        6..=8 => {
            let sides = (0..hubs).map(|_| rng.u8(0..2)).collect();
            mesh.partition(sides);
        }
        9..=12 => mesh.heal(),
        13..=14 => {
            let other = rng.usize(0..hubs);
            if other != at {
                mesh.net.cut.insert(pair(at, other));
                mesh.cut_unreachable();
            }
        }
        15..=18 => {
            let wires = mesh.live_wires();
            if let Some(wire) = rng.choice(wires) {
                if rng.bool() {
                    mesh.reset(wire);
                } else {
                    mesh.cut(wire, 15_000);
                }
            }
        }
        19 => {
            let time = mesh.time;
            mesh.machines[at].turn_clock(time, rng.i64(-600_000..600_000));
        }
        20..=29 => person.act(rng, mesh),
        30..=33 => mesh.pass(rng.u64(1_000..60_000)),
        34..=45 => mesh.pass(rng.u64(1..1_000)),
        _ => {
            let at = rng.usize(0..actors.len());
            actors[at].act(rng, mesh, books);
        }
    }
    mesh.pass(rng.u64(0..20));
    person.listen(mesh);
    for actor in actors.iter_mut() {
        actor.listen(mesh, books);
    }
}

/// Lets everything come to rest: the network is whole, disks work, every hub is in the mesh,
/// every session is back and reads its mail.
fn settle(mesh: &mut Mesh, actors: &mut Vec<Actor>, books: &mut Books, person: &mut Person) {
    for machine in &mut mesh.machines {
        machine.crash = None;
        machine.store_fails(false);
    }
    mesh.heal();
    mesh.habits.down_ms = 100;
    mesh.habits.words_lost = 0;
    person.make_the_mesh(mesh);
    checks::listen_for(mesh, actors, books, HEAL_MS);
    for round in 0..12 {
        rest(mesh, actors, books, round);
    }
    // Mail to names nobody has now is read by whoever takes the name next.
    let mut heirs = Vec::new();
    for machine in 0..mesh.machines.len() {
        for (n, name) in NAMES.into_iter().chain([STRANGER]).enumerate() {
            let taken = |a: &Actor| a.machine == machine && a.name() == Some(name);
            if !actors.iter().any(taken) {
                let heir = Actor::heir(machine, 10 + n, name);
                heirs.push(heir);
            }
        }
    }
    actors.append(&mut heirs);
    for round in 0..8 {
        rest(mesh, actors, books, round);
    }
    // What is on its way is confirmed or given up, receipts arrive.
    checks::listen_for(mesh, actors, books, 70_000);
}

fn rest(mesh: &mut Mesh, actors: &mut [Actor], books: &mut Books, round: usize) {
    for actor in actors.iter_mut() {
        actor.come_to_rest(mesh, books, round);
    }
    for ms in [0, 50, 100, 700, 1_000] {
        mesh.pass(ms);
        for actor in actors.iter_mut() {
            actor.listen(mesh, books);
        }
    }
}

#[test]
fn a_mesh_loses_nothing_and_comes_together() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return run(seed.parse().unwrap());
    }
    let first: u64 = std::env::var("SIM_FROM").map_or(0, |from| from.parse().unwrap());
    let runs: u64 = std::env::var("SIM_RUNS")
        .map(|runs| runs.parse().unwrap())
        .unwrap_or(if cfg!(debug_assertions) { 200 } else { 3_000 });
    let started = std::time::Instant::now();
    for seed in first..first + runs {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("failed with SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{runs} runs in {:.1} s", started.elapsed().as_secs_f64());
}
