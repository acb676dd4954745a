//! Measures what hubs cost a rendezvous server: `cargo bench -p ecorelay-rendezvous` prints one
//! table. The server is the real program in a process of its own; all hubs are in this process,
//! over loopback. `-- --quick` runs everything once with few hubs and judges nothing; so does a
//! start without cargo's `--bench`. docs/performance.md has the numbers.

#[cfg(unix)]
#[path = "../../../benches/shared/choice.rs"]
mod choice;
#[cfg(unix)]
#[path = "../../../benches/shared/machine.rs"]
mod machine;
#[cfg(unix)]
mod many;
#[cfg(unix)]
mod relayed;
#[cfg(unix)]
mod running;
#[cfg(unix)]
#[path = "../../tests/support/mod.rs"]
mod support;
#[cfg(unix)]
#[path = "../../../benches/shared/table.rs"]
#[allow(dead_code)] // other benchmarks use more of it
mod table;

/// What a measurement gives: a value, or why there is none.
#[cfg(unix)]
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let choice = match choice::Choice::from(&arguments) {
        Ok(choice) => choice,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match measure(&choice) {
        Ok(table) => {
            println!("{}\n\n{table}", machine::describe());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
fn measure(choice: &choice::Choice) -> Outcome<table::Table> {
    let mut table = table::Table::new(!choice.quick);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if choice.wants("many") {
        runtime.block_on(many::measure(choice.quick, &mut table))?;
    }
    if choice.wants("relayed") {
        runtime.block_on(relayed::measure(choice.quick, &mut table))?;
    }
    Ok(table)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("These measurements need Unix sockets.");
}
