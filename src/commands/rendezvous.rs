//! `rendezvous`: the servers through which the hubs of this mesh find and reach each other.

use super::live_status::status;
use super::mesh_wait::watch_for;
use super::multiaddr;
use crate::context::Context;
use crate::error::CliError;
use crate::view::address::{host_port, peer_of, without_peer};
use crate::view::document::Doc;
use crate::view::servers::{server_words, servers};
use crate::view::style::{BOLD, GOOD, WARN, paint};
use crate::view::text::one_line;
use clap::{Args, Subcommand};
use ecorelay_protocol::ErrorCode;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a server that was added is waited for.
const RESERVED_WITHIN: Duration = Duration::from_secs(8);

/// The arguments of `rendezvous`.
#[derive(Debug, Args)]
pub(crate) struct RendezvousArgs {
    #[command(subcommand)]
    command: RendezvousCommand,
}

/// What can be done about rendezvous servers.
#[derive(Debug, Subcommand)]
enum RendezvousCommand {
    /// List the servers of the mesh
    List,
    /// Use a server; every hub of the mesh does then, and hubs that are paired later
    Add {
        /// Its address, as `ecorelay-rendezvous` prints it: /ip4/…/tcp/4001/p2p/…
        #[arg(value_name = "ADDR", value_parser = multiaddr::of_server)]
        address: String,
    },
    /// Use a server no more
    Remove {
        /// Its address, its host and port, or its PeerId
        #[arg(value_name = "ADDR")]
        address: String,
    },
    /// Show how it stands with each server
    Status,
}

pub(crate) async fn run(args: RendezvousArgs, context: &Context) -> Result<(), CliError> {
    match args.command {
        RendezvousCommand::List => {
            let status = look(context).await?;
            context.output.result(
                || json!({"ok": true, "rendezvous": addresses(&status)}),
                || match addresses(&status) {
                    addresses if addresses.is_empty() => none(),
                    addresses => addresses.join("\n"),
                },
            )
        }
        RendezvousCommand::Status => {
            let status = look(context).await?;
            context.output.result(
                || json!({"ok": true, "rendezvous": list_of(&status)}),
                || match servers(Doc(&status)) {
                    text if text.is_empty() => none(),
                    text => text,
                },
            )
        }
        RendezvousCommand::Add { address } => add(&address, context).await,
        RendezvousCommand::Remove { address } => remove(&address, context).await,
    }
}

/// Returns the address of a server, checked.
pub(super) fn server(address: &str) -> Result<String, CliError> {
    multiaddr::of_server(address)
        .map_err(|wrong| CliError::usage(crate::error::as_sentence(&one_line(&wrong))))
}

fn none() -> String {
    "No rendezvous server is in use. `ecorelay rendezvous add ADDR` adds one; hubs on one network need none.".to_owned()
}

async fn look(context: &Context) -> Result<Value, CliError> {
    let mut hub = context.running_hub().await?;
    status(&mut hub).await
}

fn list_of(status: &Value) -> Value {
    match &status["rendezvous"] {
        Value::Null => json!([]),
        list => list.clone(),
    }
}

fn addresses(status: &Value) -> Vec<String> {
    let servers = Doc(status).list("rendezvous");
    servers
        .iter()
        .map(|server| server.text("address"))
        .collect()
}

async fn add(address: &str, context: &Context) -> Result<(), CliError> {
    let (mut hub, _) = context.open(json!({"type": "watch"})).await?;
    hub.ask(json!({"type": "rendezvous", "address": address, "add": true}))
        .await?;
    let in_mesh = !status(&mut hub).await?["mesh"].is_null();
    // Without a mesh the server is not dialled yet.
    let within = if in_mesh {
        RESERVED_WITHIN
    } else {
        Duration::ZERO
    };
    let find = |status: &Value| {
        let server = the_server(status, address)?;
        let settled = server["state"] == "reserved" || server["state"] == "failed";
        settled.then_some(server)
    };
    let found = match watch_for(&mut hub, within, find).await? {
        Ok(server) => server,
        Err(status) => the_server(&status, address).unwrap_or_else(|| json!({"address": address})),
    };
    context.output.result(
        || json!({"ok": true, "server": found, "in_mesh": in_mesh}),
        || added(&found, in_mesh),
    )
}

fn the_server(status: &Value, address: &str) -> Option<Value> {
    let mut servers = Doc(status).list("rendezvous").into_iter();
    servers
        .find(|server| server.0["address"] == address)
        .map(|server| server.0.clone())
}

fn added(server: &Value, in_mesh: bool) -> String {
    let server = Doc(server);
    let place = host_port(server.0["address"].as_str().unwrap_or_default());
    if !in_mesh {
        return format!(
            "{} {} is kept. Pair this machine with another: `ecorelay pair`; the code then works across the internet.",
            paint(GOOD, "✓"),
            paint(BOLD, place)
        );
    }
    let mark = match server.text("state").as_str() {
        "reserved" => paint(GOOD, "✓"),
        _ => paint(WARN, "!"),
    };
    format!(
        "{mark} {} is kept, and told to the other hubs of the mesh. {}",
        paint(BOLD, place),
        server_words(server)
    )
}

async fn remove(wanted: &str, context: &Context) -> Result<(), CliError> {
    let (mut hub, _) = context.open(json!({"type": "watch"})).await?;
    let status = status(&mut hub).await?;
    let address = match addresses(&status)
        .iter()
        .filter(|a| is(a, wanted))
        .collect::<Vec<_>>()[..]
    {
        [one] => one.clone(),
        [] => return Err(unknown(&status, wanted)),
        _ => {
            return Err(
                CliError::usage(format!("Several servers are at {}.", one_line(wanted)))
                    .hint("Name the whole address: `ecorelay rendezvous list`."),
            );
        }
    };
    hub.ask(json!({"type": "rendezvous", "address": address, "add": false}))
        .await?;
    context.output.result(
        || json!({"ok": true, "address": address}),
        || {
            format!(
                "{} {} is not used any more, by no hub of the mesh.",
                paint(GOOD, "✓"),
                host_port(&address)
            )
        },
    )
}

/// Returns whether a person means this server.
fn is(address: &str, wanted: &str) -> bool {
    let wanted = wanted.trim();
    address == wanted
        || without_peer(address) == wanted
        || host_port(address) == wanted
        || peer_of(address) == Some(wanted)
}

fn unknown(status: &Value, wanted: &str) -> CliError {
    let known: Vec<String> = addresses(status).iter().map(|a| host_port(a)).collect();
    let mut error = CliError::failed(format!("No rendezvous server is at {}.", one_line(wanted)));
    error.code = ErrorCode::BadArgs;
    error.hint(match known.as_slice() {
        [] => "None is in use.".to_owned(),
        known => format!("In use: {}.", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    const SERVER: &str = "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWx";

    #[test]
    fn a_server_is_named_by_any_part_of_its_address() {
        for wanted in [
            SERVER,
            "203.0.113.7:4001",
            "/ip4/203.0.113.7/tcp/4001",
            "12D3KooWx",
        ] {
            assert!(is(SERVER, wanted), "{wanted}");
        }
        assert!(!is(SERVER, "203.0.113.8:4001"));
        let error = unknown(&json!({"rendezvous": [{"address": SERVER}]}), "x");
        assert!(error.sentence().contains("203.0.113.7:4001"), "{error:?}");
    }

    #[test]
    fn it_is_said_whether_a_server_is_of_use() {
        let server = |state: &str| json!({"address": SERVER, "state": state, "hubs": 2, "observed": "/ip4/198.51.100.4/tcp/50000", "reason": "no answer"});
        assert_eq!(
            plain(&added(&server("reserved"), true)),
            "✓ 203.0.113.7:4001 is kept, and told to the other hubs of the mesh. This hub can be reached through it; 2 other hubs are there; it sees this hub at 198.51.100.4:50000."
        );
        assert!(plain(&added(&server("failed"), true)).ends_with("no answer."));
        assert!(plain(&added(&server(""), false)).contains("ecorelay pair"));
    }
}
