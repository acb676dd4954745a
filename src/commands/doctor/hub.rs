//! The hub: is it there, can it be started, does it fit this program, what does it warn of.

use super::finding::{Finding, fail, ok, warn};
use super::{firewall, mesh, multicast, network, servers};
use crate::commands::live_status;
use crate::commands::mesh_wait::{is_linked, watch_for};
use crate::error::CliError;
use crate::hub::{Hub, Start};
use crate::identity::program;
use crate::view::document::Doc;
use ecorelay_config::{Config, DataDir};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long the WebSocket endpoint may take to accept.
const ACCEPT_WITHIN: Duration = Duration::from_millis(500);
/// A hub that runs for less than this may still be looking for the others, in seconds.
const YOUNG_S: u64 = 10;
/// How long it is given for that.
const LINKED_WITHIN: Duration = Duration::from_secs(5);

/// Checks the hub; where none runs and one `can_start`, starts one, which ends by itself.
pub(super) async fn check(dir: &DataDir, can_start: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(mut hub) = reach(dir, can_start, &mut findings).await else {
        return findings;
    };
    match settled(&mut hub).await {
        Err(error) => {
            findings.push(fail("status", error.sentence(), "ecorelay node restart"));
        }
        Ok(status) => {
            findings.push(version(&status));
            findings.extend(websocket(&status).await);
            findings.extend(mesh::check(&status));
            findings.extend(surroundings(dir, &status).await);
            let warnings = status["warnings"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            findings.extend(warnings.iter().map(|warning| {
                let warning = Doc(warning);
                warn(
                    mesh::subject(&warning.text("code")),
                    warning.text("message"),
                    warning.text("remedy"),
                )
            }));
        }
    }
    findings
}

/// Returns the status; of a hub that has just started, once it had time to reach the others.
async fn settled(hub: &mut Hub) -> Result<Value, CliError> {
    let status = live_status::status(hub).await?;
    if Doc(&status).number("uptime_s") >= YOUNG_S {
        return Ok(status);
    }
    let all_linked = |status: &Value| {
        let linked = Doc(status).list("hubs").into_iter().all(is_linked);
        linked.then(|| status.clone())
    };
    let found = watch_for(hub, LINKED_WITHIN, all_linked).await?;
    Ok(found.unwrap_or_else(|status| status))
}

async fn reach(dir: &DataDir, can_start: bool, findings: &mut Vec<Finding>) -> Option<Hub> {
    match Hub::running(dir).await {
        Ok(Some(hub)) => {
            findings.push(ok("hub", "It runs and answers."));
            return Some(hub);
        }
        _ if !can_start => {
            findings.push(fail(
                "hub",
                "None is reachable, and none can start like this.",
                "Mend what is said above; then: ecorelay doctor",
            ));
            return None;
        }
        Ok(None) => {}
        Err(error) => {
            findings.push(fail(
                "hub",
                error.sentence(),
                "Do what it says; ecorelay node logs -n 50 shows what the hub did last.",
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

/// Checks the network around the hub.
async fn surroundings(dir: &DataDir, status: &Value) -> Vec<Finding> {
    let doc = Doc(status);
    let mesh = Doc(&status["mesh"]);
    let missing = doc.list("hubs").into_iter().any(|hub| !is_linked(hub)) || mesh.flag("joining");
    let looks = Config::load(dir).is_ok_and(|config| config.mesh.mdns);
    // Listening takes a second, in which the servers are tried.
    let multicast = tokio::task::spawn_blocking(move || match looks {
        true => multicast::check(&network::interfaces(), missing),
        false => vec![ok(
            "multicast",
            "It is switched off here (`mdns`): hubs on this network are not looked for.",
        )],
    });
    let mut findings = servers::check(doc).await;
    findings.extend(multicast.await.unwrap_or_default());
    findings.extend(firewall::check(mesh, missing, &program()));
    findings
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

/// Checks the endpoint that the hub says it has. Where it has none, the hub's own warning or
/// the settings say why.
async fn websocket(status: &Value) -> Option<Finding> {
    const CHECK: &str = "websocket";
    let address = Doc(status).text("ws");
    let place = address.strip_prefix("ws://")?;
    let tried = tokio::time::timeout(ACCEPT_WITHIN, TcpStream::connect(place)).await;
    let trouble = match tried {
        Ok(Ok(_)) => return Some(ok(CHECK, format!("It accepts on {place}."))),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Some(warn(
        CHECK,
        format!("Nothing accepts on {place}: {trouble}."),
        "Let 127.0.0.1 through the firewall; then: ecorelay node restart",
    ))
}
