//! `mcp`: one assistant session, over standard input and output.

use crate::args::Global;
use crate::error::{CliError, as_sentence};
use clap::Args;
use ecorelay_adapters::PushChoice;
use ecorelay_config::DataDir;
use ecorelay_mcp_channel::ChannelOptions;
use std::process::ExitCode;

/// The arguments of `mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// How messages get into the live session: auto, inbox-socket, channel or none
    /// [default: ECORELAY_PUSH, else auto]
    #[arg(long, value_name = "PATH")]
    push: Option<String>,
}

/// Serves until the client is gone. A missing home folder is no reason to end: the tools say so.
pub(crate) fn run(args: &McpArgs, global: &Global) -> Result<ExitCode, CliError> {
    let mut options = ChannelOptions::from_env();
    if let Some(push) = &args.push {
        let choice = push.parse::<PushChoice>();
        options.push = Some(choice.map_err(|e| CliError::usage(as_sentence(&e.to_string())))?);
    }
    if let Some(root) = &global.data_dir {
        options.dir = Ok(DataDir::at(
            std::path::absolute(root).unwrap_or_else(|_| root.clone()),
        ));
    }
    if let Some(name) = &global.acting {
        options.around.peer_id = Some(name.clone());
    }
    let code = ecorelay_mcp_channel::run(options);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
