//! How a pairing ended, and what is said of it.

use crate::commands::live_status::status;
use crate::commands::mesh_wait::{is_linked, watch_for};
use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::output::Output;
use crate::view::document::Doc;
use crate::view::hubs::{a_session, round_trip};
use crate::view::pairing::{Paired, paired};
use crate::view::text::with_commands;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the link of two hubs that have just paired is waited for.
const LINKED_WITHIN: Duration = Duration::from_secs(5);

/// How a pairing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Both hubs know it.
    Paired(Met),
    /// Nothing came of it.
    Failed {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// The person ended it.
    Interrupted,
}

/// The hub that was paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) hub_id: String,
    pub(super) peer_id: String,
    pub(super) created: bool,
    pub(super) hubs: usize,
    /// Hubs that come along with it.
    pub(super) brings: Vec<String>,
}

impl Outcome {
    /// Returns the outcome of a pairing that came to no end.
    pub(super) fn late() -> Self {
        Self::Failed {
            code: "expired".to_owned(),
            message: "The time is up. A code is good for two minutes: begin again with `ecorelay pair` on both machines.".to_owned(),
        }
    }
}

/// Waits for the link, and says what it means to be paired.
pub(super) async fn welcome(hub: &mut Hub, met: Met, context: &Context) -> Result<(), CliError> {
    let find = |status: &Value| the_hub(status, &met.peer_id).filter(|hub| is_linked(Doc(hub)));
    let found = watch_for(hub, LINKED_WITHIN, find).await?.ok();
    let linked = found.as_ref().map(Doc);
    context.output.result(
        || {
            json!({
                "ok": true, "hub_id": met.hub_id, "peer_id": met.peer_id, "created": met.created,
                "hubs": met.hubs, "brings": met.brings, "linked": linked.is_some(),
                "state": linked.map_or_else(|| "offline".to_owned(), |hub| hub.text("state")),
            })
        },
        || {
            paired(&Paired {
                hub_id: met.hub_id.clone(),
                created: met.created,
                hubs: met.hubs,
                brings: met.brings.clone(),
                link: linked.map_or_else(String::new, how),
                example: linked.and_then(a_session),
            })
        },
    )
}

fn how(hub: Doc<'_>) -> String {
    let parts = [hub.text("state"), round_trip(hub)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

fn the_hub(status: &Value, peer_id: &str) -> Option<Value> {
    let mut hubs = Doc(status).list("hubs").into_iter();
    hubs.find(|hub| hub.text("peer_id") == peer_id)
        .map(|hub| hub.0.clone())
}

/// Reports that nothing came of it; returns the error that ends the program.
pub(super) fn failed(output: Output, code: &str, message: &str) -> CliError {
    let message = with_commands(message);
    if output.json() {
        let document = json!({"ok": false, "code": code, "message": message});
        // A closed pipe is nobody's error.
        let _ = output.document(&document);
        return CliError::failed(message).already_told();
    }
    CliError::failed(format!("Not paired. {message}"))
        .hint("Nothing has changed on either machine.")
}

/// Says what holds after the person ended it: the other side may have been faster.
pub(super) async fn interrupted(before: &Value, context: &Context) -> Result<(), CliError> {
    context.output.after_interrupt()?;
    let after = match Hub::running(&context.dir).await? {
        Some(mut hub) => status(&mut hub).await?,
        None => before.clone(),
    };
    let new = Doc(&after)
        .list("hubs")
        .into_iter()
        .find(|hub| the_hub(before, &hub.text("peer_id")).is_none());
    Err(match new {
        None => failed(context.output, "cancelled", "You ended it."),
        Some(hub) => CliError::failed(format!(
            "It was done already: {} is paired.",
            hub.text("hub_id")
        ))
        .hint(format!(
            "`ecorelay hubs revoke {}` undoes it.",
            hub.text("hub_id")
        )),
    })
}
