//! What this machine holds of another hub: its label, its policy, that it is known at all.

use crate::commands::live_status::status;
use crate::commands::other_hub;
use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::hubs::hub_name;
use crate::view::style::{BOLD, GOOD, paint};
use clap::ValueEnum;
use ecorelay_protocol::HubPolicy;
use serde_json::{Value, json};

/// What the sessions of a hub may do here, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    Normal,
    NotUrgent,
    Quiet,
}

impl Policy {
    fn word(self) -> HubPolicy {
        match self {
            Self::Normal => HubPolicy::Normal,
            Self::NotUrgent => HubPolicy::NotUrgent,
            Self::Quiet => HubPolicy::Quiet,
        }
    }

    /// Returns what holds from now on.
    fn sentence(self) -> &'static str {
        match self {
            Self::Normal => {
                "Its sessions' messages are pushed into sessions here, urgent ones as such."
            }
            Self::NotUrgent => {
                "Its sessions' messages are pushed into sessions here; none is shown as urgent."
            }
            Self::Quiet => {
                "Its sessions' messages are stored and pushed into no session here; each finds them in its inbox."
            }
        }
    }
}

/// A hub that a person named, found in the status.
pub(super) struct Named {
    pub(super) hub: Hub,
    pub(super) peer_id: String,
    /// What it is called.
    pub(super) name: String,
    pub(super) status: Value,
}

/// Returns the connection and the hub that is called `wanted`.
pub(super) async fn named(wanted: &str, context: &Context) -> Result<Named, CliError> {
    let (mut hub, _) = context.open(json!({"type": "watch"})).await?;
    let status = status(&mut hub).await?;
    let (peer_id, name) = {
        let found = other_hub::find(&status, wanted)?;
        (found.text("peer_id"), hub_name(found))
    };
    Ok(Named {
        hub,
        peer_id,
        name,
        status,
    })
}

pub(super) async fn label(
    wanted: &str,
    label: Option<String>,
    context: &Context,
) -> Result<(), CliError> {
    let mut named = named(wanted, context).await?;
    let label = label.map(|label| label.trim().to_owned());
    let label = label.filter(|label| !label.is_empty());
    named
        .hub
        .ask(json!({"type": "hub", "hub": named.peer_id, "change": "label", "label": label}))
        .await?;
    context.output.result(
        || json!({"ok": true, "hub_id": named.name, "peer_id": named.peer_id, "label": label}),
        || match &label {
            Some(label) => format!(
                "{} {} is called {} on this machine. Its sessions are still NAME@{}.",
                paint(GOOD, "✓"),
                named.name,
                paint(BOLD, crate::view::text::one_line(label)),
                named.name
            ),
            None => format!("{} {} has no label any more.", paint(GOOD, "✓"), named.name),
        },
    )
}

pub(super) async fn policy(
    wanted: &str,
    policy: Policy,
    context: &Context,
) -> Result<(), CliError> {
    let mut named = named(wanted, context).await?;
    let word = policy.word();
    named
        .hub
        .ask(json!({"type": "hub", "hub": named.peer_id, "change": "policy", "policy": word}))
        .await?;
    context.output.result(
        || json!({"ok": true, "hub_id": named.name, "peer_id": named.peer_id, "policy": word}),
        || {
            format!(
                "{} {}: {}",
                paint(GOOD, "✓"),
                paint(BOLD, &named.name),
                policy.sentence()
            )
        },
    )
}

pub(super) async fn forget(wanted: &str, context: &Context) -> Result<(), CliError> {
    let mut named = named(wanted, context).await?;
    named
        .hub
        .ask(json!({"type": "hub", "hub": named.peer_id, "change": "forget"}))
        .await?;
    context.output.result(
        || json!({"ok": true, "hub_id": named.name, "peer_id": named.peer_id}),
        || {
            format!(
                "{} {} is forgotten on this machine.",
                paint(GOOD, "✓"),
                named.name
            )
        },
    )
}
