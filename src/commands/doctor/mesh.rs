//! The mesh: its key on disk, and what the hub knows of the other hubs.

use super::files::{open_to_others, open_to_others_fail};
use super::finding::{Finding, fail, ok, warn};
use super::network::{self, Reach};
use crate::view::address::host_port;
use crate::view::document::Doc;
use crate::view::hubs::{hub_name, link_place, punch_words, round_trip};
use crate::view::text::{count, one_line};
use crate::view::time::{ago, now_ms};
use ecorelay_protocol::Psk;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A key file is three short lines; a longer file is none.
const KEY_BYTES: u64 = 4 * 1024;
/// At most so many hubs and addresses are named one by one.
const NAMED: usize = 50;

/// Checks the key of the mesh; nothing to say where there is none.
pub(super) fn key(file: &Path) -> Option<Finding> {
    use std::io::Read as _;
    const CHECK: &str = "mesh key";
    let place = file.display();
    let mut text = String::new();
    let read = match std::fs::File::open(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => Err(e),
        Ok(open) => open.take(KEY_BYTES).read_to_string(&mut text),
    };
    Some(match read {
        Err(error) => fail(
            CHECK,
            format!("{place} cannot be read: {error}."),
            format!("Make the file yours: chown $USER {place}"),
        ),
        Ok(_) => match (Psk::from_file(&text), open_to_others(file)) {
            (Err(refusal), _) => fail(
                CHECK,
                format!("{place} holds no key. {}", refusal.message),
                format!(
                    "mv {place} {place}.bad; a hub that belongs to a mesh then writes it again: ecorelay node restart"
                ),
            ),
            (Ok(_), Some(mode)) => open_to_others_fail(CHECK, file, mode),
            (Ok(_), None) => ok(CHECK, format!("{place} holds a key and is yours alone.")),
        },
    })
}

/// Checks what the hub says of the mesh.
pub(super) fn check(status: &Value) -> Vec<Finding> {
    const CHECK: &str = "mesh";
    let doc = Doc(status);
    let mesh = Doc(&status["mesh"]);
    let nearby = doc.list("nearby").len();
    if !mesh.0.is_object() {
        let message = match nearby {
            0 => "This hub is alone: it belongs to no mesh.".to_owned(),
            n => format!(
                "This hub belongs to no mesh; {} nearby that could be paired (`ecorelay pair` on both).",
                count(n, "hub")
            ),
        };
        return vec![ok(CHECK, message)];
    }
    let hubs = doc.list("hubs");
    let mut findings = vec![match (mesh.flag("admitted"), mesh.flag("joining")) {
        (true, _) if hubs.is_empty() => ok(
            CHECK,
            "This hub is the only one in its mesh; `ecorelay pair` adds another.",
        ),
        (true, _) => ok(
            CHECK,
            format!(
                "This hub belongs to a mesh with {}.",
                count(hubs.len(), "other hub")
            ),
        ),
        (false, true) => warn(
            CHECK,
            "This hub has a ticket, but no hub of the mesh has let it in yet.",
            "Start the hub that invited, and see that its address can be reached from here; a ticket that has ended is replaced with a new one: `ecorelay invite` there, `ecorelay join` here.",
        ),
        (false, false) => warn(
            CHECK,
            "This hub has the mesh's key, but no hub of the mesh has let it in.",
            "`ecorelay pair` on a hub of the mesh, and the code that it shows here: `ecorelay pair CODE`.",
        ),
    }];
    findings.extend(addresses(mesh));
    findings.extend(hubs.iter().take(NAMED).map(|hub| other(*hub)));
    let failing = doc
        .list("dials")
        .into_iter()
        .filter(|d| !d.text("failure").is_empty());
    findings.extend(failing.take(NAMED).map(|dial| {
        warn(
            "address",
            format!(
                "{}: {}",
                host_port(dial.0["address"].as_str().unwrap_or("")),
                dial.text("failure")
            ),
            "See that the hub there runs (`ecorelay up`), that the address is right (`ecorelay node status` there), and that no firewall is between.",
        )
    }));
    findings
}

fn addresses(mesh: Doc<'_>) -> Vec<Finding> {
    const CHECK: &str = "addresses";
    let remedy = "Look at `listen` under [mesh] in config.toml, and at the machine's network.";
    let addresses = mesh.list("addresses");
    let addresses: Vec<&str> = addresses.iter().filter_map(|a| a.0.as_str()).collect();
    if addresses.is_empty() {
        return vec![warn(CHECK, "This hub listens on no address.", remedy)];
    }
    let interfaces = network::interfaces();
    let mut by_reach: BTreeMap<Reach, Vec<String>> = BTreeMap::new();
    let mut odd = Vec::new();
    for address in &addresses {
        match network::socket_of(address) {
            None => odd.push(host_port(address)),
            Some((ip, _)) => {
                let on = interfaces.iter().find(|i| i.ip == ip && !ip.is_loopback());
                let on = on.map_or(String::new(), |i| format!(" ({})", one_line(&i.name)));
                by_reach
                    .entry(Reach::of(ip))
                    .or_default()
                    .push(format!("{}{on}", host_port(address)));
            }
        }
    }
    if odd.is_empty() && by_reach.keys().all(|reach| *reach == Reach::Loopback) {
        let named: Vec<String> = by_reach.into_values().flatten().collect();
        let message = format!(
            "This hub listens on {}, which only this machine can reach.",
            named.join(", ")
        );
        return vec![warn(CHECK, message, remedy)];
    }
    by_reach.remove(&Reach::Loopback);
    let mut findings: Vec<Finding> = by_reach
        .into_iter()
        .map(|(reach, named)| {
            let message = format!("{}: reached by {}.", named.join(", "), reach.words());
            ok(CHECK, message)
        })
        .collect();
    if !odd.is_empty() {
        findings.push(ok(
            CHECK,
            format!("This hub listens on {}.", odd.join(", ")),
        ));
    }
    findings
}

fn other(hub: Doc<'_>) -> Finding {
    const CHECK: &str = "hub link";
    let name = hub_name(hub);
    let state = hub.text("state");
    if state != "offline" {
        let rtt = round_trip(hub);
        let rtt = if rtt.is_empty() {
            rtt
        } else {
            format!(", {rtt}")
        };
        let place = link_place(hub);
        let punch = Doc(&hub.0["punch"]);
        if state == "relayed" && punch.text("outcome") == "failed" {
            return warn(
                CHECK,
                format!("{name}: {state}, {place}{rtt}; {}.", punch_words(punch)),
                "It works, through the server. A direct way needs one side that can be reached: forward the mesh port on one router to its hub, and set `external_addresses` under [mesh] in config.toml there.",
            );
        }
        return ok(CHECK, format!("{name}: {state}, {place}{rtt}."));
    }
    let since = hub.moment("since").map_or(String::new(), |then| {
        format!(", last seen {}", ago(now_ms(), then))
    });
    let why = match hub.text("why") {
        why if why.is_empty() => String::new(),
        why => format!(": {why}"),
    };
    let waits = match hub.number("outbox") {
        0 => String::new(),
        n => format!(" {} for it here.", waiting(n)),
    };
    warn(
        CHECK,
        format!("{name} is offline{since}{why}.{waits}"),
        "If that machine is on: `ecorelay doctor` there; its hub must run and be reachable from here.",
    )
}

fn waiting(n: u64) -> String {
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let verb = if n == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(n, "message"))
}

/// Returns what a warning of the hub is about, in the words of the other checks.
pub(super) fn subject(code: &str) -> &'static str {
    match code {
        "no_multicast" => "multicast",
        "wrong_key" | "mesh_key_differs" => "mesh key",
        "clock_skew" => "clock",
        "version_skew" => "version",
        "hub_id_taken" => "hub id",
        "cloned_identity" => "identity",
        "not_admitted" | "other_mesh" | "revoked" | "refused" => "mesh",
        "mesh_off" | "mesh_port_taken" | "mesh_key_not_saved" => "mesh",
        "bad_frame" => "hub link",
        code if code.starts_with("rooms_") => "rooms",
        code if code.starts_with("group") => "groups",
        _ => "warning",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::finding::Level;
    use super::*;
    use serde_json::json;

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_read_and_must_be_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mesh.key");
        assert_eq!(key(&file), None);
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
        std::fs::write(&file, Psk::new([1; 32]).to_file()).unwrap();
        mode(0o600).unwrap();
        assert_eq!(key(&file).unwrap().level, Level::Ok);
        mode(0o644).unwrap();
        let open = key(&file).unwrap();
        assert_eq!(open.level, Level::Fail);
        assert!(open.remedy.unwrap().contains("chmod 600"));
        std::fs::write(&file, "geheim").unwrap();
        mode(0o600).unwrap();
        let bad = key(&file).unwrap();
        assert_eq!(bad.level, Level::Fail);
        assert!(bad.message.contains("swarm key") && !bad.message.contains("geheim"));
    }

    #[test]
    fn a_hub_without_a_mesh_is_in_order() {
        for nearby in [json!([]), json!([{"peer_id": "x"}])] {
            let findings = check(&json!({"mesh": null, "hubs": [], "nearby": nearby}));
            assert_eq!(findings.len(), 1);
            assert_eq!(findings[0].level, Level::Ok);
        }
    }

    #[test]
    fn every_hub_and_address_gets_its_line() {
        let findings = check(&json!({
            "mesh": {"admitted": true, "joining": false, "addresses": ["/ip4/127.0.0.1/tcp/9"]},
            "hubs": [
                {"hub_id": "desk", "state": "direct", "address": "/ip4/10.0.0.2/tcp/4001", "rtt_ms": 0.4},
                {"hub_id": "nas", "state": "offline", "why": "no heartbeat", "outbox": 1, "since": 0},
            ],
            "dials": [{"address": "/ip4/10.0.0.9/tcp/4001", "failure": "connection refused"}],
        }));
        let said: Vec<(Level, &str)> = findings
            .iter()
            .map(|f| (f.level, f.message.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (Level::Ok, "This hub belongs to a mesh with 2 other hubs."),
                (
                    Level::Warn,
                    "This hub listens on 127.0.0.1:9, which only this machine can reach."
                ),
                (Level::Ok, "desk: direct, 10.0.0.2:4001, 0.4 ms."),
                (
                    Level::Warn,
                    "nas is offline, last seen 1970-01-01 00:00 UTC: no heartbeat. 1 message waits for it here."
                ),
                (Level::Warn, "10.0.0.9:4001: connection refused"),
            ]
        );
        let waiting = check(&json!({"mesh": {"admitted": false, "joining": true}, "hubs": []}));
        assert_eq!(waiting[0].level, Level::Warn);
        assert_eq!(waiting[1].message, "This hub listens on no address.");
    }
}
