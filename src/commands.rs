//! One file per command: its arguments, what it asks, what it prints.

pub(crate) mod broadcast;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod doctor;
pub(crate) mod group;
pub(crate) mod hook;
pub(crate) mod hubs;
pub(crate) mod import;
pub(crate) mod inbox;
pub(crate) mod install;
pub(crate) mod invite;
pub(crate) mod join;
mod lasting;
mod live_status;
pub(crate) mod logs;
pub(crate) mod mcp;
mod mesh_wait;
mod multiaddr;
pub(crate) mod node;
mod other_hub;
pub(crate) mod pair;
mod peers;
mod presence;
pub(crate) mod rendezvous;
pub(crate) mod reply;
pub(crate) mod room;
pub(crate) mod run;
pub(crate) mod send;
mod setting_up;
mod typed;
pub(crate) mod uninstall;
pub(crate) mod up;
pub(crate) mod wait;
pub(crate) mod wake;
pub(crate) mod watch;
pub(crate) mod why;
mod words;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use std::process::ExitCode;

/// Runs the command and returns what the shell is told.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.global.json);
    dispatch(cli).unwrap_or_else(|error| output.report(&error))
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Completions(args) => completions::run(&args)?,
        Command::Install(args) => install::run(args, &Context::new(&cli.global)?)?,
        Command::Uninstall(args) => uninstall::run(args, &Context::new(&cli.global)?)?,
        Command::Mcp(args) => return mcp::run(&args, &cli.global),
        Command::Hook(args) => return Ok(hook::run(&args, &cli.global)),
        Command::Wake(args) => wake::run(&args, &cli.global)?,
        Command::Run(args) => return run::run(args, &cli.global),
        // The daemon has threads and a run time of its own.
        Command::Node(node::NodeCommand::Run(args)) => {
            node::run_daemon(&args, &Context::new(&cli.global)?)?;
        }
        command => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CliError::failed(format!("The program cannot start: {e}.")))?
            .block_on(ask(command, &Context::new(&cli.global)?))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Up(args) => up::run(args, context).await,
        Command::Node(command) => node::run(command, context).await,
        Command::Peers => peers::run(context).await,
        Command::Send(args) => send::run(args, context).await,
        Command::Inbox(args) => inbox::run(args, context).await,
        Command::Reply(args) => reply::run(args, context).await,
        Command::Broadcast(args) => broadcast::run(args, context).await,
        Command::Room(command) => room::run(command, context).await,
        Command::Group(command) => group::run(command, context).await,
        Command::Invite(args) => invite::run(args, context).await,
        Command::Join(args) => join::run(args, context).await,
        Command::Connect(args) => connect::run(args, context).await,
        Command::Pair(args) => pair::run(args, context).await,
        Command::Hubs(args) => hubs::run(args, context).await,
        Command::Rendezvous(args) => rendezvous::run(args, context).await,
        Command::Wait(args) => wait::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Why(args) => why::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Mcp(_)
        | Command::Run(_)
        | Command::Completions(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::Hook(_)
        | Command::Wake(_) => Err(CliError::failed("This command asks no hub.")),
    }
}
