//! The local protocol, version "5", to the byte: what a reference client writes and reads.
//! The client here is a plain socket; nothing of this project helps it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod conversations;
mod messages;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use support::DEADLINE;
use support::home::TestHome;
use support::raw::RawClient;

#[test]
fn a_bootstrap_ping_is_answered_to_the_byte_before_any_registration() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut stream = UnixStream::connect(home.socket()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
        .write_all(b"{\"type\":\"ping\",\"req_id\":\"bootstrap\"}\n")
        .unwrap();
    let expected = b"{\"type\":\"pong\",\"req_id\":\"bootstrap\"}\n";
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
}

#[test]
fn registration_answers_and_refusals() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::connect(&home.socket());
    a.send(&json!({"type": "register", "name": " a ", "cwd": "/w", "git_branch": "main", "protocol_version": "5"}));
    assert_eq!(a.next_text(), "{\"type\":\"ack\"}");
    assert_eq!(code(&a.register("b")), "already_registered");

    let mut b = RawClient::connect(&home.socket());
    for (name, version, expected) in [
        ("b", "4", "protocol_mismatch"),
        ("b b", "4", "protocol_mismatch"),
        ("b b", "5", "bad_args"),
        ("", "5", "bad_args"),
        ("b@hub", "5", "bad_args"),
        ("..", "5", "bad_args"),
        ("a", "5", "name_taken"),
    ] {
        b.send(&json!({"type": "register", "name": name, "cwd": "", "git_branch": "", "protocol_version": version}));
        assert_eq!(
            code(&b.next_of(&["ack", "err"])),
            expected,
            "{name:?} {version}"
        );
    }
    // What is too long is shortened: a deep folder does not keep a session out.
    b.send(&json!({"type": "register", "name": "b", "cwd": "/w".repeat(5_000), "git_branch": "b".repeat(5_000), "protocol_version": "5"}));
    assert_eq!(b.next_of(&["ack", "err"]), json!({"type": "ack"}));
    let peers = a.request(json!({"type": "list_peers"}));
    assert_eq!(peers["peers"][0]["cwd"].as_str().unwrap().len(), 1_024);
    assert_eq!(peers["peers"][0]["git_branch"].as_str().unwrap().len(), 256);
}

#[test]
fn who_has_no_name_may_look_but_not_act() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut c = RawClient::connect(&home.socket());
    assert_eq!(c.request(json!({"type": "list_peers"}))["peers"], json!([]));
    assert_eq!(c.request(json!({"type": "list_rooms"}))["rooms"], json!([]));
    for line in [
        json!({"type": "rename", "new_name": "x"}),
        json!({"type": "send", "to": "a", "text": "x"}),
        json!({"type": "inbox"}),
        json!({"type": "broadcast", "question": "?", "broadcast_id": "b1"}),
        json!({"type": "reply", "ask_id": "m-1", "text": "x"}),
        json!({"type": "join_room", "room": "r"}),
        json!({"type": "leave_room", "room": "r"}),
        json!({"type": "room_msg", "room": "r", "text": "x", "msg_id": "1"}),
        json!({"type": "group_create", "name": "g", "members": []}),
        json!({"type": "group_invite", "group": "g", "peer": "a"}),
        json!({"type": "group_remove", "group": "g", "peer": "a", "reason": "x"}),
        json!({"type": "group_leave", "group": "g"}),
        json!({"type": "group_delete", "group": "g"}),
        json!({"type": "group_send", "group": "g", "text": "x"}),
        json!({"type": "group_history", "group": "g"}),
        json!({"type": "group_info", "group": "g"}),
        json!({"type": "group_list"}),
    ] {
        let answer = c.request(line.clone());
        assert_eq!(code(&answer), "not_registered", "{line}");
        assert!(answer["message"].as_str().unwrap().len() > 10, "{answer}");
    }
}

#[test]
fn rename_frees_the_old_name() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let renamed = a.request(json!({"type": "rename", "new_name": "anna"}));
    assert_eq!(renamed, json!({"type": "ack", "req_id": renamed["req_id"]}));
    assert_eq!(
        a.request(json!({"type": "rename", "new_name": "anna"}))["type"],
        "ack"
    );
    let mut b = RawClient::session(&home.socket(), "a");
    assert_eq!(
        code(&b.request(json!({"type": "rename", "new_name": "anna"}))),
        "name_taken"
    );
    let bad = b.request(json!({"type": "rename", "new_name": "a b"}));
    assert_eq!(code(&bad), "bad_args");
}

#[test]
fn a_live_holder_keeps_its_name_and_a_dead_one_is_replaced() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut holder = RawClient::session(&home.socket(), "a");
    let mut newcomer = RawClient::connect(&home.socket());
    assert_eq!(code(&newcomer.register("a")), "name_taken");

    holder.request(json!({"type": "send", "to": "a", "text": "unread"}));
    holder.play_dead();
    assert_eq!(
        newcomer.register("a"),
        json!({"type": "ack"}),
        "the dead one is replaced"
    );
    let page = newcomer.request(json!({"type": "inbox"}));
    assert_eq!(
        page["messages"][0]["text"], "unread",
        "the mail stays with the name"
    );
    // The replaced one is told by the end of its connection, or may not act any more.
    let acts = holder.try_request(json!({"type": "inbox"}));
    assert!(acts.is_none_or(|answer| code(&answer) == "not_registered"));
}

#[test]
fn two_newcomers_for_a_dead_name_get_one_winner() {
    let home = TestHome::new();
    let _hub = home.hub();
    let holder = RawClient::session(&home.socket(), "a");
    holder.play_dead();
    let mut first = RawClient::connect(&home.socket());
    let mut second = RawClient::connect(&home.socket());
    for newcomer in [&mut first, &mut second] {
        newcomer.send(&json!({"type": "register", "name": "a", "cwd": "", "git_branch": "", "protocol_version": "5"}));
    }
    let answers = [first.next(), second.next()];
    let acks = answers.iter().filter(|a| a["type"] == "ack").count();
    let taken = answers.iter().filter(|a| code(a) == "name_taken").count();
    assert_eq!((acks, taken), (1, 1), "{answers:?}");
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut silent = RawClient::connect(&home.socket());
    silent.until_closed();
}

fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_default()
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}
