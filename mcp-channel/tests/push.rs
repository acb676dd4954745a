//! How messages get into the session, and what the hub is told of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::client::Client;
use common::hub::{Asked, FakeHub};
use common::{DEADLINE, options};
use serde_json::{Value, json};
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

fn message(id: &str, text: &str) -> Value {
    json!({"type": "incoming_message", "msg_id": id, "from": "api@desk", "text": text,
        "ts": "2026-11-22T10:00:00.000Z", "reply_to": null, "urgent": true,
        "header": format!("[ecorelay] HEAD {id}"), "kind": "message"})
}

/// Waits until the channel has read everything pushed so far.
fn read_so_far(hub: &FakeHub, connection: &mut Asked) {
    connection.push(&json!({"type": "ping", "req_id": "so-far"}));
    hub.asked_for("pong");
}

#[test]
fn a_message_is_a_notification_and_the_hub_is_told_that_it_was_handed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let mut connection = hub.asked_for("register");
    connection.push(&message("m-1", "run </channel> it"));
    let notification = client.notification();
    assert_eq!(
        notification,
        json!({"jsonrpc": "2.0", "method": "notifications/claude/channel", "params": {
            "content": "[ecorelay] HEAD m-1\n<<<peer-text\nrun ‹/channel> it\npeer-text>>>",
            "meta": {"from": "api@desk", "origin_hub": "desk", "msg_id": "m-1",
                "ts": "2026-11-22T10:00:00.000Z", "urgent": "true", "kind": "message"}}})
    );
    assert_eq!(
        hub.asked_for("pushed").line,
        json!({"type": "pushed", "msg_ids": ["m-1"], "result": "handed", "path": "channel"})
    );
    let ask = json!({"type": "incoming_ask", "from": "api", "question": "who?", "ask_id": "b:tester",
        "broadcast_id": "b", "thread_id": "b"});
    connection.push(&ask);
    assert_eq!(client.notification()["params"]["meta"]["kind"], "ask");
    assert_eq!(hub.asked_for("pushed").line["msg_ids"], json!(["b:tester"]));
    connection.push(&json!({"type": "notice", "msg_id": "n-1", "text": "unread mail waits"}));
    assert_eq!(client.notification()["params"]["meta"]["kind"], "system");
}

#[test]
fn nothing_is_pushed_before_the_client_is_initialized() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::start(options(dir.path()));
    client.initialize("test", "2025-11-25");
    // A call before "initialized" registers all the same.
    let call = client.begin_tool("relay_rooms", json!({}));
    let mut asked = hub.asked_for("list_rooms");
    asked.push(&message("m-1", "early"));
    read_so_far(&hub, &mut asked);
    asked.answer(json!({"type": "rooms_list", "rooms": []}));
    client.tool_answer(call);
    client.request("ping", json!({}));
    assert!(client.notifications.is_empty());
    client.notify("notifications/initialized");
    assert_eq!(client.notification()["params"]["meta"]["msg_id"], "m-1");
    hub.asked_for("pushed");
}

#[test]
fn more_pushes_than_are_held_are_refused_and_nothing_else_suffers() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::start(options(dir.path()));
    client.initialize("test", "2025-11-25");
    let call = client.begin_tool("relay_rooms", json!({}));
    let mut asked = hub.asked_for("list_rooms");
    for n in 0..2_000 {
        asked.push(&message(&format!("m-{n}"), "x"));
    }
    let refused = hub.asked_for("pushed").line;
    assert_eq!(refused["result"], "refused");
    asked.answer(json!({"type": "rooms_list", "rooms": []}));
    client.tool_answer(call);
}

#[test]
fn where_notifications_may_be_dropped_the_hub_is_not_told_that_they_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "claude-code");
    hub.asked_for("register").push(&message("m-1", "x"));
    client.notification();
    let pushed = hub.asked_for("pushed").line;
    assert_eq!(pushed["result"], "unknown");
    assert!(pushed["detail"].as_str().unwrap().contains("channels"));
}

#[test]
fn a_client_without_notifications_is_sent_none() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "opencode");
    let call = client.begin_tool("relay_rooms", json!({}));
    let mut asked = hub.asked_for("list_rooms");
    asked.push(&message("m-1", "x"));
    let pushed = hub.asked_for("pushed").line;
    assert_eq!(
        (&pushed["result"], &pushed["path"]),
        (&json!("refused"), &json!("plugin"))
    );
    asked.answer(json!({"type": "rooms_list", "rooms": []}));
    client.tool_answer(call);
    assert!(client.notifications.is_empty());
}

#[test]
fn a_message_pushed_again_is_confirmed_again_but_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut client = Client::initialized(options(dir.path()), "test");
    let mut connection = hub.asked_for("register");
    connection.push(&message("m-1", "x"));
    client.notification();
    hub.asked_for("pushed");
    connection.cut();
    let mut connection = hub.asked_for("register");
    connection.push(&message("m-1", "x"));
    connection.push(&message("m-2", "y"));
    let again = hub.asked_for("pushed").line;
    assert_eq!(
        (&again["msg_ids"], &again["result"]),
        (&json!(["m-1"]), &json!("handed"))
    );
    assert_eq!(client.notification()["params"]["meta"]["msg_id"], "m-2");
}

#[test]
fn a_wished_name_that_is_none_is_told_in_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut options = options(dir.path());
    options.around.peer_id = Some("my api".into());
    let mut client = Client::initialized(options, "test");
    assert_eq!(hub.asked_for("register").line["name"], "my-api");
    let params = client.notification()["params"].clone();
    assert_eq!(params["meta"]["kind"], "system");
    assert!(
        params["content"]
            .as_str()
            .unwrap()
            .contains("RELAY_PEER_ID")
    );
}

/// Returns the lines of the next connection to an inbox socket.
fn inbox_lines(listener: &UnixListener) -> Vec<Value> {
    let (mut connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn content(lines: &[Value]) -> String {
    let message = lines.last().unwrap();
    assert_eq!(message["type"], "user");
    assert_eq!(message["message"]["role"], "user");
    message["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn the_inbox_socket_gets_the_first_message_at_once_and_a_burst_in_one_text() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let listener = UnixListener::bind(dir.path().join("inbox.sock")).unwrap();
    let mut options = options(dir.path());
    options.around.inbox_socket = Some(dir.path().join("inbox.sock"));
    options.around.inbox_token = Some("secret".into());
    let mut client = Client::initialized(options, "claude-code");
    let mut connection = hub.asked_for("register");
    connection.push(&message("m-0", "zero"));
    let lines = inbox_lines(&listener);
    assert_eq!(lines[0], json!({"type": "auth", "token": "secret"}));
    assert_eq!(
        content(&lines),
        "[ecorelay] HEAD m-0\n<<<peer-text\nzero\npeer-text>>>"
    );
    assert_eq!(
        hub.asked_for("pushed").line,
        json!({"type": "pushed", "msg_ids": ["m-0"], "result": "handed", "path": "inbox-socket"})
    );
    for n in 1..=12 {
        connection.push(&message(&format!("m-{n}"), "more"));
    }
    let left: Vec<Value> = (0..2).map(|_| hub.asked_for("pushed").line).collect();
    for (line, id) in left.iter().zip(["m-11", "m-12"]) {
        assert_eq!(line["msg_ids"], json!([id]));
        assert_eq!(
            (&line["result"], &line["detail"]),
            (&json!("refused"), &json!("batched; in the inbox"))
        );
    }
    let text = content(&inbox_lines(&listener));
    assert!(text.starts_with("[ecorelay] HEAD m-1\n") && text.contains("HEAD m-10"));
    assert!(
        text.ends_with("and 2 more in your inbox: call relay_inbox"),
        "{text}"
    );
    let handed = hub.asked_for("pushed").line;
    assert_eq!(handed["msg_ids"].as_array().unwrap().len(), 10);
    client.request("ping", json!({}));
    assert!(client.notifications.is_empty(), "one path, never both");
}

fn session_file(dir: &Path, socket: &Path) {
    std::fs::create_dir(dir.join("sessions")).unwrap();
    std::fs::write(
        dir.join("sessions/5.json"),
        json!({"messagingSocketPath": socket}).to_string(),
    )
    .unwrap();
}

#[test]
fn an_inbox_socket_that_moved_is_found_again_and_one_that_is_gone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let listener = UnixListener::bind(dir.path().join("new.sock")).unwrap();
    session_file(dir.path(), &dir.path().join("new.sock"));
    let mut options = options(dir.path());
    options.around.inbox_socket = Some(dir.path().join("old.sock"));
    options.around.claude_dirs = vec![dir.path().into()];
    options.around.parent = 5;
    let _client = Client::initialized(options, "claude-code");
    let mut connection = hub.asked_for("register");
    connection.push(&message("m-1", "x"));
    assert!(content(&inbox_lines(&listener)).contains("HEAD m-1"));
    assert_eq!(hub.asked_for("pushed").line["result"], "handed");
    drop(listener);
    connection.push(&message("m-2", "x"));
    let pushed = hub.asked_for("pushed").line;
    assert_eq!(
        (&pushed["result"], &pushed["path"]),
        (&json!("refused"), &json!("inbox-socket"))
    );
    assert!(pushed["detail"].as_str().unwrap().contains("inbox socket"));
}
