//! `node`: this machine's hub.

use super::lasting::{lasting_hub, start_lasting, stop_running};
use super::live_status::{follow, status, status_page};
use super::logs::{self, LogsArgs};
use crate::context::Context;
use crate::daemon::{self, Life};
use crate::error::CliError;
use crate::view::document::Doc;
use crate::view::style::{BOLD, GOOD, paint};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What can be done with the hub.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run the hub here, in the foreground
    Run(RunArgs),
    /// Start the hub in the background; it stays until it is stopped
    Start,
    /// Stop the hub; sessions find the next one by themselves
    Stop,
    /// Stop the hub and start it again
    Restart,
    /// Show the hub, its sessions, rooms, groups, waiting mail and warnings
    Status(StatusArgs),
    /// Show the hub's log of today
    Logs(LogsArgs),
}

/// The arguments of `node run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// End 10 seconds after the last session (sessions start the hub like this)
    #[arg(long, conflicts_with = "detached")]
    auto: bool,
    /// What `node start` runs: stay, and be content with a hub that is there already
    #[arg(long, hide = true)]
    detached: bool,
}

/// The arguments of `node status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Go on showing it as it changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Runs the hub in this process.
pub(crate) fn run_daemon(args: &RunArgs, context: &Context) -> Result<(), CliError> {
    let life = match (args.auto, args.detached) {
        (true, _) => Life::WhileNeeded,
        (_, true) => Life::Background,
        _ => Life::Foreground,
    };
    if life == Life::Foreground {
        context.output.note(&format!(
            "The hub runs here until Ctrl-C. Its log is in {}.",
            context.dir.logs().display()
        ));
    }
    daemon::run(context.dir.clone(), life).map_err(|error| {
        if life == Life::Foreground {
            return error;
        }
        // Whoever started this hub reads its last words, and says the rest itself.
        eprintln!("{}", error.sentence());
        error.already_told()
    })
}

pub(crate) async fn run(command: NodeCommand, context: &Context) -> Result<(), CliError> {
    match command {
        NodeCommand::Run(args) => run_daemon(&args, context),
        NodeCommand::Start => start(context).await,
        NodeCommand::Stop => stop(context).await,
        NodeCommand::Restart => restart(context).await,
        NodeCommand::Status(args) => {
            let mut hub = context.running_hub().await?;
            if args.watch {
                return follow(hub, context).await;
            }
            let status = status(&mut hub).await?;
            context
                .output
                .result(|| status.clone(), || status_page(&status, context))
        }
        NodeCommand::Logs(args) => logs::run(args, context).await,
    }
}

async fn start(context: &Context) -> Result<(), CliError> {
    let (mut hub, started) = lasting_hub(context).await?;
    let status = status(&mut hub).await?;
    let what = if started {
        "runs"
    } else {
        "was running already"
    };
    told(context, &status, what, json!({"started": started}))
}

async fn stop(context: &Context) -> Result<(), CliError> {
    let stopped = stop_running(context).await?;
    context.output.result(
        || json!({"ok": true, "stopped": stopped}),
        || match stopped {
            true => format!("{} The hub has ended.", paint(GOOD, "✓")),
            false => "No hub was running.".to_owned(),
        },
    )
}

async fn restart(context: &Context) -> Result<(), CliError> {
    let stopped = stop_running(context).await?;
    let mut hub = start_lasting(context).await?;
    let status = status(&mut hub).await?;
    told(
        context,
        &status,
        "runs anew",
        json!({"started": true, "stopped": stopped}),
    )
}

fn told(context: &Context, status: &Value, what: &str, facts: Value) -> Result<(), CliError> {
    let doc = Doc(status);
    context.output.result(
        || {
            let mut document = facts;
            document["ok"] = json!(true);
            for key in ["hub_id", "version", "pid", "socket", "data_dir"] {
                document[key] = status[key].clone();
            }
            document
        },
        || {
            format!(
                "{} Hub {} {what} (pid {}).",
                paint(GOOD, "✓"),
                paint(BOLD, doc.text("hub_id")),
                doc.number("pid")
            )
        },
    )
}
