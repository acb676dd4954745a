//! The arguments. Each command's own arguments stand in its file under `commands/`.

use crate::commands::{
    broadcast, completions, connect, doctor, group, hook, hubs, import, inbox, install, invite,
    join, mcp, node, pair, rendezvous, reply, room, run, send, uninstall, up, wait, wake, watch,
    why,
};
use crate::error::CliError;
use crate::output::Output;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// AI coding-assistant sessions message each other, on one machine and across machines.
#[derive(Debug, Parser)]
#[command(
    name = "ecorelay",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no hub could be reached or started."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Global {
    /// Act as this name [default: RELAY_PEER_ID, else your user name]
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub(crate) acting: Option<String>,
    /// Print JSON: one document, or one line per event where a command goes on
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The hub's data directory [default: ECORELAY_DATA_DIR, else ~/.eco-relay]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the hub if needed, say what to do next, and show what happens
    Up(up::UpArgs),
    /// Run, start, stop and look at this machine's hub
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Run a program (aider, …) in this terminal; messages are typed in when that is safe
    Run(run::RunArgs),
    /// Serve one assistant session over stdio (assistants start this themselves)
    Mcp(mcp::McpArgs),
    /// Tell an assistant that runs this as its hook what has come for its session
    #[command(hide = true)]
    Hook(hook::HookArgs),
    /// Wait in an assistant's background until a message comes
    #[command(hide = true)]
    Wake(wake::WakeArgs),
    /// List the sessions that can be written to
    Peers,
    /// Send a message to a session
    Send(send::SendArgs),
    /// Show what came for you, and mark it read
    Inbox(inbox::InboxArgs),
    /// Answer a message or a question by its id
    Reply(reply::ReplyArgs),
    /// Ask every session a question and show the answers
    Broadcast(broadcast::BroadcastArgs),
    /// Talk in rooms: they last as long as somebody is in them
    #[command(subcommand)]
    Room(room::RoomCommand),
    /// Talk in groups: they keep members and history
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Pair this machine with another: shows a code, or takes the one that the other shows
    Pair(pair::PairArgs),
    /// Print a ticket with which another machine joins
    Invite(invite::InviteArgs),
    /// Join the machines of a ticket
    Join(join::JoinArgs),
    /// Keep a connection to the hub at an address
    Connect(connect::ConnectArgs),
    /// List the hubs on other machines; label, quieten, forget or revoke one
    Hubs(hubs::HubsArgs),
    /// Servers through which hubs on the internet find and reach each other
    Rendezvous(rendezvous::RendezvousArgs),
    /// Wait for one message, show it and end
    Wait(wait::WaitArgs),
    /// Show what comes, as it comes
    Watch(watch::WatchArgs),
    /// Show the way of one message
    Why(why::WhyArgs),
    /// Find out what does not work and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Set up the assistants that are on this machine
    Install(install::InstallArgs),
    /// Take back what `install` did
    Uninstall(uninstall::UninstallArgs),
    /// Take over the mailboxes and groups of an EcoRelay 0.8–1.0 data directory
    Import(import::ImportArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Returns the arguments, or, after printing help or what was wrong, the exit code.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|e| {
        // To an assistant, 2 from a hook means something else than wrong usage.
        let is_hook = std::env::args_os().nth(1).is_some_and(|arg| arg == "hook");
        let json = !is_hook && std::env::args_os().any(|arg| arg == "--json");
        if e.use_stderr() && json {
            let text = e.render().to_string();
            return Output::new(true).report(&CliError::usage(first_sentence(&text)));
        }
        // A closed pipe is nobody's error.
        let _ = e.print();
        if is_hook {
            return ExitCode::SUCCESS;
        }
        ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2))
    })
}

/// Returns what was wrong and the tips, without the usage lines, as one line.
fn first_sentence(rendered: &str) -> String {
    let lines: Vec<&str> = rendered
        .lines()
        .map(|line| line.trim().trim_start_matches("error: "))
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    format!(
        "{}. Try `ecorelay help`.",
        lines.join("; ").trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_stand_anywhere() {
        for line in [
            "ecorelay --as me --json send bob hi there --urgent",
            "ecorelay send bob hi there --urgent --as me --json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                (cli.global.acting.as_deref(), cli.global.json),
                (Some("me"), true)
            );
            let Command::Send(send) = cli.command else {
                panic!()
            };
            assert!(send.urgent && send.text == ["hi", "there"]);
        }
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let error = Cli::try_parse_from(["ecorelay", "brodcast", "x"]).unwrap_err();
        let text = first_sentence(&error.render().to_string());
        assert!(
            text.contains("broadcast") && !text.contains("Usage"),
            "{text}"
        );
    }
}
