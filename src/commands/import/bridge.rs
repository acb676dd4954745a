//! What an import makes of `bridge.json`: the hub id is taken over; what takes the place of its
//! peers, its relay and its secret is said.

use crate::context::Context;
use crate::error::CliError;
use crate::view::style::{BOLD, DIM, GOOD, WARN, paint};
use crate::view::text::one_line;
use ecorelay_config::reference::{Bridge, BridgePeer};
use ecorelay_config::{Config, set_hub_id};
use ecorelay_protocol::HubId;
use serde_json::{Value, json};

/// So many peers are named one by one.
const NAMED: usize = 20;

/// A bridge, and what became of its hub id.
#[derive(Debug)]
pub(super) struct Taken {
    bridge: Bridge,
    name: NameFate,
}

/// What became of the hub id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NameFate {
    /// There is none.
    None,
    /// It stands in `config.toml` now, or would.
    Taken,
    /// It stood there before.
    Same,
    /// Another one stands there.
    Other(String),
    /// The hub belongs to a mesh, whose hubs know it by another.
    InMesh,
    /// It is none that a hub can have.
    Invalid(String),
}

/// Takes over the hub id; only looks in a dry run.
pub(super) fn take(bridge: Bridge, dry_run: bool, context: &Context) -> Result<Taken, CliError> {
    let name = match &bridge.hub_id {
        None => NameFate::None,
        Some(name) => take_name(name, dry_run, context)?,
    };
    Ok(Taken { bridge, name })
}

fn take_name(name: &str, dry_run: bool, context: &Context) -> Result<NameFate, CliError> {
    let hub_id: HubId = match name.parse() {
        Ok(hub_id) => hub_id,
        Err(refusal) => return Ok(NameFate::Invalid(refusal.message)),
    };
    let dir = &context.dir;
    match Config::load(dir)?.hub_id {
        Some(set) if set == hub_id => return Ok(NameFate::Same),
        Some(set) => return Ok(NameFate::Other(set.to_string())),
        None if dir.root().join("mesh.key").exists() => return Ok(NameFate::InMesh),
        None => {}
    }
    if !dry_run {
        set_hub_id(dir, &hub_id)?;
    }
    Ok(NameFate::Taken)
}

pub(super) fn document(taken: &Taken) -> Value {
    let bridge = &taken.bridge;
    let peers: Vec<Value> = bridge
        .peers
        .iter()
        .map(|peer| json!({"hub_id": peer.hub_id, "address": peer.address}))
        .collect();
    json!({
        "hub_id": bridge.hub_id,
        "hub_id_taken": matches!(taken.name, NameFate::Taken | NameFate::Same),
        "listen": bridge.listen, "peers": peers, "relay": bridge.relay,
        "next": steps(bridge).into_iter().map(|(_, command)| command).collect::<Vec<_>>(),
    })
}

pub(super) fn page(taken: &Taken, dry_run: bool) -> String {
    let bridge = &taken.bridge;
    let mut out = format!("\n{}\n", paint(BOLD, "Bridge"));
    let name = bridge.hub_id.as_deref().map(one_line).unwrap_or_default();
    let said = match &taken.name {
        NameFate::None => None,
        NameFate::Taken => Some((
            true,
            format!(
                "The hub id {name} {} config.toml; a hub that runs already has it from its next start: `ecorelay node restart`.",
                if dry_run {
                    "would be written into"
                } else {
                    "stands in"
                }
            ),
        )),
        NameFate::Same => Some((
            true,
            format!("The hub id {name} stands in config.toml already."),
        )),
        NameFate::Other(set) => Some((
            false,
            format!(
                "The hub id {name} is not taken over: config.toml says {set}. Change `hub_id` there if you want the old one."
            ),
        )),
        NameFate::InMesh => Some((
            false,
            format!(
                "The hub id {name} is not taken over: this hub belongs to a mesh that knows it by another. If you want the old one: hub_id = \"{name}\" in config.toml, then `ecorelay node restart`."
            ),
        )),
        NameFate::Invalid(why) => Some((
            false,
            format!("The hub id is not taken over. {}", one_line(why)),
        )),
    };
    if let Some((good, said)) = said {
        let mark = if good {
            paint(GOOD, "✓")
        } else {
            paint(WARN, "!")
        };
        out.push_str(&format!("  {mark} {said}\n"));
    }
    if bridge.secret {
        out.push_str("  The shared secret is not read: machines are paired anew, each with a key of its own.\n");
    }
    let steps = steps(bridge);
    if !steps.is_empty() {
        out.push_str(&format!(
            "\n{}\n",
            paint(BOLD, "In place of its connections")
        ));
    }
    for (what, command) in steps {
        out.push_str(&format!("  {what}\n    {} {command}\n", paint(DIM, "→")));
    }
    out
}

/// Returns what is to be done in place of what the file sets up: what it was, and how.
fn steps(bridge: &Bridge) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = bridge.peers.iter().take(NAMED).map(pairing).collect();
    if bridge.peers.len() > NAMED {
        steps.push((
            format!("{} more hubs", bridge.peers.len() - NAMED),
            "one ticket for all of them: ecorelay invite --uses N".to_owned(),
        ));
    }
    if let Some(relay) = &bridge.relay {
        steps.push((
            format!("relay {}", one_line(relay)),
            "run `ecorelay-rendezvous` there in its place, then here: ecorelay rendezvous add /ip4/ADDRESS/tcp/4001/p2p/PEER_ID (it prints its address when it starts)".to_owned(),
        ));
    }
    steps
}

fn pairing(peer: &BridgePeer) -> (String, String) {
    let name = peer.hub_id.as_deref().map(one_line);
    let address = peer.address.as_deref().map(one_line);
    let what = match (&name, &address) {
        (Some(name), Some(address)) => format!("hub {name} at {address}"),
        (Some(one), None) | (None, Some(one)) => format!("hub {one}"),
        (None, None) => "a hub without a name".to_owned(),
    };
    (
        what,
        "ecorelay pair here, and there what it says; or, if the two do not see each other: ecorelay invite here, ecorelay join there".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    fn taken(name: NameFate) -> Taken {
        Taken {
            bridge: Bridge {
                hub_id: Some("desk".into()),
                listen: None,
                peers: vec![BridgePeer {
                    hub_id: Some("nas".into()),
                    address: Some("10.0.0.2:9377".into()),
                }],
                relay: Some("ws://relay:9800".into()),
                secret: true,
            },
            name,
        }
    }

    #[test]
    fn each_connection_gets_its_command() {
        let text = plain(&page(&taken(NameFate::Taken), false));
        for word in [
            "✓ The hub id desk stands in config.toml",
            "secret is not read",
            "hub nas at 10.0.0.2:9377\n    → ecorelay pair",
            "relay ws://relay:9800\n    → run `ecorelay-rendezvous`",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let dry = plain(&page(&taken(NameFate::Taken), true));
        assert!(dry.contains("would be written into config.toml"), "{dry}");
        let document = document(&taken(NameFate::Taken));
        assert_eq!(document["peers"][0]["hub_id"], "nas");
        assert_eq!(document["hub_id_taken"], true);
        assert_eq!(document["next"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_hub_id_that_is_not_taken_over_is_told_with_the_reason() {
        for (fate, word) in [
            (NameFate::Other("attic".into()), "config.toml says attic"),
            (NameFate::InMesh, "belongs to a mesh"),
            (NameFate::Invalid("It has a space.".into()), "a space"),
        ] {
            let text = plain(&page(&taken(fate), false));
            assert!(text.contains("! ") && text.contains(word), "{text}");
        }
    }
}
