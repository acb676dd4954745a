//! Rendezvous servers: does one answer from here, and has this hub a place there.

use super::finding::{Finding, ok, warn};
use crate::view::address::host_port;
use crate::view::document::Doc;
use crate::view::servers::server_words;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CHECK: &str = "rendezvous";
/// How long a server may take to accept.
const ACCEPT_WITHIN: Duration = Duration::from_secs(2);
/// So many servers are tried; a mesh has fewer.
const TRIED: usize = 16;

/// Checks every rendezvous server of the status, all at the same time.
pub(super) async fn check(doc: Doc<'_>) -> Vec<Finding> {
    let mut tried = JoinSet::new();
    let servers = doc.list("rendezvous");
    for (at, server) in servers.iter().take(TRIED).enumerate() {
        let place = host_port(server.0["address"].as_str().unwrap_or_default());
        tried.spawn(async move { (at, reach(&place).await) });
    }
    let mut reached = vec![Ok(()); servers.len().min(TRIED)];
    while let Some(Ok((at, result))) = tried.join_next().await {
        reached[at] = result;
    }
    let named = servers.iter().zip(reached);
    named
        .map(|(server, reached)| finding(*server, &reached))
        .collect()
}

async fn reach(place: &str) -> Result<(), String> {
    match tokio::time::timeout(ACCEPT_WITHIN, TcpStream::connect(place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(crate::view::text::without_os_code(&error.to_string())),
        Err(_) => Err(format!("no answer within {} s", ACCEPT_WITHIN.as_secs())),
    }
}

fn finding(server: Doc<'_>, reached: &Result<(), String>) -> Finding {
    let place = host_port(server.0["address"].as_str().unwrap_or_default());
    match (server.text("state").as_str(), reached) {
        ("reserved", _) => ok(CHECK, format!("{place}: {}", server_words(server))),
        (_, Err(why)) => warn(
            CHECK,
            format!(
                "{place} cannot be reached: {}.",
                crate::view::text::one_line(why)
            ),
            format!(
                "See that the server runs (`ecorelay-rendezvous status` there), that its port is open in its firewall, and that this network lets TCP out to it; if it is gone for good: ecorelay rendezvous remove {place}"
            ),
        ),
        ("idle", Ok(())) => ok(
            CHECK,
            format!("{place} accepts connections. {}", server_words(server)),
        ),
        (_, Ok(())) => warn(
            CHECK,
            format!(
                "{place} accepts connections, but this hub has no place there. {}",
                server_words(server)
            ),
            "If it stays so: compare the server's address with what `ecorelay-rendezvous status` prints there, PeerId included.",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::finding::Level;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_is_reserved_reachable_or_neither() {
        let server = |state: &str| json!({"address": "/ip4/203.0.113.7/tcp/4001/p2p/x", "state": state, "hubs": 1, "reason": "refused: full"});
        let level = |state: &str, reached: &Result<(), String>| {
            let finding = finding(Doc(&server(state)), reached);
            assert!(finding.message.starts_with("203.0.113.7:4001"));
            finding.level
        };
        assert_eq!(level("reserved", &Ok(())), Level::Ok);
        assert_eq!(level("failed", &Ok(())), Level::Warn);
        assert_eq!(level("idle", &Ok(())), Level::Ok);
        assert_eq!(level("failed", &Err("refused".into())), Level::Warn);
    }
}
