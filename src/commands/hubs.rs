//! `hubs`: the other hubs of the mesh, and what this machine holds of them.

mod change;
mod revoke;

use super::live_status::{status, surroundings};
use crate::context::Context;
use crate::error::CliError;
use crate::view::document::Doc;
use crate::view::{hubs, servers};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// The arguments of `hubs`.
#[derive(Debug, Args)]
pub(crate) struct HubsArgs {
    #[command(subcommand)]
    command: Option<HubsCommand>,
}

/// What can be done about other hubs. HUB is a hub id, a label or a PeerId.
#[derive(Debug, Subcommand)]
enum HubsCommand {
    /// List the hubs on other machines (what `ecorelay hubs` does, too)
    List,
    /// Call a hub something on this machine, beside its hub id
    Label {
        /// The hub: its hub id, label or PeerId
        hub: String,
        /// What to call it; without one, the label is taken away
        name: Option<String>,
    },
    /// Say what the sessions of a hub may do on this machine
    Policy {
        /// The hub: its hub id, label or PeerId
        hub: String,
        /// normal: its messages are pushed; not-urgent: pushed, none as urgent; quiet: stored
        /// and not pushed
        #[arg(value_enum)]
        policy: change::Policy,
    },
    /// Forget a hub that was revoked, or that was let in and never came
    Forget {
        /// The hub: its hub id, label or PeerId
        hub: String,
    },
    /// Take a hub out of the mesh, for all hubs, and change the mesh's key
    Revoke(revoke::RevokeArgs),
}

pub(crate) async fn run(args: HubsArgs, context: &Context) -> Result<(), CliError> {
    match args.command {
        None | Some(HubsCommand::List) => list(context).await,
        Some(HubsCommand::Label { hub, name }) => change::label(&hub, name, context).await,
        Some(HubsCommand::Policy { hub, policy }) => change::policy(&hub, policy, context).await,
        Some(HubsCommand::Forget { hub }) => change::forget(&hub, context).await,
        Some(HubsCommand::Revoke(args)) => revoke::run(args, context).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let mut hub = context.running_hub().await?;
    let status = status(&mut hub).await?;
    context.output.result(
        || document(&status),
        || surroundings(context, |around| page(&status, around)),
    )
}

/// Returns the part of the status that is about other hubs.
fn document(status: &Value) -> Value {
    let mut document = json!({"ok": true});
    for key in [
        "hub_id",
        "peer_id",
        "mesh",
        "hubs",
        "rendezvous",
        "nearby",
        "dials",
    ] {
        document[key] = status[key].clone();
    }
    document
}

fn page(status: &Value, around: crate::view::status::Surroundings<'_>) -> String {
    let doc = Doc(status);
    let sections = [
        hubs::hubs(doc, around),
        hubs::revoked(doc, around),
        servers::servers(doc),
        hubs::nearby(doc, around),
        hubs::dials(doc, around),
    ];
    let sections: Vec<String> = sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect();
    if sections.is_empty() {
        return "No other hub is known. `ecorelay pair` pairs this machine with another."
            .to_owned();
    }
    sections.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::status::Surroundings;

    #[test]
    fn without_another_hub_it_says_how_to_get_one() {
        let around = Surroundings {
            now: 0,
            home: None,
            columns: None,
            program: "",
        };
        assert!(page(&json!({"hubs": []}), around).contains("ecorelay pair"));
        let full = json!({"hub_id": "a", "hubs": [{"hub_id": "b"}], "sessions": []});
        assert_eq!(document(&full)["hubs"][0]["hub_id"], "b");
        assert!(document(&full).get("sessions").is_none());
    }
}
