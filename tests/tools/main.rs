//! Every tool, as an assistant calls it: through `ecorelay mcp`, with what it gives when it
//! succeeds and with every refusal it can give.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod groups;
mod messages;
mod rooms_and_broadcasts;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::home::TestHome;
use support::mcp::McpClient;
use support::wait_until;

/// The tools that change nothing at all.
const READ_ONLY: [&str; 4] = [
    "relay_peers",
    "relay_rooms",
    "relay_group_list",
    "relay_group_info",
];

/// The longest text, in UTF-16 units.
const TEXT_LIMIT: usize = 524_288;

#[test]
fn the_19_tools_are_listed_with_truthful_hints_and_few_words() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let tools = alice.tools();
    let names: BTreeSet<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    let expected = "relay_peers relay_send relay_inbox relay_reply relay_broadcast relay_rename \
        relay_join relay_leave relay_room relay_rooms relay_group_create relay_group_invite \
        relay_group_remove relay_group_leave relay_group_send relay_group_history \
        relay_group_list relay_group_info relay_group_delete";
    assert_eq!(names, expected.split_whitespace().collect());
    assert_eq!(tools.len(), 19);
    for tool in &tools {
        let hints = tool.annotations.as_ref().expect("annotations");
        let reads = READ_ONLY.contains(&tool.name.as_ref());
        assert_eq!(hints.read_only_hint, Some(reads), "{}", tool.name);
        // Claude Code cuts a description after 2,048 characters.
        let words = tool.description.as_deref().unwrap_or_default();
        assert!((10..2_048).contains(&words.len()), "{}", tool.name);
        assert_eq!(tool.input_schema["type"], "object");
    }
    let info = alice.info();
    let instructions = info.instructions.as_deref().unwrap_or_default();
    assert!((200..2_048).contains(&instructions.len()));
    let channel = info
        .capabilities
        .experimental
        .as_ref()
        .expect("experimental");
    assert!(channel.contains_key("claude/channel"));
}

#[test]
fn peers_shows_who_is_there_and_who_i_am() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    assert_eq!(alice.ok("relay_peers", json!({}))["peers"], json!([]));
    let _bob = McpClient::start(&home, "bob");
    let seen = wait_for_peer(&alice, "bob");
    assert_eq!(seen["me"], "alice");
    let bob = &seen["peers"][0];
    assert_eq!(bob["name"], "bob");
    assert_eq!(bob["cwd"], home.home().to_str().unwrap());
    assert!(bob["git_branch"].is_string() && bob["last_seen"].as_u64() > Some(1_700_000_000_000));
    assert!(bob["agent"].is_string() && bob["hub"].is_string() && bob["state"].is_string());
}

#[test]
fn rename_changes_me_and_refuses_what_is_taken_or_no_name() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let bob = McpClient::start(&home, "bob");
    let renamed = alice.ok("relay_rename", json!({"new_name": " anna "}));
    assert_eq!(renamed, json!({"ok": true, "name": "anna"}));
    assert_eq!(alice.ok("relay_peers", json!({}))["me"], "anna");
    wait_for_peer(&bob, "anna");
    assert_eq!(
        alice.ok("relay_rename", json!({"new_name": "anna"}))["name"],
        "anna"
    );
    alice.refused("relay_rename", json!({"new_name": "bob"}), "name_taken");
    for arguments in [
        json!({}),
        json!({"new_name": 5}),
        json!({"new_name": ""}),
        json!({"new_name": "a@b"}),
        json!({"new_name": ".."}),
        json!({"new_name": "x".repeat(65)}),
    ] {
        alice.refused("relay_rename", arguments, "bad_args");
    }
}

#[test]
fn a_hub_that_cannot_come_back_is_told_at_once() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    alice.ok("relay_peers", json!({}));
    // With a setting it does not know a hub refuses to start.
    std::fs::write(home.data().join("config.toml"), "no_such_setting = 1\n").unwrap();
    home.kill_hub();
    for (tool, arguments) in [
        ("relay_peers", json!({})),
        ("relay_send", json!({"to": "bob", "text": "x"})),
        ("relay_inbox", json!({})),
    ] {
        alice.refused(tool, arguments, "hub_unreachable");
    }
    // As soon as it can come back, the same channel works again.
    std::fs::remove_file(home.data().join("config.toml")).unwrap();
    let seen = wait_until("the hub to be back", || {
        alice.call("relay_peers", json!({})).ok()
    });
    assert_eq!(seen["me"], "alice");
}

#[test]
fn an_unknown_tool_is_an_error_and_no_silence() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    assert!(alice.call_unlisted("relay_dance").is_err());
    alice.ok("relay_peers", json!({}));
}

/// Waits until `client` sees the peer; returns the whole answer of `relay_peers`.
fn wait_for_peer(client: &McpClient, name: &str) -> Value {
    wait_until(&format!("the peer {name}"), || {
        let seen = client.ok("relay_peers", json!({}));
        let here = seen["peers"]
            .as_array()?
            .iter()
            .any(|peer| peer["name"] == name);
        here.then_some(seen)
    })
}

/// Writes the hub's settings before it starts.
fn configure(home: &TestHome, settings: &str) {
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("config.toml"), settings).unwrap();
}

/// Checks what a client demands of meta values: strings only, under plain keys.
fn assert_meta(meta: &Value) {
    for (key, value) in meta.as_object().expect("meta is an object") {
        assert!(value.is_string(), "{key}: {value}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            key.chars().all(plain) && !key.starts_with(|c: char| c.is_ascii_digit()),
            "{key}"
        );
    }
}

fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|m| m["text"].as_str().unwrap().to_owned())
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}
