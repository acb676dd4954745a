//! Several hubs, each in a process of its own, that are one mesh.

use crate::shared::Outcome;
use crate::shared::hub::Hub;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long hubs may take to find each other; a busy machine needs some seconds.
const TOGETHER: Duration = Duration::from_secs(60);
/// How long to wait between two looks: short against what is waited for, and little work for a
/// hub.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Hubs that are linked, each with all others. `hub-0` has invited them.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) hubs: Vec<Hub>,
}

impl Mesh {
    /// Starts so many hubs and waits until they are linked.
    pub(crate) fn start(count: usize) -> Outcome<Self> {
        let hubs = (0..count)
            .map(|n| Hub::start_as(&name(n)))
            .collect::<Outcome<Vec<_>>>()?;
        let ticket = match hubs.first() {
            Some(first) => {
                first.ask(&json!({"type": "invite", "uses": 1_000}), "invite_result")?["ticket"]
                    .take()
            }
            None => return Err("a mesh needs a hub".into()),
        };
        for hub in hubs.iter().skip(1) {
            hub.ask(&json!({"type": "join", "ticket": ticket}), "join_result")?;
        }
        let mesh = Self { hubs };
        mesh.await_links()?;
        Ok(mesh)
    }

    /// Waits until each hub is linked with all others.
    pub(crate) fn await_links(&self) -> Outcome<()> {
        for hub in &self.hubs {
            wait_until("all hubs are linked", || {
                Ok(linked(&status(hub)?) + 1 >= self.hubs.len())
            })?;
        }
        Ok(())
    }
}

/// Returns what the hub of this number is called.
pub(crate) fn name(n: usize) -> String {
    format!("hub-{n}")
}

/// Returns the status document of a hub.
pub(crate) fn status(hub: &Hub) -> Outcome<Value> {
    Ok(hub.ask(&json!({"type": "status"}), "status_result")?["status"].take())
}

/// Returns with how many hubs a hub is linked.
fn linked(status: &Value) -> usize {
    let hubs = status["hubs"].as_array().map_or(&[][..], Vec::as_slice);
    hubs.iter().filter(|hub| hub["state"] == "direct").count()
}

/// Returns what a hub says of another.
pub(crate) fn other(status: &Value, name: &str) -> Value {
    let hubs = status["hubs"].as_array().map_or(&[][..], Vec::as_slice);
    let found = hubs.iter().find(|hub| hub["hub_id"] == name);
    found.cloned().unwrap_or_default()
}

/// Looks again and again until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let end = Instant::now() + TOGETHER;
    while !is_so()? {
        if Instant::now() > end {
            return Err(format!("it did not come to pass that {what}").into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
