//! `relay_send`, `relay_inbox` and `relay_reply`.

use crate::support::home::TestHome;
use crate::support::mcp::McpClient;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use crate::{TEXT_LIMIT, assert_meta, configure, numbers, texts, wait_for_peer};
use serde_json::{Value, json};

#[test]
fn a_message_is_pushed_fetched_once_and_answered() {
    let home = TestHome::new();
    let mut alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    wait_for_peer(&alice, "bob");
    let sent = alice.ok(
        "relay_send",
        json!({"to": "bob", "text": "hello <b>\n世界", "urgent": true, "reply_to": "m-0"}),
    );
    assert_eq!(sent["ok"], true);
    let id = sent["msg_id"].as_str().expect("msg_id");
    assert!(
        ["delivered", "queued"].contains(&sent["status"].as_str().unwrap()),
        "{sent}"
    );

    let push = bob.pushed();
    let meta = &push.meta;
    assert_eq!(
        (&meta["from"], &meta["msg_id"], &meta["kind"]),
        (&json!("alice"), &json!(id), &json!("message"))
    );
    assert_eq!(
        (&meta["urgent"], &meta["reply_to"]),
        (&json!("true"), &json!("m-0"))
    );
    assert!(
        meta["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')),
        "{meta}"
    );
    assert_meta(meta);
    let first = push.content.lines().next().unwrap();
    assert!(
        first.starts_with("[ecorelay] message from alice (") && first.contains(id),
        "{first}"
    );
    assert!(
        push.content
            .contains("<<<peer-text\nhello <b>\n世界\npeer-text>>>"),
        "{push:?}"
    );

    let inbox = bob.ok("relay_inbox", json!({}));
    assert_eq!(inbox["remaining"], 0);
    let message = &inbox["messages"][0];
    assert_eq!(
        (&message["msg_id"], &message["from"]),
        (&json!(id), &json!("alice"))
    );
    assert_eq!(message["text"], "hello <b>\n世界");
    assert_eq!(
        (&message["urgent"], &message["reply_to"]),
        (&json!(true), &json!("m-0"))
    );
    assert_eq!(bob.ok("relay_inbox", json!({}))["messages"], json!([]));

    let answer = bob.ok("relay_reply", json!({"ask_id": id, "text": "hi back"}));
    assert_eq!(answer["ok"], true);
    let push = alice.pushed();
    assert_eq!(push.meta["from"], "bob");
    assert_eq!(push.meta["reply_to"], id);
    assert!(push.content.contains("hi back"));
}

#[test]
fn a_message_to_oneself_arrives() {
    let home = TestHome::new();
    let mut alice = McpClient::start(&home, "alice");
    alice.ok("relay_send", json!({"to": "alice", "text": "note"}));
    assert_eq!(alice.pushed().meta["from"], "alice");
}

#[test]
fn mail_waits_for_one_who_is_away_and_for_one_who_never_was() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let backend = McpClient::start(&home, "backend");
    wait_for_peer(&alice, "backend");
    backend.close();
    let gone = |seen: &Value| seen["peers"] == json!([]);
    wait_until("backend to be gone", || {
        gone(&alice.ok("relay_peers", json!({}))).then_some(())
    });
    let sent = alice.ok("relay_send", json!({"to": "backend", "text": "for later"}));
    assert_eq!(
        (&sent["status"], &sent["state"]),
        (&json!("queued"), &json!("stored"))
    );
    assert!(
        sent["detail"]
            .as_str()
            .is_some_and(|d| d.contains("backend")),
        "{sent}"
    );

    let typo = alice.ok("relay_send", json!({"to": "bakend", "text": "lost?"}));
    assert_eq!(
        (&typo["status"], &typo["state"]),
        (&json!("queued"), &json!("unknown"))
    );
    assert!(
        typo["detail"]
            .as_str()
            .is_some_and(|d| d.contains("\"backend\"")),
        "{typo}"
    );

    let backend = McpClient::start(&home, "backend");
    let inbox = backend.ok("relay_inbox", json!({}));
    assert_eq!(inbox["messages"][0]["text"], "for later");
    let first_owner = McpClient::start(&home, "bakend");
    let inbox = first_owner.ok("relay_inbox", json!({}));
    assert_eq!(inbox["messages"][0]["text"], "lost?");
}

#[test]
fn send_says_what_is_wrong() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let long_name = "x".repeat(65);
    for arguments in [
        json!({}),
        json!({"to": "bob"}),
        json!({"text": "hi"}),
        json!({"to": 5, "text": "hi"}),
        json!({"to": "bob", "text": ["hi"]}),
        json!({"to": "bob", "text": null}),
        json!({"to": "", "text": "hi"}),
        json!({"to": "a b", "text": "hi"}),
        json!({"to": ".", "text": "hi"}),
        json!({"to": long_name, "text": "hi"}),
        json!({"to": "bob@", "text": "hi"}),
        json!({"to": "bob", "text": "hi", "reply_to": 9}),
        json!({"to": "bob", "text": "hi", "reply_to": "x".repeat(257)}),
        json!({"to": "bob", "text": "hi", "urgent": "true"}),
    ] {
        alice.refused("relay_send", arguments, "bad_args");
    }
    let message = alice.refused(
        "relay_send",
        json!({"to": "bob@desk", "text": "hi"}),
        "peer_not_found",
    );
    assert!(message.contains("bob@desk"), "{message}");
    let text = "x".repeat(TEXT_LIMIT + 1);
    alice.refused(
        "relay_send",
        json!({"to": "bob", "text": text}),
        "too_large",
    );
    let text = "x".repeat(TEXT_LIMIT);
    alice.ok("relay_send", json!({"to": "bob", "text": text}));
    alice.ok("relay_send", json!({"to": "bob", "text": "", "unknown": 1}));
}

#[test]
fn a_mailbox_full_of_unread_mail_refuses_and_says_since_when() {
    let home = TestHome::new();
    configure(&home, "[limits]\nmailbox_unread = 3\n");
    let alice = McpClient::start(&home, "alice");
    RawClient::session(&home.socket(), "bob");
    for n in 0..3 {
        alice.ok("relay_send", json!({"to": "bob", "text": format!("{n}")}));
    }
    let message = alice.refused(
        "relay_send",
        json!({"to": "bob", "text": "x"}),
        "mailbox_error",
    );
    assert!(message.contains("bob"), "{message}");
    let bob = McpClient::start(&home, "bob");
    assert_eq!(
        bob.ok("relay_inbox", json!({}))["messages"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    wait_until("room in the mailbox", || {
        alice
            .call("relay_send", json!({"to": "bob", "text": "y"}))
            .ok()
    });
}

#[test]
fn the_inbox_is_read_page_by_page_and_again() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    RawClient::session(&home.socket(), "bob");
    let mut ids = Vec::new();
    for n in 0..25 {
        let sent = alice.ok("relay_send", json!({"to": "bob", "text": format!("{n}")}));
        ids.push(sent["msg_id"].as_str().unwrap().to_owned());
    }
    let bob = McpClient::start(&home, "bob");
    let page = bob.ok("relay_inbox", json!({"limit": 7}));
    assert_eq!(texts(&page), numbers(0..7));
    assert_eq!(page["remaining"], 18);
    let page = bob.ok("relay_inbox", json!({}));
    assert_eq!(
        texts(&page),
        numbers(7..25),
        "20 are the default, 18 are left"
    );
    assert_eq!(page["remaining"], 0);
    let page = bob.ok("relay_inbox", json!({"since_id": ids[9], "limit": 3}));
    assert_eq!(texts(&page), numbers(10..13));
    assert_eq!(
        bob.ok("relay_inbox", json!({}))["messages"],
        json!([]),
        "read stays read"
    );

    for arguments in [
        json!({"limit": 0}),
        json!({"limit": 101}),
        json!({"limit": -1}),
        json!({"limit": "3"}),
        json!({"limit": 1e300}),
        json!({"since_id": ""}),
        json!({"since_id": 5}),
    ] {
        bob.refused("relay_inbox", arguments, "bad_args");
    }
}

#[test]
fn reply_needs_an_id_it_knows() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let bob = McpClient::start(&home, "bob");
    let message = alice.refused(
        "relay_reply",
        json!({"ask_id": "m-nowhere", "text": "hi"}),
        "unknown_ask",
    );
    assert!(message.contains("relay_inbox"), "{message}");
    let sent = alice.ok("relay_send", json!({"to": "bob", "text": "for bob only"}));
    // Only the recipient can answer it.
    let id = &sent["msg_id"];
    alice.refused(
        "relay_reply",
        json!({"ask_id": id, "text": "hi"}),
        "unknown_ask",
    );
    for arguments in [
        json!({}),
        json!({"ask_id": id}),
        json!({"text": "hi"}),
        json!({"ask_id": 5, "text": "hi"}),
        json!({"ask_id": "", "text": "hi"}),
        json!({"ask_id": "x".repeat(257), "text": "hi"}),
        json!({"ask_id": id, "text": 5}),
    ] {
        bob.refused("relay_reply", arguments, "bad_args");
    }
    let text = "x".repeat(TEXT_LIMIT + 1);
    bob.refused(
        "relay_reply",
        json!({"ask_id": id, "text": text}),
        "too_large",
    );
    bob.ok("relay_reply", json!({"ask_id": id, "text": "one"}));
    bob.ok("relay_reply", json!({"ask_id": id, "text": "two"}));
    assert_eq!(texts(&alice.ok("relay_inbox", json!({}))), ["one", "two"]);
}
