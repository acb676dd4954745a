//! Waiting for the mesh: what `join`, `connect` and `invite` look for in the status, and the
//! reasons why it does not come.

use super::live_status::status;
use crate::error::{CliError, as_sentence};
use crate::hub::Hub;
use crate::view::address::without_peer;
use crate::view::document::Doc;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How often the status is looked at when no word of a change comes.
const LOOK: Duration = Duration::from_millis(500);

/// Returns what `find` finds in the status, or the last status when the time is over.
pub(super) async fn watch_for<T>(
    hub: &mut Hub,
    within: Duration,
    mut find: impl FnMut(&Value) -> Option<T>,
) -> Result<Result<T, Value>, CliError> {
    let end = Instant::now() + within;
    hub.ask(json!({"type": "watch"})).await?;
    loop {
        let seen = status(hub).await?;
        if let Some(found) = find(&seen) {
            return Ok(Ok(found));
        }
        if Instant::now() >= end {
            return Ok(Err(seen));
        }
        // A change, the next look or the end, whichever comes first.
        let next = end.min(Instant::now() + LOOK);
        if let Ok(None) = timeout_at(next, hub.next_push()).await {
            return Err(CliError::no_hub("The hub has ended.")
                .hint("`ecorelay node start` starts it again."));
        }
    }
}

/// Returns whether a hub of the status is linked.
pub(super) fn is_linked(hub: Doc<'_>) -> bool {
    matches!(hub.text("state").as_str(), "direct" | "relayed")
}

/// Returns whether two multiaddrs lead to the same place.
pub(super) fn same_place(one: &str, other: &str) -> bool {
    without_peer(one) == without_peer(other)
}

/// The warnings that tell why a link does not come up, the plainest first.
const TELLING: [&str; 9] = [
    "hub_id_taken",
    "cloned_identity",
    "other_mesh",
    "mesh_key_differs",
    "not_admitted",
    "wrong_key",
    "version_skew",
    "bad_frame",
    "clock_skew",
];

/// Returns what the status knows of why there is no link to the hub `peer` or to one of
/// `addresses`; each a sentence.
pub(super) fn reasons(status: &Value, peer: Option<&str>, addresses: &[String]) -> Vec<String> {
    let doc = Doc(status);
    let warnings = doc.list("warnings");
    let mut reasons: Vec<String> = TELLING
        .iter()
        .flat_map(|code| warnings.iter().filter(move |w| w.text("code") == *code))
        .map(|warning| {
            // The name of a hub or a command at its beginning stays as it is.
            let ended = |text: String| format!("{}.", text.trim_end_matches('.'));
            let message = ended(warning.text("message"));
            if message.contains("ecorelay ") {
                return message; // it says what to do
            }
            format!("{message} {}", ended(warning.text("remedy")))
        })
        .collect();
    for dial in doc.list("dials") {
        let address = dial.text("address");
        let ours = peer.is_some_and(|peer| dial.text("peer_id") == peer)
            || addresses.iter().any(|known| same_place(known, &address));
        let failure = dial.text("failure");
        if ours && !failure.is_empty() {
            reasons.push(format!(
                "{}: {}",
                crate::view::address::host_port(&address),
                failure
            ));
        }
    }
    if reasons.is_empty()
        && let Some(hub) = doc
            .list("hubs")
            .into_iter()
            .find(|hub| peer.is_some_and(|peer| hub.text("peer_id") == peer))
        && !hub.text("why").is_empty()
    {
        reasons.push(as_sentence(&hub.text("why")));
    }
    reasons
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_plainest_reason_stands_first_and_others_dials_do_not_count() {
        let status = json!({
            "warnings": [
                {"code": "ws_port_taken", "message": "x", "remedy": "y"},
                {"code": "wrong_key", "message": "The handshake fails", "remedy": "Compare keys"},
                {"code": "not_admitted", "message": "It expired: ecorelay invite", "remedy": "Invite"},
                {"code": "hub_id_taken", "message": "The name is taken.", "remedy": "Choose another."},
            ],
            "dials": [
                {"address": "/ip4/10.0.0.2/tcp/4001/p2p/Qm", "peer_id": "Qm",
                 "failure": "connection refused", "ts": 1},
                {"address": "/ip4/10.0.0.3/tcp/1", "peer_id": null, "failure": "other", "ts": 1},
            ],
        });
        let known = ["/ip4/10.0.0.2/tcp/4001".to_owned()];
        assert_eq!(
            reasons(&status, None, &known),
            [
                "The name is taken. Choose another.",
                "It expired: ecorelay invite.",
                "The handshake fails. Compare keys.",
                "10.0.0.2:4001: connection refused",
            ]
        );
        let offline =
            json!({"hubs": [{"peer_id": "Qm", "state": "offline", "why": "no heartbeat"}]});
        assert_eq!(reasons(&offline, Some("Qm"), &[]), ["No heartbeat."]);
    }
}
