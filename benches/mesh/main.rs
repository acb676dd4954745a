//! Measures what the mesh costs: `cargo bench --bench mesh` prints one table, each row beside its
//! floor (the least any program could need for it) measured in the same run, and one that shows
//! what grows with the number of hubs.
//!
//! The hubs are the real program, each in a process of its own, made one mesh over loopback; the
//! clients are raw version "6" lines over Unix sockets, all on one thread. The floor is an echo on
//! a bare libp2p stream between two processes. `-- --quick` runs everything once with few samples
//! and judges nothing; so does a start without cargo's `--bench`. docs/performance.md has the
//! numbers.

#[cfg(unix)]
mod fan_out;
#[cfg(unix)]
mod growth;
#[cfg(unix)]
mod hubs;
#[cfg(unix)]
mod idle;
#[cfg(unix)]
mod many;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod plan;
#[cfg(unix)]
#[path = "../shared/mod.rs"]
mod shared;
#[cfg(unix)]
mod stream;
#[cfg(unix)]
mod throughput;

#[cfg(unix)]
use {
    plan::Plan,
    shared::{Section, choice::Choice, floor},
    std::process::ExitCode,
};

#[cfg(unix)]
const SECTIONS: [Section<Plan>; 5] = [
    ("messages", messages::measure),
    ("throughput", throughput::measure),
    ("fan-out", fan_out::measure),
    ("idle", idle::measure),
    ("growth", growth::measure),
];

#[cfg(unix)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let role = floor::role(&arguments).or_else(|| stream::role(&arguments));
    if let Some(role) = role.or_else(|| many::role(&arguments)) {
        return role;
    }
    let choice = match Choice::from(&arguments) {
        Ok(choice) => choice,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    shared::run(&choice, &Plan::new(choice.quick), &SECTIONS)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("These measurements need Unix sockets.");
}
