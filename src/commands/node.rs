//! `node`: this machine's hub.

use super::live_status::{follow, status, status_page};
use super::logs::{self, LogsArgs};
use crate::context::Context;
use crate::daemon::{self, Life};
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::status::Doc;
use crate::view::style::{BOLD, GOOD, paint};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a hub may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often a hub that ends is looked at.
const LOOK: Duration = Duration::from_millis(30);

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
    daemon::run(context.dir.clone(), life)
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
    let (mut hub, started) = context.lasting_hub().await?;
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
    let mut hub = context.new_lasting_hub().await?;
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

/// Stops the hub and waits until it is gone; `false` when none was running.
async fn stop_running(context: &Context) -> Result<bool, CliError> {
    let Some(mut hub) = Hub::running(&context.dir).await? else {
        return Ok(false);
    };
    match hub.ask(json!({"type": "stop"})).await {
        // The hub may be gone before its answer is read.
        Ok(_) => {}
        Err(error) if error.is_no_hub() => {}
        Err(error) => return Err(error),
    }
    let gone = async {
        hub.closed().await;
        while context.dir.socket().exists() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(STOP_WITHIN, gone).await.map_err(|_| {
        CliError::failed(format!(
            "The hub was asked to end but is still there after {} seconds.",
            STOP_WITHIN.as_secs()
        ))
        .hint("`ecorelay node logs` says what it is doing.")
    })?;
    Ok(true)
}
