//! `doctor`: finds out what does not work and how to mend it.

mod assistants;
mod files;
mod finding;
mod firewall;
mod hub;
mod mesh;
mod multicast;
mod network;
mod round_trip;
mod servers;

use crate::context::Context;
use crate::error::CliError;
use clap::Args;
use finding::Level;
use serde_json::json;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// An assistant, such as claude or codex: checks it up to a real round trip
    #[arg(value_name = "NAME")]
    assistant: Option<String>,
}

pub(crate) async fn run(args: DoctorArgs, context: &Context) -> Result<(), CliError> {
    let findings = match &args.assistant {
        Some(name) => assistants::check_one(name, context).await?,
        None => {
            let mut findings = files::check(&context.dir);
            let can_start = findings.iter().all(|finding| finding.level != Level::Fail);
            findings.extend(hub::check(&context.dir, can_start).await);
            findings.extend(assistants::check(context));
            findings
        }
    };
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    context.output.result(
        || json!({"ok": !failed, "findings": findings}),
        || finding::page(&findings),
    )?;
    if failed {
        Err(CliError::failed("").already_told())
    } else {
        Ok(())
    }
}
