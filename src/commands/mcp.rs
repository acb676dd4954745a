//! `mcp`: one assistant session, over standard input and output.

use crate::context::Context;
use crate::error::CliError;
use clap::Args;

/// The arguments of `mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// How messages get into the live session
    #[arg(long, value_name = "PATH", default_value = "auto")]
    push: String,
}

pub(crate) fn run(args: McpArgs, context: &Context) -> Result<(), CliError> {
    let _ = (args.push, &context.dir);
    Err(CliError::failed("The channel is not part of this program."))
}
