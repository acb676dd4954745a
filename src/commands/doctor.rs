//! `doctor`: finds out what does not work and how to mend it.

mod assistants;
mod files;
mod finding;
mod firewall;
mod hub;
mod mesh;
mod multicast;
mod network;
mod servers;

use crate::context::Context;
use crate::error::CliError;
use finding::Level;
use serde_json::json;

pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let mut findings = files::check(&context.dir);
    let can_start = findings.iter().all(|finding| finding.level != Level::Fail);
    findings.extend(hub::check(&context.dir, can_start).await);
    findings.extend(assistants::check());
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
