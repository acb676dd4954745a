//! `run`: a program in a terminal that messages are typed into.

use crate::args::Global;
use crate::error::CliError;
use crate::run::{self, Wish};
use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// The arguments of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: ecorelay run --as docs -- aider --model sonnet\n\nA message is typed only while the program waits at an empty prompt and nobody types; until then it waits in the inbox. Nothing is ever typed into shells and other programs that carry out what they are given."
)]
pub(crate) struct RunArgs {
    /// Treat the program as this one: aider, gemini, claude or codex [default: by its file's
    /// name]
    #[arg(long, value_name = "PROGRAM")]
    like: Option<String>,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// Runs the program and returns its exit code.
pub(crate) fn run(args: RunArgs, global: &Global) -> Result<ExitCode, CliError> {
    run::run(
        Wish {
            command: args.command,
            like: args.like,
            name: global.acting.clone(),
        },
        global,
    )
}
