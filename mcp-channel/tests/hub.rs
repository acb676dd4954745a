//! What a hub sees of a channel, and how the channel bears the hub's coming and going.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::client::Client;
use common::hub::FakeHub;
use common::options;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn the_session_registers_after_initialized_with_what_peers_see() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let _client = Client::initialized(options(dir.path()), "claude-code");
    let register = hub.asked().line;
    assert_eq!(register["type"], "register");
    assert_eq!(register["name"], "tester");
    assert_eq!(register["protocol_version"], "6");
    assert_eq!(register["agent"], "claude-code");
    assert_eq!(register["suffix"], true);
    assert_eq!(register["cwd"], dir.path().to_str().unwrap());
    assert!(register["session_key"].as_str().unwrap().len() >= 32);
}

#[test]
fn a_client_that_starts_throw_away_instances_registers_at_its_first_call() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "codex-mcp-client");
    client.request("tools/list", json!({}));
    assert!(hub.idle());
    let call = client.begin_tool("relay_peers", json!({}));
    assert_eq!(hub.asked().line["agent"], "codex");
    hub.asked_for("list_peers")
        .answer(json!({"type": "peers", "peers": []}));
    assert_eq!(
        client.tool_answer(call),
        (r#"{"me":"tester","peers":[]}"#.into(), false)
    );
}

#[test]
fn a_call_becomes_a_line_and_the_answer_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let call = client.begin_tool(
        "relay_send",
        json!({"to": " api@desk ", "text": "hi", "urgent": true, "extra": 1}),
    );
    let mut asked = hub.asked_for("send");
    let msg_id = asked.line["msg_id"].as_str().unwrap().to_owned();
    assert!(msg_id.starts_with("m-"));
    assert_eq!(
        asked.line,
        json!({"type": "send", "to": "api@desk", "text": "hi", "urgent": true,
            "msg_id": msg_id, "req_id": asked.line["req_id"]})
    );
    asked.answer(json!({"type": "send_ack", "msg_id": msg_id, "status": "queued", "state": "outbox", "detail": "desk is off"}));
    let expected = format!(
        r#"{{"ok":true,"msg_id":"{msg_id}","status":"queued","state":"outbox","detail":"desk is off"}}"#
    );
    assert_eq!(client.tool_answer(call), (expected, false));

    let call = client.begin_tool("relay_group_leave", json!({"group": "ops"}));
    hub.asked_for("group_leave")
        .answer(json!({"type": "err", "code": "not_member", "message": "You are not in it."}));
    assert_eq!(
        client.tool_answer(call),
        (
            r#"{"ok":false,"code":"not_member","message":"You are not in it."}"#.into(),
            true
        )
    );
}

#[test]
fn a_rename_is_kept_for_me_and_for_the_next_registration() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let call = client.begin_tool("relay_rename", json!({"new_name": " api "}));
    hub.asked_for("rename").answer(json!({"type": "ack"}));
    assert_eq!(client.tool_answer(call).0, r#"{"ok":true,"name":"api"}"#);
    let call = client.begin_tool("relay_peers", json!({}));
    let mut asked = hub.asked_for("list_peers");
    asked.answer(json!({"type": "peers", "peers": []}));
    assert_eq!(client.tool_answer(call).0, r#"{"me":"api","peers":[]}"#);
    asked.cut();
    assert_eq!(hub.asked_for("register").line["name"], "api");
}

#[test]
fn the_assistants_name_for_the_session_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut options = options(dir.path());
    options.around.peer_id = None;
    options.around.claude_dirs = vec![dir.path().into()];
    options.around.parent = 9;
    let mut client = Client::initialized(options, "claude-code");
    hub.asked_for("register");
    std::fs::create_dir(dir.path().join("sessions")).unwrap();
    std::fs::write(dir.path().join("sessions/9.json"), r#"{"name":"Billing"}"#).unwrap();
    let mut rename = hub.asked_for("rename");
    assert_eq!(rename.line["new_name"], "Billing");
    rename.answer(json!({"type": "ack"}));
    let call = client.begin_tool("relay_peers", json!({}));
    hub.asked_for("list_peers")
        .answer(json!({"type": "peers", "peers": []}));
    assert_eq!(client.tool_answer(call).0, r#"{"me":"Billing","peers":[]}"#);
}

#[test]
fn a_send_that_met_the_hubs_end_is_sent_again_with_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let join = client.begin_tool("relay_join", json!({"room": "ops"}));
    hub.asked_for("join_room")
        .answer(json!({"type": "room_ack", "room": "ops", "members": ["tester"]}));
    client.tool_answer(join);
    let key = {
        let call = client.begin_tool("relay_send", json!({"to": "api", "text": "hi"}));
        let first = hub.asked_for("send").line["msg_id"].clone();
        hub.kill();
        let hub = FakeHub::start(dir.path());
        let register = hub.asked().line;
        assert_eq!(
            (&register["type"], &register["name"]),
            (&json!("register"), &json!("tester"))
        );
        let mut rejoin = hub.asked();
        assert_eq!(rejoin.line["type"], "join_room");
        assert_eq!(rejoin.line["room"], "ops");
        rejoin.answer(json!({"type": "room_ack", "room": "ops", "members": ["tester"]}));
        let mut again = hub.asked_for("send");
        assert_eq!(again.line["msg_id"], first);
        again.answer(json!({"type": "send_ack", "msg_id": first, "status": "delivered"}));
        let (text, failed) = client.tool_answer(call);
        assert!(!failed && text.contains("delivered"), "{text}");
        register["session_key"].clone()
    };
    assert!(key.is_string());
}

#[test]
fn what_cannot_be_repeated_is_not_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let call = client.begin_tool("relay_group_create", json!({"name": "g", "members": []}));
    hub.asked_for("group_create").cut();
    let (text, failed) = client.tool_answer(call);
    assert!(
        failed && text.contains("hub_unreachable") && text.contains("not known"),
        "{text}"
    );
    assert_eq!(hub.asked_for("register").line["name"], "tester");
}

#[test]
fn a_name_that_was_lost_is_taken_anew_and_the_call_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let mut first = hub.asked_for("register");
    let key = first.line["session_key"].clone();
    first.push(&json!({"type": "evicted", "message": "did not answer"}));
    let mut second = hub.asked_for("register");
    assert_eq!(second.line["session_key"], key);
    let call = client.begin_tool("relay_group_create", json!({"name": "g", "members": []}));
    hub.asked_for("group_create")
        .answer(json!({"type": "err", "code": "not_registered", "message": "Register first."}));
    hub.asked_for("register");
    hub.asked_for("group_create")
        .answer(json!({"type": "group_created", "group": "g", "members": ["tester"]}));
    assert_eq!(
        client.tool_answer(call).0,
        r#"{"ok":true,"group":"g","members":["tester"]}"#
    );
    second.line.take();
}

#[test]
fn without_a_hub_a_call_says_why_and_the_channel_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.start.program = "sh".into();
    options.start.args = ["-c", "echo the store is read-only >&2; exit 1"]
        .map(Into::into)
        .to_vec();
    let mut client = Client::initialized(options, "test");
    let (text, failed) = client.tool("relay_peers", json!({}));
    assert!(failed && text.contains("hub_unreachable"), "{text}");
    assert!(text.contains("the store is read-only"), "{text}");
    let hub = FakeHub::start(dir.path());
    let call = client.begin_tool("relay_rooms", json!({}));
    hub.asked_for("list_rooms")
        .answer(json!({"type": "rooms_list", "rooms": []}));
    assert_eq!(client.tool_answer(call).0, r#"{"rooms":[]}"#);
}

#[test]
fn a_probe_is_answered_while_a_call_waits() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let call = client.begin_tool("relay_rooms", json!({}));
    let mut asked = hub.asked_for("list_rooms");
    let begun = Instant::now();
    asked.push(&json!({"type": "ping", "req_id": "probe-1"}));
    assert_eq!(hub.asked_for("pong").line["req_id"], "probe-1");
    assert!(begun.elapsed() < Duration::from_millis(500));
    asked.answer(json!({"type": "rooms_list", "rooms": []}));
    client.tool_answer(call);
}

#[test]
fn an_answer_that_cannot_be_read_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let call = client.begin_tool("relay_rooms", json!({}));
    hub.asked_for("list_rooms")
        .answer(json!({"type": "from_the_future"}));
    let (text, failed) = client.tool_answer(call);
    assert!(failed && text.contains("unexpected"), "{text}");
}

#[test]
fn fetched_mail_is_marked_read_and_not_shown_again_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let entry =
        |id: &str| json!({"msg_id": id, "from": "a", "text": "t", "reply_to": null, "ts": "T"});
    let page = |ids: &[&str], remaining: usize| {
        let messages: Vec<_> = ids.iter().map(|id| entry(id)).collect();
        json!({"type": "inbox_result", "messages": messages, "remaining": remaining})
    };
    let call = client.begin_tool("relay_inbox", json!({"limit": 2}));
    let mut asked = hub.asked_for("inbox");
    assert_eq!(asked.line["limit"], 2);
    asked.answer(page(&["m-1", "m-2"], 1));
    assert!(client.tool_answer(call).0.contains("m-2"));
    assert_eq!(hub.asked_for("read").line["msg_ids"], json!(["m-1", "m-2"]));

    // The hub lost the mark: only the new message is shown.
    let call = client.begin_tool("relay_inbox", json!({}));
    hub.asked_for("inbox").answer(page(&["m-1", "m-2"], 1));
    hub.asked_for("read");
    hub.asked_for("inbox").answer(page(&["m-2", "m-3"], 0));
    let (text, _) = client.tool_answer(call);
    assert!(text.contains("m-3") && !text.contains("m-2"), "{text}");

    // Who asks for old mail gets it.
    let call = client.begin_tool("relay_inbox", json!({"since_id": "m-0"}));
    hub.asked_for("inbox").answer(page(&["m-1"], 0));
    assert!(client.tool_answer(call).0.contains("m-1"));
}

#[test]
fn the_channel_ends_when_its_client_closes_even_in_the_middle_of_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    client.begin_tool("relay_rooms", json!({}));
    hub.asked_for("list_rooms");
    let begun = Instant::now();
    client.close_and_wait();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}
