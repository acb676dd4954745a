//! The `ecorelay` command: reads the arguments, calls one file of [`commands`], reports how
//! it ended. What it prints is made in [`view`], what it asks goes through [`hub`].

mod args;
mod assistants;
mod commands;
mod context;
mod daemon;
mod error;
mod hub;
mod identity;
mod output;
mod run;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse() {
        Ok(cli) => commands::run(cli),
        Err(code) => code,
    }
}
