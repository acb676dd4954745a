//! The simulator: one hub, its store and a handful of sessions under a seeded random schedule,
//! with crashes before and after every kind of commit, a store that fails for a while, sessions
//! that come, go, rename and collide, and pushes that are confirmed late, refused or never.
//!
//! Invariants: an accepted message is never lost and never shown twice, the order per sender
//! holds, `delivered` is only said of what was handed over, rooms hold live sessions only, and
//! nothing is left over when all is quiet. A failing seed is printed and replays exactly:
//! `SIM_SEED=n cargo test -p ecorelay-hub --test sim`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod actor;
mod machine;

use actor::{Actor, NAMES};
use machine::{Crash, Machine};

/// One run: random steps, then quiet, then the books are checked.
fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut machine = Machine::new(rng.u64(..));
    let renames = rng.bool();
    let mut actors: Vec<Actor> = (0..rng.usize(2..=5))
        .map(|n| Actor::new(n, rng.bool(), renames))
        .collect();
    for _ in 0..rng.usize(20..150) {
        step(&mut rng, &mut machine, &mut actors);
        machine.check_always();
    }
    settle(&mut machine, &mut actors);
    check(&machine, &actors);
    if !renames {
        // A rename onto a name with mail puts that mail behind the session's own.
        machine.check_order();
    }
}

fn step(rng: &mut fastrand::Rng, machine: &mut Machine, actors: &mut [Actor]) {
    match rng.u32(0..100) {
        0..=2 => machine.crash_at(match rng.u32(0..4) {
            0 => Crash::BeforeCommit(rng.usize(0..4)),
            1 => Crash::AfterCommit(rng.usize(0..4)),
            2 => Crash::BetweenBatches,
            _ => Crash::BeforeCommit(usize::MAX),
        }),
        3 => machine.store_fails(rng.bool()),
        4..=14 => machine.pass(rng.u64(1..800)),
        15 => machine.pass(rng.u64(1_000..120_000)),
        16..=45 => machine.run_some(rng.usize(1..6)),
        _ => {
            let at = rng.usize(0..actors.len());
            actors[at].act(rng, machine);
        }
    }
    for actor in actors.iter_mut() {
        actor.listen(machine);
    }
}

/// Lets everything come to rest: the store works, every session is back and reads its mail.
fn settle(machine: &mut Machine, actors: &mut [Actor]) {
    machine.no_more_trouble();
    for round in 0..60 {
        for actor in actors.iter_mut() {
            actor.come_to_rest(machine, round);
        }
        rest(machine, actors);
    }
    // Mail to names nobody has now is read by whoever takes the name next.
    let mut heirs: Vec<Actor> = Vec::new();
    for name in NAMES {
        if !actors.iter().any(|a| a.name() == Some(name)) {
            heirs.push(Actor::heir(actors.len() + heirs.len(), name));
        }
    }
    for round in 0..20 {
        for heir in &mut heirs {
            heir.come_to_rest(machine, round);
        }
        rest(machine, &mut heirs);
    }
    machine.note_readers(actors.iter().chain(&heirs));
    machine.pass(120_000);
}

/// Lets everything run while every session listens, and then time pass.
fn rest(machine: &mut Machine, actors: &mut [Actor]) {
    for ms in [0, 0, 0, 600] {
        machine.pass(ms);
        machine.run_all();
        for actor in actors.iter_mut() {
            actor.listen(machine);
        }
    }
}

fn check(machine: &Machine, actors: &[Actor]) {
    for actor in actors {
        for sent in &actor.sent {
            let (shown, settled) = machine.times_read(&sent.text);
            assert!(settled <= 1, "{:?} was read {settled} times", sent.text);
            assert!(
                shown > 0 || !sent.accepted,
                "accepted {:?} was never read",
                sent.text
            );
        }
    }
    machine.check_at_rest();
}

#[test]
fn nothing_accepted_is_lost_doubled_or_reordered() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return run(seed.parse().unwrap());
    }
    let runs: u64 = std::env::var("SIM_RUNS")
        .map(|runs| runs.parse().unwrap())
        .unwrap_or(if cfg!(debug_assertions) {
            1_500
        } else {
            10_000
        });
    let started = std::time::Instant::now();
    for seed in 0..runs {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("failed with SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{runs} runs in {:.1} s", started.elapsed().as_secs_f64());
}
