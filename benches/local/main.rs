//! Measures what one machine costs: `cargo bench --bench local` prints one table, each row beside
//! its floor (the least any program could need for it) measured in the same run.
//!
//! The hub is the real program in a process of its own with a fresh data directory; the clients
//! are raw version "6" lines over Unix sockets, all on one thread, so that they cost as little as
//! possible. Floor and subject take turns. `-- --quick` runs everything once with few samples and
//! judges nothing; so does a start without cargo's `--bench`. docs/performance.md has the numbers.

#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod fan_out;
#[cfg(unix)]
mod hook;
#[cfg(unix)]
mod mailbox;
#[cfg(unix)]
mod memory;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod plan;
#[cfg(unix)]
#[path = "../shared/mod.rs"]
mod shared;
#[cfg(unix)]
mod start;
#[cfg(unix)]
mod throughput;

#[cfg(unix)]
use {
    plan::Plan,
    shared::{Section, choice::Choice, floor},
    std::process::ExitCode,
};

#[cfg(unix)]
const SECTIONS: [Section<Plan>; 8] = [
    ("messages", messages::measure),
    ("throughput", throughput::measure),
    ("mailbox", mailbox::measure),
    ("fan-out", fan_out::measure),
    ("memory", memory::measure),
    ("channel", channel::measure),
    ("hook", hook::measure),
    ("start", start::measure),
];

#[cfg(unix)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = floor::role(&arguments) {
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
