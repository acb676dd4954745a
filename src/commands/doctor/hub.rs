//! The hub: is it there, can it be started, does it fit this program, what does it warn of.

use super::finding::{Finding, fail, ok, warn};
use crate::commands::live_status;
use crate::hub::{Hub, Start};
use crate::view::status::Doc;
use ecorelay_config::{Config, DataDir};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long the WebSocket endpoint may take to accept.
const ACCEPT_WITHIN: Duration = Duration::from_millis(500);

/// Checks the hub; starts one where none runs, which ends by itself.
pub(super) async fn check(dir: &DataDir) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(mut hub) = reach(dir, &mut findings).await else {
        return findings;
    };
    match live_status::status(&mut hub).await {
        Err(error) => {
            findings.push(fail("status", error.sentence(), "ecorelay node restart"));
        }
        Ok(status) => {
            findings.push(version(&status));
            findings.push(websocket(dir, &status).await);
            let warnings = status["warnings"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            findings.extend(warnings.iter().map(|warning| {
                let warning = Doc(warning);
                warn("warning", warning.text("message"), warning.text("remedy"))
            }));
        }
    }
    findings
}

async fn reach(dir: &DataDir, findings: &mut Vec<Finding>) -> Option<Hub> {
    match Hub::running(dir).await {
        Ok(Some(hub)) => {
            findings.push(ok("hub", "It runs and answers."));
            return Some(hub);
        }
        Ok(None) => {}
        Err(error) => {
            findings.push(fail(
                "hub",
                error.sentence(),
                "ecorelay node restart; if that does not help: ecorelay node logs -n 50",
            ));
            return None;
        }
    }
    let stale = dir.socket().exists();
    let begin = Instant::now();
    match Hub::connect(dir, Start::WhileNeeded).await {
        Ok(hub) => {
            let ms = begin.elapsed().as_millis();
            if stale {
                let message = "A stale socket was left behind by a hub that ended hard; the start \
                               just now has replaced it.";
                findings.push(ok("stale socket", message));
            }
            findings.push(ok(
                "hub",
                format!("None was running; one starts in {ms} ms."),
            ));
            Some(hub)
        }
        Err(error) => {
            let remedy = if stale {
                format!(
                    "Remove the stale socket and look again: rm {}",
                    dir.socket().display()
                )
            } else {
                "Run `ecorelay node run` and read what it says.".to_owned()
            };
            findings.push(fail("hub", error.sentence(), remedy));
            None
        }
    }
}

fn version(status: &Value) -> Finding {
    let (own, hub) = (env!("CARGO_PKG_VERSION"), Doc(status).text("version"));
    if own == hub {
        return ok("version", format!("Hub and command line are {own}."));
    }
    warn(
        "version",
        format!("The hub is version {hub}, this command line is {own}."),
        "ecorelay node restart",
    )
}

async fn websocket(dir: &DataDir, status: &Value) -> Finding {
    const CHECK: &str = "websocket";
    // The hub knows its port; where it does not say, the settings do.
    let told = Doc(status)
        .text("ws")
        .rsplit(':')
        .next()
        .and_then(|p| p.trim_end_matches('/').parse().ok());
    let port = told
        .or_else(|| Config::load(dir).ok().map(|config| config.ws_port))
        .unwrap_or(0);
    if port == 0 {
        return ok(CHECK, "The endpoint is switched off.");
    }
    let place = SocketAddr::from(([127, 0, 0, 1], port));
    let remedy = "See who listens there (ss -ltnp), or set another ws_port in config.toml and \
                  run `ecorelay node restart`.";
    match tokio::time::timeout(ACCEPT_WITHIN, TcpStream::connect(place)).await {
        Ok(Ok(_)) if told.is_none() && status["ws"].is_null() => warn(
            CHECK,
            format!("Another program listens on port {port}."),
            remedy,
        ),
        Ok(Ok(_)) => ok(CHECK, format!("It accepts on 127.0.0.1:{port}.")),
        Ok(Err(error)) => warn(
            CHECK,
            format!("Nothing accepts on 127.0.0.1:{port}: {error}."),
            remedy,
        ),
        Err(_) => warn(CHECK, format!("127.0.0.1:{port} does not answer."), remedy),
    }
}
