//! `connect`: keeps a connection to an address, for networks on which hubs do not find each
//! other by themselves.

use super::mesh_wait::{is_linked, reasons, same_place, watch_for};
use super::multiaddr;
use crate::context::Context;
use crate::error::CliError;
use crate::view::address::{host_port, peer_of};
use crate::view::document::Doc;
use crate::view::hubs::round_trip;
use crate::view::style::{BOLD, GOOD, paint};
use clap::Args;
use ecorelay_protocol::ErrorCode;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest wait, in seconds.
const LONGEST_WAIT: u64 = 86_400;

/// The arguments of `connect`.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The other hub's address as its `ecorelay node status` shows it: /ip4/10.0.0.2/tcp/4001
    #[arg(value_name = "MULTIADDR", value_parser = multiaddr::of_hub)]
    address: String,
    /// Wait this many seconds for the connection
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(0..=LONGEST_WAIT))]
    wait: u64,
}

pub(crate) async fn run(args: ConnectArgs, context: &Context) -> Result<(), CliError> {
    let address = args.address;
    let (mut hub, _) = context
        .open(json!({"type": "connect", "address": address}))
        .await?;
    let within = Duration::from_secs(args.wait);
    let found = watch_for(&mut hub, within, |status| linked(status, &address)).await?;
    let other = found.map_err(|status| not_yet(&status, &address))?;
    context.output.result(
        || json!({"ok": true, "address": address, "hub": other}),
        || connected(Doc(&other)),
    )
}

/// Returns the hub that is linked at the address.
fn linked(status: &Value, address: &str) -> Option<Value> {
    let doc = Doc(status);
    // Whoever answered there may have dialled by itself: then the link has another address. Of
    // a dial that failed the hub only guesses who is there.
    let dials = doc.list("dials");
    let known = dials
        .iter()
        .filter(|dial| dial.text("failure").is_empty())
        .find(|dial| same_place(&dial.text("address"), address))
        .map(|dial| dial.text("peer_id"))
        .filter(|peer| !peer.is_empty());
    let peer = peer_of(address).map(str::to_owned).or(known);
    let mut hubs = doc.list("hubs").into_iter().filter(|hub| is_linked(*hub));
    hubs.find(|hub| {
        same_place(&hub.text("address"), address)
            || peer
                .as_ref()
                .is_some_and(|peer| hub.text("peer_id") == *peer)
    })
    .map(|hub| hub.0.clone())
}

fn connected(hub: Doc<'_>) -> String {
    let about: Vec<String> = [hub.text("state"), round_trip(hub)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    format!(
        "{} Connected to {} ({}).",
        paint(GOOD, "✓"),
        paint(BOLD, hub.text("hub_id")),
        about.join(", ")
    )
}

fn not_yet(status: &Value, address: &str) -> CliError {
    let reasons = reasons(status, peer_of(address), &[address.to_owned()]);
    let why = if status["mesh"].is_null() {
        "This hub belongs to no mesh; pair it first: `ecorelay pair` there, and here what it says."
            .to_owned()
    } else if reasons.is_empty() {
        "Nothing is known yet of why.".to_owned()
    } else {
        reasons.join(" ")
    };
    let mut error = CliError::failed(format!(
        "{} is not connected yet. {why}",
        host_port(address)
    ))
    .hint("The hub keeps the address and goes on trying; `ecorelay hubs` shows when it is there.");
    error.code = ErrorCode::HubUnreachable;
    error
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::commands::multiaddr::EXAMPLE;
    use crate::view::style::plain;

    const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    #[test]
    fn the_hub_is_found_by_address_or_by_who_answered_there() {
        let hub = |address: &str| json!({"hub_id": "desk", "peer_id": PEER, "state": "direct", "address": address, "rtt_ms": 12.3});
        let same = json!({"hubs": [hub(&format!("{EXAMPLE}/p2p/{PEER}"))]});
        assert!(linked(&same, EXAMPLE).is_some());
        let dialled_us = json!({"hubs": [hub("/ip4/10.0.0.2/tcp/50123")],
            "dials": [{"address": EXAMPLE, "peer_id": PEER, "failure": null, "ts": 1}]});
        let found = linked(&dialled_us, EXAMPLE).unwrap();
        assert_eq!(
            plain(&connected(Doc(&found))),
            "✓ Connected to desk (direct, 12 ms)."
        );
        assert!(linked(&dialled_us, "/ip4/10.0.0.3/tcp/1").is_none());
        let mut guessed = dialled_us.clone();
        guessed["dials"][0]["failure"] = json!("connection refused");
        assert!(linked(&guessed, EXAMPLE).is_none());
        assert!(
            linked(
                &json!({"hubs": [{"state": "offline", "address": EXAMPLE}]}),
                EXAMPLE
            )
            .is_none()
        );
    }
}
