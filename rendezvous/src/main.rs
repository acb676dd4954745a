//! `ecorelay-rendezvous`: a public host through which hubs find and reach each other.

mod cli;

use clap::Parser as _;
use cli::args::{Arguments, Command};
use cli::error::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(act(arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

async fn act(arguments: Arguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    match arguments.command {
        Some(Command::Status { json }) => cli::status::run(&settings, json).await,
        None if arguments.check => cli::check::run(&settings),
        None => cli::run::run(&settings).await,
    }
}
