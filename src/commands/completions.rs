//! `completions`: a completion script for a shell.

use crate::args::Cli;
use crate::error::CliError;
use crate::output::Output;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ecorelay", &mut script);
    Output::new(false).raw(&script)
}
