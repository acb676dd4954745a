//! Direct messages: keys, order, pages, and a reader that does not read.

use crate::keys;
use crate::support::home::TestHome;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::net::UnixStream;

#[test]
fn a_direct_message_has_the_reference_keys_and_no_other() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let mut b = RawClient::session(&home.socket(), "b");
    let answer = a.request(
        json!({"type": "send", "to": "b", "text": "hi", "reply_to": "m-0", "urgent": true}),
    );
    assert_eq!(keys(&answer), ["msg_id", "req_id", "status", "type"]);
    assert_eq!(
        (&answer["type"], &answer["status"]),
        (&json!("send_ack"), &json!("delivered"))
    );
    assert!(answer["msg_id"].as_str().unwrap().starts_with("m-"));
    let push = b.next();
    assert_eq!(
        keys(&push),
        ["from", "msg_id", "reply_to", "text", "ts", "type", "urgent"]
    );
    assert_eq!(push["type"], "incoming_message");
    assert_eq!((&push["from"], &push["text"]), (&json!("a"), &json!("hi")));
    assert_eq!(
        (&push["reply_to"], &push["urgent"]),
        (&json!("m-0"), &json!(true))
    );
    assert_eq!(push["msg_id"], answer["msg_id"]);

    a.request(json!({"type": "send", "to": "b", "text": "plain"}));
    let push = b.next();
    assert_eq!(
        keys(&push),
        ["from", "msg_id", "reply_to", "text", "ts", "type"]
    );
    assert_eq!(push["reply_to"], Value::Null);

    // The pushed ones stay unread, as in the reference, until they are fetched.
    let page = b.request(json!({"type": "inbox", "limit": 1}));
    assert_eq!(keys(&page), ["messages", "remaining", "req_id", "type"]);
    assert_eq!(
        (&page["type"], &page["remaining"]),
        (&json!("inbox_result"), &json!(1))
    );
    assert_eq!(
        keys(&page["messages"][0]),
        ["from", "msg_id", "reply_to", "text", "ts", "urgent"]
    );
    let page = b.request(json!({"type": "inbox"}));
    assert_eq!(page["messages"][0]["text"], "plain");
    assert_eq!(
        keys(&page["messages"][0]),
        ["from", "msg_id", "reply_to", "text", "ts"]
    );
    assert_eq!(b.request(json!({"type": "inbox"}))["messages"], json!([]));

    let answer = a.request(json!({"type": "send", "to": "nobody-yet", "text": "x"}));
    assert_eq!(keys(&answer), ["msg_id", "req_id", "status", "type"]);
    assert_eq!(answer["status"], "queued");
}

#[test]
fn the_push_is_written_before_the_answer_to_the_sender() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    a.send(&json!({"type": "send", "to": "a", "text": "x", "req_id": "1"}));
    assert_eq!(a.next()["type"], "incoming_message");
    assert_eq!(a.next()["type"], "send_ack");
}

#[test]
fn requests_are_answered_in_their_order() {
    let home = TestHome::new();
    let _hub = home.hub();
    let _b = RawClient::session(&home.socket(), "b");
    let mut a = RawClient::session(&home.socket(), "a");
    let mut lines = String::new();
    for n in 0..200 {
        let line = match n % 4 {
            0 => json!({"type": "send", "to": "b", "text": "x", "req_id": n.to_string()}),
            1 => json!({"type": "list_peers", "req_id": n.to_string()}),
            2 => json!({"type": "inbox", "req_id": n.to_string()}),
            _ => json!({"type": "send", "to": "b b", "text": "x", "req_id": n.to_string()}),
        };
        lines.push_str(&format!("{line}\r\n\n"));
    }
    a.send_bytes(lines.as_bytes());
    for n in 0..200 {
        assert_eq!(a.next()["req_id"], n.to_string());
    }
}

#[test]
fn pushes_come_in_the_order_of_205_sends() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let mut b = RawClient::session(&home.socket(), "b");
    for n in 0..205 {
        a.send(&json!({"type": "send", "to": "b", "text": n.to_string(), "req_id": n.to_string()}));
    }
    for n in 0..205 {
        assert_eq!(a.next()["type"], "send_ack");
        assert_eq!(b.next()["text"], n.to_string());
    }
    let (mut read, mut remaining) = (0, 205);
    while remaining > 0 {
        let page = b.request(json!({"type": "inbox", "limit": 100}));
        for message in page["messages"].as_array().unwrap() {
            assert_eq!(message["text"], read.to_string());
            read += 1;
        }
        remaining = page["remaining"].as_u64().unwrap();
        assert_eq!(read + remaining, 205);
    }
}

#[test]
fn a_page_of_large_messages_fits_what_a_reference_client_reads() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    drop(RawClient::session(&home.socket(), "b"));
    for n in 0..20 {
        let text = format!("{n:02}{}", "é".repeat(60_000));
        let sent = a.request(json!({"type": "send", "to": "b", "text": text}));
        assert_eq!(sent["type"], "send_ack");
    }
    let mut b = RawClient::session(&home.socket(), "b");
    let (mut read, mut remaining) = (0, 20);
    while remaining > 0 {
        let page = b.request(json!({"type": "inbox", "limit": 100}));
        assert!(page.to_string().len() < 1_048_576);
        for message in page["messages"].as_array().unwrap() {
            assert!(
                message["text"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("{read:02}"))
            );
            read += 1;
        }
        remaining = page["remaining"].as_u64().unwrap();
    }
    assert_eq!(read, 20);
}

#[test]
fn a_reader_that_never_reads_harms_nobody() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let mut deaf = UnixStream::connect(home.socket()).unwrap();
    deaf.write_all(b"{\"type\":\"register\",\"name\":\"deaf\",\"cwd\":\"\",\"git_branch\":\"\",\"protocol_version\":\"5\"}\n").unwrap();
    let mut a = RawClient::session(&home.socket(), "a");
    wait_until("the deaf session", || {
        (a.request(json!({"type": "list_peers"}))["peers"] != json!([])).then_some(())
    });
    let text = "x".repeat(100_000);
    for n in 0..200 {
        a.send(&json!({"type": "send", "to": "deaf", "text": text, "req_id": n.to_string()}));
    }
    for n in 0..200 {
        let sent = a.next();
        assert_eq!(sent["type"], "send_ack", "{n}: {sent}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(
        kib < 200 * 1024,
        "20 MB for a deaf reader must not stay in memory: {peak}"
    );
    assert!(hub.runs());
    drop(deaf);
    let mut deaf = RawClient::session(&home.socket(), "deaf");
    let page = deaf.request(json!({"type": "inbox", "limit": 1}));
    assert_eq!(page["remaining"], 199, "everything was stored");
}
