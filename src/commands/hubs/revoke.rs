//! `hubs revoke`: takes a hub out of the mesh, says first what that means and then what was done.

use super::change::named;
use crate::commands::mesh_wait::{is_linked, watch_for};
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::document::Doc;
use crate::view::hubs::hub_name;
use crate::view::style::{BOLD, GOOD, WARN, paint};
use crate::view::text::one_line;
use clap::Args;
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::time::Duration;

/// An answer to a question is no longer than this, in bytes.
const ANSWER_BYTES: u64 = 256;
/// How long the other hubs are watched change their key.
const SPREAD_WITHIN: Duration = Duration::from_secs(3);
/// So many hubs are named one by one.
const NAMED: usize = 10;

/// The arguments of `hubs revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The hub: its hub id, label or PeerId
    hub: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(args: RevokeArgs, context: &Context) -> Result<(), CliError> {
    let mut named = named(&args.hub, context).await?;
    if !args.yes && !agreed(&named.name, &named.status, &named.peer_id, context)? {
        return Err(CliError::failed("Nothing was revoked."));
    }
    let answer = named
        .hub
        .ask(json!({"type": "hub", "hub": named.peer_id, "change": "revoke"}))
        .await?;
    // Hubs that were linked are dialled anew with the new key; those that are back show it.
    let others = others(&named.status, &named.peer_id, true);
    let all_back = |status: &Value| {
        let linked = self::others(status, &named.peer_id, true);
        let back = others.iter().all(|hub| linked.contains(hub));
        back.then(|| status.clone())
    };
    let (Ok(after) | Err(after)) = watch_for(&mut named.hub, SPREAD_WITHIN, all_back).await?;
    let (with_key, without) = (
        self::others(&after, &named.peer_id, true),
        self::others(&after, &named.peer_id, false),
    );
    context.output.result(
        || {
            let mut document = tool_result(&answer);
            document["hub_id"] = json!(named.name);
            document["peer_id"] = json!(named.peer_id);
            document["linked"] = json!(with_key);
            document["offline"] = json!(without);
            document
        },
        || done(&named.name, &with_key, &without),
    )
}

/// Returns the names of the hubs that are left, those that are linked or those that are not.
fn others(status: &Value, revoked: &str, linked: bool) -> Vec<String> {
    Doc(status)
        .list("hubs")
        .into_iter()
        .filter(|hub| hub.text("peer_id") != revoked && is_linked(*hub) == linked)
        .map(hub_name)
        .collect()
}

/// Asks the person; where nobody can be asked, says which option answers.
fn agreed(name: &str, status: &Value, peer_id: &str, context: &Context) -> Result<bool, CliError> {
    let input = std::io::stdin();
    if context.output.json() || !input.is_terminal() {
        return Err(CliError::usage(format!(
            "Revoking {} takes it out of the mesh on all machines; nobody can be asked here whether that is meant.",
            one_line(name)
        ))
        .hint("If it is: the same command with `--yes`."));
    }
    context.output.note(&warning(name, status, peer_id));
    context.output.prompt(&format!(
        "{} ",
        paint(BOLD, format!("Revoke {name}? [y/N]"))
    ));
    let mut answer = String::new();
    input
        .lock()
        .take(ANSWER_BYTES)
        .read_line(&mut answer)
        .map_err(|e| CliError::failed(format!("Standard input cannot be read: {e}.")))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Returns what it means to revoke a hub.
fn warning(name: &str, status: &Value, peer_id: &str) -> String {
    let hubs = Doc(status).list("hubs");
    let hub = hubs.iter().find(|hub| hub.text("peer_id") == peer_id);
    let waiting = match hub.map_or(0, |hub| hub.number("outbox")) {
        0 => String::new(),
        n => format!(" What waits here for it ({n}) is not sent."),
    };
    format!(
        "{} {} is shut out of the mesh on every machine, and its sessions with it.{waiting}\n\
         The mesh gets a new key, which the other hubs hand on; one that is off now gets it when it is back.\n\
         What {name} was sent before it keeps. Only pairing it again brings it back.",
        paint(WARN, "!"),
        paint(BOLD, name),
    )
}

fn done(name: &str, linked: &[String], offline: &[String]) -> String {
    let mut out = format!(
        "{} {} is revoked, and the mesh has a new key.\n",
        paint(GOOD, "✓"),
        paint(BOLD, name)
    );
    if linked.is_empty() && offline.is_empty() {
        out.push_str("  No other hub is left in the mesh.\n");
    }
    if !linked.is_empty() {
        out.push_str(&format!("  linked with it:       {}\n", list(linked)));
    }
    if !offline.is_empty() {
        out.push_str(&format!("  get it when back:     {}\n", list(offline)));
    }
    out
}

fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn it_is_said_what_will_happen_and_what_was_done() {
        let status = json!({"hubs": [
            {"hub_id": "laptop", "peer_id": "a", "state": "offline", "outbox": 3},
            {"hub_id": "desk", "peer_id": "b", "state": "relayed"},
            {"hub_id": "nas", "peer_id": "c", "state": "offline"},
        ]});
        let text = plain(&warning("laptop", &status, "a"));
        assert!(text.contains("waits here for it (3)"), "{text}");
        let (linked, offline) = (others(&status, "a", true), others(&status, "a", false));
        assert_eq!(
            plain(&done("laptop", &linked, &offline)),
            "✓ laptop is revoked, and the mesh has a new key.\n  linked with it:       desk\n  get it when back:     nas\n"
        );
        assert!(plain(&done("laptop", &[], &[])).contains("No other hub is left"));
    }
}
