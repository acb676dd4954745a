//! The commands about the hub and its data.

use crate::support::home::TestHome;
use crate::support::process::Live;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use crate::{json_of, plain_json};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn the_hub_is_started_looked_at_restarted_and_stopped() {
    let home = TestHome::new();
    let started = plain_json(&home, &["node", "start"]);
    assert_eq!(
        (&started["ok"], &started["started"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(plain_json(&home, &["node", "start"])["started"], false);
    let _web = RawClient::session(&home.socket(), "web");
    let status = plain_json(&home, &["node", "status"]);
    for key in [
        "hub_id", "peer_id", "version", "uptime_s", "data_dir", "sessions", "hubs", "rooms",
        "groups", "nearby", "warnings",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!(status["data_dir"], home.data().to_str().unwrap());
    assert_eq!(status["sessions"][0]["name"], "web");
    let words = home.run(&["node", "status"]).expect_code(0).stdout;
    assert!(
        words.contains("web") && words.contains(status["hub_id"].as_str().unwrap()),
        "{words}"
    );

    let restarted = plain_json(&home, &["node", "restart"]);
    assert_eq!(restarted["stopped"], true);
    assert_ne!(restarted["pid"], started["pid"]);
    assert_eq!(restarted["hub_id"], started["hub_id"], "its name stays");
    assert_eq!(
        plain_json(&home, &["node", "stop"]),
        json!({"ok": true, "stopped": true})
    );
    assert_eq!(
        plain_json(&home, &["node", "stop"]),
        json!({"ok": true, "stopped": false})
    );
    wait_until("the hub to be gone", || {
        home.hubs().is_empty().then_some(())
    });

    let logs = home.run(&["node", "logs"]).expect_code(0).stdout;
    assert!(logs.contains("the hub is up"), "{logs}");
    assert_eq!(
        home.run(&["node", "logs", "-n", "2"])
            .expect_code(0)
            .stdout
            .lines()
            .count(),
        2
    );
}

#[test]
fn up_starts_the_hub_says_what_is_next_and_leaves_it_running() {
    let home = TestHome::new();
    let words = home.run(&["up", "--detach"]).expect_code(0).stdout;
    assert!(
        words.contains("Set up assistants    ecorelay install"),
        "{words}"
    );
    let mut up = Live::start(home.ecorelay(&["up", "--json"]));
    assert!(up.json()["hub_id"].is_string());
    let _web = RawClient::session(&home.socket(), "web");
    wait_until("web on the live page", || {
        let status = up.json();
        (status["sessions"][0]["name"] == "web").then_some(())
    });
    up.signal(Signal::INT);
    assert_eq!(up.ended().code(), Some(0));
    home.run(&["node", "status"]).expect_code(0);
}

#[test]
fn everything_private_is_private_and_no_text_is_logged() {
    let home = TestHome::new();
    let text = "a-very-secret-text";
    let sent = json_of(&home, "ann", &["send", "bob", text]);
    json_of(
        &home,
        "bob",
        &["reply", sent["msg_id"].as_str().unwrap(), text],
    );
    json_of(&home, "ann", &["group", "create", "team", "bob"]);
    json_of(&home, "ann", &["group", "send", "team", text]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.data()), 0o700);
    for entry in std::fs::read_dir(home.data()).unwrap().flatten() {
        let expected = if entry.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry.path()), expected, "{}", entry.path().display());
    }
    for entry in std::fs::read_dir(home.data().join("logs"))
        .unwrap()
        .flatten()
    {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        let log = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!log.contains(text));
    }
}

#[test]
fn doctor_looks_at_everything_and_says_how_to_mend_it() {
    let home = TestHome::new();
    let _hub = home.hub();
    let finished = home.run(&["--json", "doctor"]);
    assert!([0, 1].contains(&finished.code()), "{finished:?}");
    let document = finished.json();
    let findings = document["findings"].as_array().expect("findings");
    assert!(findings.len() >= 8, "{document}");
    for finding in findings {
        assert!(
            finding["check"].is_string()
                && finding["level"].is_string()
                && finding["message"].is_string()
        );
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        assert!(finding["level"] == "ok" || !remedy.is_empty(), "{finding}");
    }
    assert!(home.run(&["doctor"]).stdout.contains("hub"));
}

#[test]
fn a_reference_data_directory_is_taken_over_once() {
    let home = TestHome::new();
    let old = home.path().join("old");
    std::fs::create_dir_all(old.join("mailboxes")).unwrap();
    std::fs::create_dir_all(old.join("groups")).unwrap();
    let message = |n: usize| json!({"msg_id": format!("m-{n}"), "from": "web", "text": format!("text {n}"), "reply_to": null, "ts": 1_700_000_000_000_u64});
    let mailbox = json!({"owner": "bob", "messages": [message(1), message(2), message(3)], "last_read": "m-1"});
    std::fs::write(old.join("mailboxes/bob.json"), mailbox.to_string()).unwrap();
    std::fs::write(old.join("mailboxes/broken.json"), "{\"owner\":").unwrap();
    let old = old.to_str().unwrap();

    let dry = plain_json(&home, &["import", old, "--dry-run"]);
    assert_eq!((&dry["ok"], &dry["dry_run"]), (&json!(true), &json!(true)));
    assert!(home.hubs().is_empty(), "a dry run starts nothing");
    let done = plain_json(&home, &["import", old]);
    assert_eq!(
        (&done["mailboxes"], &done["messages"]["taken"]),
        (&json!(1), &json!(3))
    );
    assert!(
        done["skipped"].to_string().contains("broken.json"),
        "{done}"
    );
    let again = plain_json(&home, &["import", old]);
    assert_eq!(
        (&again["messages"]["taken"], &again["messages"]["known"]),
        (&json!(0), &json!(3))
    );
    let inbox = json_of(&home, "bob", &["inbox"]);
    let texts: Vec<&str> = inbox["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["text 2", "text 3"], "what was read stays read");
    home.run(&["import", home.home().to_str().unwrap()])
        .expect_code(1);
}
