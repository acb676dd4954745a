//! The other hubs: how each is connected, its sessions, and hubs nearby that are not paired.

use super::address::host_port;
use super::document::Doc;
use super::status::{Surroundings, state_cell, title};
use super::style::{BOLD, DIM, FAIL, GOOD, PLAIN, WARN, paint};
use super::table::{Cell, Table, cell};
use super::text::{keep_end, short_path, without_os_code};
use super::time::ago;

/// What to do about hubs that are not paired.
const PAIR: &str =
    "To pair: `ecorelay pair` on one of the two machines; it says what to type on the other.";

/// Returns the lines about this hub's own place in the mesh: names and values.
pub(crate) fn own_lines(doc: Doc<'_>) -> Vec<(&'static str, String)> {
    let mesh = Doc(&doc.0["mesh"]);
    if !mesh.0.is_object() {
        return Vec::new();
    }
    let hubs = doc.list("hubs").len();
    let state = match (mesh.flag("admitted"), mesh.flag("joining")) {
        (true, _) if hubs == 0 => "no other hub yet: `ecorelay pair`".to_owned(),
        (true, _) if mesh.flag("changing_key") => "a new key is being handed on".to_owned(),
        (true, _) => String::new(),
        (false, true) => match mesh.text("inviter") {
            inviter if inviter.is_empty() => {
                "joining: waits for a hub of the mesh to let it in".to_owned()
            }
            inviter => format!("joining that of {inviter}: waits for one of its hubs to let it in"),
        },
        (false, false) => "not let in yet".to_owned(),
    };
    let addresses: Vec<String> = mesh
        .list("addresses")
        .iter()
        .filter_map(|address| address.0.as_str().map(host_port))
        .collect();
    vec![("mesh", state), ("listens", addresses.join(", "))]
}

/// Returns the section of the other hubs; empty where there are none.
pub(crate) fn hubs(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let hubs = doc.list("hubs");
    if hubs.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        &[
            "HUB", "LABEL", "STATE", "ADDRESS", "RTT", "SINCE", "SESSIONS", "OUTBOX", "",
        ],
        &["RTT", "SESSIONS"],
        "ADDRESS",
    );
    for hub in &hubs {
        let offline = hub.text("state") == "offline";
        let when = |key| hub.moment(key).map(|then| ago(around.now, then));
        let outbox = match (hub.number("outbox"), when("outbox_oldest")) {
            (0, _) => cell(DIM, "0"),
            (n, Some(oldest)) => cell(WARN, format!("{n}, oldest {oldest}")),
            (n, None) => cell(WARN, n.to_string()),
        };
        table.row(vec![
            cell(BOLD, hub_name(*hub)),
            cell(PLAIN, hub_label(*hub)),
            hub_state(*hub),
            cell(PLAIN, link_place(*hub)),
            cell(PLAIN, round_trip(*hub)),
            cell(PLAIN, when("since").unwrap_or_default()),
            if offline {
                cell(PLAIN, "")
            } else {
                cell(PLAIN, hub.number("sessions").to_string())
            },
            outbox,
            cell(DIM, remark(*hub)),
        ]);
    }
    format!(
        "{}\n{}",
        title("Hubs", hubs.len()),
        table.render(around.columns)
    )
}

/// Returns what a hub is called; one that has not said its name yet goes by the end of its key.
pub(crate) fn hub_name(hub: Doc<'_>) -> String {
    let (name, peer) = (hub.text("hub_id"), hub.text("peer_id"));
    if name == peer {
        keep_end(&peer, 9)
    } else {
        name
    }
}

/// Returns what a hub is called on this machine beside its hub id; empty where it is not.
pub(crate) fn hub_label(hub: Doc<'_>) -> String {
    hub.text("label")
}

/// Returns what is to be known of a hub besides its numbers: its policy, why it is away, why
/// it is reached through a relay.
fn remark(hub: Doc<'_>) -> String {
    let mut parts = Vec::new();
    match hub.text("policy").as_str() {
        "" | "normal" => {}
        "not_urgent" => parts.push("not urgent".to_owned()),
        other => parts.push(other.to_owned()),
    }
    match hub.text("state").as_str() {
        "offline" => parts.push(hub.text("why")),
        "relayed" => parts.push(punch_words(Doc(&hub.0["punch"]))),
        _ => {}
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// Returns why a hub is not reached directly, as far as it was tried.
pub(crate) fn punch_words(punch: Doc<'_>) -> String {
    match (punch.text("outcome").as_str(), punch.text("reason")) {
        ("failed", reason) if reason.is_empty() => "no direct way found".to_owned(),
        ("failed", reason) => format!("no direct way: {}", without_os_code(&reason)),
        _ => String::new(),
    }
}

/// Returns the section of the hubs that were taken out of the mesh; empty where there are none.
pub(crate) fn revoked(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let revoked = Doc(&doc.0["mesh"]).list("revoked");
    if revoked.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        &["HUB", "LABEL", "PEER ID", "REVOKED", "BY"],
        &[],
        "PEER ID",
    );
    for hub in &revoked {
        let when = |key| hub.moment(key).map(|then| ago(around.now, then));
        table.row(vec![
            cell(BOLD, hub_name(*hub)),
            cell(PLAIN, hub_label(*hub)),
            cell(DIM, hub.text("peer_id")),
            cell(PLAIN, when("since").unwrap_or_default()),
            cell(PLAIN, hub.text("by")),
        ]);
    }
    format!(
        "{}\n{}",
        title("Revoked", revoked.len()),
        table.render(around.columns)
    )
}

fn hub_state(hub: Doc<'_>) -> Cell {
    let state = hub.text("state");
    let style = match state.as_str() {
        "direct" => GOOD,
        "relayed" => WARN,
        _ => FAIL,
    };
    cell(style, state)
}

/// Returns where a hub is reached; of one behind a relay, the relay.
pub(crate) fn link_place(hub: Doc<'_>) -> String {
    let address = hub.0["address"].as_str().unwrap_or_default();
    match address.split_once("/p2p-circuit") {
        Some((relay, _)) => format!("via {}", host_port(relay)),
        None => host_port(address),
    }
}

/// Returns the round-trip time of a hub; empty where it is not known.
pub(crate) fn round_trip(hub: Doc<'_>) -> String {
    match hub.0["rtt_ms"].as_f64() {
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
        None => String::new(),
    }
}

/// Returns the address of a session on a hub, where one is known.
pub(crate) fn a_session(hub: Doc<'_>) -> Option<String> {
    let name = hub.list("peers").first()?.text("name");
    Some(match name.contains('@') {
        true => name,
        false => format!("{name}@{}", hub_name(hub)),
    })
}

/// Returns the section of the other hubs' sessions; empty where there are none.
pub(crate) fn sessions(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let mut table = Table::new(
        &["NAME", "AGENT", "STATE", "FOLDER", "BRANCH"],
        &[],
        "FOLDER",
    );
    let mut n = 0;
    for hub in doc.list("hubs") {
        for peer in hub.list("peers") {
            n += 1;
            let name = peer.text("name");
            // What the hub said last of its session is no longer known to be so.
            let state = match (hub.text("state").as_str(), hub.moment("since")) {
                ("offline", Some(since)) => format!("offline-since {since}"),
                _ => peer.text("state"),
            };
            table.row(vec![
                cell(
                    BOLD,
                    if name.contains('@') {
                        name
                    } else {
                        format!("{name}@{}", hub_name(hub))
                    },
                ),
                cell(PLAIN, peer.text("agent")),
                state_cell(&state, around.now),
                cell(PLAIN, short_path(&peer.text("cwd"), None)),
                cell(PLAIN, peer.text("git_branch")),
            ]);
        }
    }
    if n == 0 {
        return String::new();
    }
    format!(
        "{}\n{}",
        title("Sessions on other hubs", n),
        table.render(around.columns)
    )
}

/// Returns the section of hubs on the local network that are not paired.
pub(crate) fn nearby(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let nearby = doc.list("nearby");
    if nearby.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["PEER ID", "ADDRESS", "SEEN SINCE"], &[], "PEER ID");
    for hub in &nearby {
        let addresses = hub.list("addresses");
        let first = addresses.first().and_then(|address| address.0.as_str());
        table.row(vec![
            cell(PLAIN, hub.text("peer_id")),
            cell(PLAIN, host_port(first.unwrap_or_default())),
            cell(
                PLAIN,
                hub.moment("since")
                    .map_or(String::new(), |then| ago(around.now, then)),
            ),
        ]);
    }
    format!(
        "{}\n{}  {} {PAIR}\n",
        title("Nearby, not paired", nearby.len()),
        table.render(around.columns),
        paint(DIM, "→")
    )
}

/// Returns the section of addresses that cannot be reached.
pub(crate) fn dials(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let failed: Vec<Doc<'_>> = doc
        .list("dials")
        .into_iter()
        .filter(|dial| !dial.text("failure").is_empty())
        .collect();
    if failed.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["ADDRESS", "LAST TRY", "WHY"], &[], "");
    for dial in &failed {
        table.row(vec![
            cell(PLAIN, host_port(dial.0["address"].as_str().unwrap_or(""))),
            cell(
                PLAIN,
                dial.moment("ts")
                    .map_or(String::new(), |then| ago(around.now, then)),
            ),
            cell(WARN, dial.text("failure")),
        ]);
    }
    format!(
        "{}\n{}",
        title("Addresses that do not answer", failed.len()),
        table.render(None)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use serde_json::json;

    const NOW: u64 = 1_795_345_096_789;

    fn around() -> Surroundings<'static> {
        Surroundings {
            now: NOW,
            home: None,
            columns: None,
            program: "ecorelay",
        }
    }

    #[test]
    fn one_line_per_hub_with_what_waits_for_it() {
        let status = json!({
            "mesh": {"root": "12D3KooWr", "admitted": true, "joining": false, "epoch": 3,
                     "addresses": ["/ip4/10.0.0.1/tcp/4001", "/ip6/fd00::1/tcp/4001"]},
            "hubs": [
                {"hub_id": "desk", "peer_id": "12D3KooWd", "state": "direct",
                 "address": "/ip4/10.0.0.2/tcp/4001/p2p/12D3KooWd", "rtt_ms": 0.42,
                 "since": NOW - 180_000, "sessions": 2, "outbox": 0, "outbox_oldest": null,
                 "why": null, "version": "0.1.0",
                 "peers": [{"name": "api", "agent": "claude-code", "state": "idle",
                            "cwd": "/home/bo/api", "git_branch": "main"},
                           {"name": "qa@desk", "agent": "terminal", "state": "busy",
                            "cwd": "", "git_branch": ""}]},
                {"hub_id": "nas", "peer_id": "12D3KooWn", "state": "offline", "address": null,
                 "rtt_ms": null, "since": NOW - 3_600_000, "sessions": 0, "outbox": 12,
                 "outbox_oldest": NOW - 3_540_000, "why": "no heartbeat", "version": null,
                 "peers": [{"name": "db", "agent": "codex", "git_branch": "", "cwd": "/srv",
                            "state": "idle"}]},
            ],
            "nearby": [{"peer_id": "12D3KooWx", "addresses": ["/ip4/10.0.0.7/tcp/9"],
                        "since": NOW - 60_000}],
            "dials": [{"address": "/ip4/10.0.0.9/tcp/4001", "peer_id": null,
                       "failure": "connection refused", "ts": NOW - 25_000},
                      {"address": "/ip4/10.0.0.2/tcp/4001", "peer_id": "12D3KooWd",
                       "failure": null, "ts": NOW}],
        });
        let doc = Doc(&status);
        assert_eq!(
            plain(&hubs(doc, around())),
            "\
Hubs (2)
  HUB   STATE    ADDRESS           RTT  SINCE      SESSIONS  OUTBOX
  desk  direct   10.0.0.2:4001  0.4 ms  3 min ago         2  0
  nas   offline  -                   -  1 h ago           -  12, oldest 59 min ago  no heartbeat
"
        );
        assert_eq!(
            plain(&sessions(doc, around())),
            "\
Sessions on other hubs (3)
  NAME      AGENT        STATE            FOLDER        BRANCH
  api@desk  claude-code  idle             /home/bo/api  main
  qa@desk   terminal     busy             -             -
  db@nas    codex        offline for 1 h  /srv          -
"
        );
        assert_eq!(
            plain(&nearby(doc, around())),
            format!(
                "Nearby, not paired (1)\n  PEER ID    ADDRESS     SEEN SINCE\n  12D3KooWx  10.0.0.7:9  1 min ago\n  → {PAIR}\n"
            )
        );
        assert_eq!(
            plain(&dials(doc, around())),
            "Addresses that do not answer (1)\n  ADDRESS        LAST TRY  WHY\n  10.0.0.9:4001  25 s ago  connection refused\n"
        );
        assert_eq!(
            own_lines(doc),
            [
                ("mesh", String::new()),
                ("listens", "10.0.0.1:4001, [fd00::1]:4001".to_owned())
            ]
        );
    }

    #[test]
    fn a_hub_without_a_name_goes_by_the_end_of_its_key() {
        let peer = "12D3KooWP8MXX4RaKWaSDGsu7SQbjXv5eP81AMuD2SYMunMieYDr";
        let hub = json!({"hub_id": peer, "peer_id": peer});
        assert_eq!(hub_name(Doc(&hub)), "…unMieYDr");
    }

    #[test]
    fn a_hub_without_a_mesh_says_nothing_of_it() {
        let status = json!({"mesh": null, "hubs": [], "nearby": [], "dials": []});
        let doc = Doc(&status);
        for section in [
            hubs(doc, around()),
            sessions(doc, around()),
            nearby(doc, around()),
            dials(doc, around()),
        ] {
            assert_eq!(section, "");
        }
        assert!(own_lines(doc).is_empty());
    }
}
