//! `hubs revoke`: takes a hub out of the mesh, says first what that means and then what was done.

use super::change::named;
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::document::Doc;
use crate::view::style::{BOLD, GOOD, WARN, paint};
use crate::view::text::one_line;
use clap::Args;
use ecorelay_protocol::HubLine;
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Read as _};

/// An answer to a question is no longer than this, in bytes.
const ANSWER_BYTES: u64 = 256;
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
    let HubLine::HubResult { hubs, missing, .. } = &answer else {
        return Err(CliError::odd_answer("hub"));
    };
    context.output.result(
        || tool_result(&answer),
        || done(&named.name, *hubs, missing),
    )
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

/// Returns what was done, and which of the hubs that are left have the new key.
fn done(name: &str, hubs: usize, missing: &[String]) -> String {
    let have = hubs.saturating_sub(missing.len());
    let keys = match (hubs, missing) {
        (0 | 1, _) => "This hub is the only one left in it.".to_owned(),
        (_, []) => format!("All {hubs} hubs that are left have it."),
        (_, missing) => format!(
            "{have} of {hubs} hubs have it by now, this one included; {} {} it when back.",
            list(missing),
            if missing.len() == 1 { "gets" } else { "get" },
        ),
    };
    format!(
        "{} {} is revoked, and the mesh has a new key. {keys}",
        paint(GOOD, "✓"),
        paint(BOLD, name)
    )
}

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|n| one_line(n)).collect();
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
        for (hubs, missing, words) in [
            (1, &[][..], "only one left"),
            (3, &[], "All 3 hubs that are left have it."),
            (
                3,
                &["nas".to_owned()],
                "2 of 3 hubs have it by now, this one included; nas gets it when back.",
            ),
        ] {
            let text = plain(&done("laptop", hubs, missing));
            assert!(
                text.starts_with("✓ laptop is revoked, and the mesh has a new key. "),
                "{text}"
            );
            assert!(text.contains(words), "{text}");
        }
    }
}
