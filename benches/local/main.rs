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
mod client;
#[cfg(unix)]
mod disk;
#[cfg(unix)]
mod fan_out;
#[cfg(unix)]
mod floor;
#[cfg(unix)]
mod hub;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod mailbox;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod plan;
#[cfg(unix)]
mod start;
#[cfg(unix)]
mod table;
#[cfg(unix)]
mod throughput;

#[cfg(unix)]
use {
    plan::Plan,
    std::{error::Error, process::ExitCode, time::Instant},
    table::Table,
};

/// What a measurement gives: a value, or why there is none.
#[cfg(unix)]
type Outcome<T> = Result<T, Box<dyn Error>>;

/// A family of rows, and what measures it.
#[cfg(unix)]
type Section = (&'static str, fn(&Plan, &mut Table) -> Outcome<()>);

#[cfg(unix)]
const SECTIONS: [Section; 7] = [
    ("messages", messages::measure),
    ("throughput", throughput::measure),
    ("mailbox", mailbox::measure),
    ("fan-out", fan_out::measure),
    ("memory", hub::measure_memory),
    ("channel", channel::measure),
    ("start", start::measure),
];

#[cfg(unix)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = floor::role(&arguments) {
        return role;
    }
    let plan = match Plan::from(&arguments) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let mut table = Table::new(plan.judged);
    let mut failed = false;
    println!("{}\n", machine::describe());
    for (name, measure) in SECTIONS {
        if !plan.wants(name) {
            continue;
        }
        let at = Instant::now();
        if let Err(error) = measure(&plan, &mut table) {
            eprintln!("{name}: could not be measured: {error}");
            failed = true;
        }
        eprintln!("{name}: {:.1} s", at.elapsed().as_secs_f64());
    }
    println!("{table}");
    println!(
        "{:.0} s in all; load average at the end {}",
        began.elapsed().as_secs_f64(),
        machine::load()
    );
    ExitCode::from(u8::from(failed))
}

#[cfg(not(unix))]
fn main() {
    eprintln!("These measurements need Unix sockets.");
}
