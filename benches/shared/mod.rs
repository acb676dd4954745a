//! What the benchmarks share: the hub that is measured, the clients that talk to it, floors, and
//! the table that comes out.

#![allow(dead_code)] // each benchmark uses a part of it

pub(crate) mod choice;
pub(crate) mod client;
pub(crate) mod disk;
pub(crate) mod floor;
pub(crate) mod hub;
pub(crate) mod machine;
pub(crate) mod rooms;
pub(crate) mod sending;
pub(crate) mod table;

use choice::Choice;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;
use table::Table;

/// What a measurement gives: a value, or why there is none.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A family of rows, and what measures it by a plan.
pub(crate) type Section<P> = (&'static str, fn(&P, &mut Table) -> Outcome<()>);

/// Measures the chosen sections and prints the table. A section that fails is told, and the
/// others go on.
pub(crate) fn run<P>(choice: &Choice, plan: &P, sections: &[Section<P>]) -> ExitCode {
    let began = Instant::now();
    let mut table = Table::new(!choice.quick);
    let mut failed = false;
    println!("{}\n", machine::describe());
    for (name, measure) in sections {
        if !choice.wants(name) {
            continue;
        }
        let at = Instant::now();
        if let Err(error) = measure(plan, &mut table) {
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
