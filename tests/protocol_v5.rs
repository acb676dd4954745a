//! The local protocol, version "5", to the byte: what a reference client writes and reads.
//! The client here is a plain socket; nothing of this project helps it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use support::home::TestHome;
use support::raw::RawClient;
use support::{DEADLINE, wait_until};

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
fn broadcast_reply_and_the_answers_way_back() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let mut b = RawClient::session(&home.socket(), "b");
    a.send(&json!({"type": "broadcast", "question": "who?", "broadcast_id": "bcast-a-1-5"}));
    assert_eq!(
        a.next(),
        json!({"type": "broadcast_ack", "broadcast_id": "bcast-a-1-5", "peer_count": 1})
    );
    let ask = b.next();
    assert_eq!(
        ask,
        json!({"type": "incoming_ask", "from": "a", "question": "who?", "ask_id": "bcast-a-1-5:b",
            "broadcast_id": "bcast-a-1-5", "thread_id": "bcast-a-1-5"})
    );
    b.send(&json!({"type": "reply", "ask_id": ask["ask_id"], "text": "me"}));
    let reply = a.next();
    assert_eq!(reply["type"], "incoming_reply");
    assert_eq!(
        (&reply["from"], &reply["text"]),
        (&json!("b"), &json!("me"))
    );
    assert_eq!(
        (&reply["ask_id"], &reply["broadcast_id"]),
        (&ask["ask_id"], &ask["broadcast_id"])
    );

    // An id that nobody knows is refused, with the id: nothing is discarded in silence.
    b.drain();
    b.send(&json!({"type": "reply", "ask_id": "bcast-none", "text": "me"}));
    let refusal = b.next();
    assert_eq!(
        (code(&refusal), &refusal["ask_id"]),
        ("unknown_ask", &json!("bcast-none"))
    );
}

#[test]
fn rooms_on_the_wire() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let mut b = RawClient::session(&home.socket(), "b");
    let joined = a.request(json!({"type": "join_room", "room": "ops"}));
    assert_eq!(
        joined,
        json!({"type": "room_ack", "room": "ops", "members": ["a"], "req_id": joined["req_id"]})
    );
    b.request(json!({"type": "join_room", "room": "ops"}));
    let said = a.request(json!({"type": "room_msg", "room": "ops", "text": "hi", "msg_id": "u-1"}));
    assert_eq!(
        said,
        json!({"type": "room_send_ack", "room": "ops", "delivered_count": 1, "req_id": said["req_id"]})
    );
    assert_eq!(
        b.next(),
        json!({"type": "incoming_room_msg", "room": "ops", "from": "a", "text": "hi", "msg_id": "u-1"})
    );
    let rooms = a.request(json!({"type": "list_rooms"}));
    assert_eq!(
        rooms["rooms"],
        json!([{"name": "ops", "members": ["a", "b"]}])
    );
    let left = a.request(json!({"type": "leave_room", "room": "ops"}));
    assert_eq!(left, json!({"type": "ack", "req_id": left["req_id"]}));
    drop(b);
    wait_until("the empty room to vanish", || {
        (a.request(json!({"type": "list_rooms"}))["rooms"] == json!([])).then_some(())
    });
}

#[test]
fn groups_on_the_wire() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let mut b = RawClient::session(&home.socket(), "b");
    let made = a.request(json!({"type": "group_create", "name": "g", "members": ["b"]}));
    assert_eq!(
        made,
        json!({"type": "group_created", "group": "g", "members": ["a", "b"], "req_id": made["req_id"]})
    );
    let told = b.next();
    assert_eq!(
        (&told["type"], &told["group"]),
        (&json!("incoming_group_msg"), &json!("g"))
    );
    let sent = a.request(json!({"type": "group_send", "group": "g", "text": "hi"}));
    assert_eq!(sent["type"], "group_ack");
    let push = b.next();
    assert_eq!(
        keys(&push),
        ["from", "group", "msg_id", "text", "ts", "type"]
    );
    assert_eq!((&push["from"], &push["text"]), (&json!("a"), &json!("hi")));
    let history = b.request(json!({"type": "group_history", "group": "g"}));
    assert_eq!(
        keys(&history),
        ["group", "messages", "req_id", "type", "unread_remaining"]
    );
    let entries = history["messages"].as_array().unwrap();
    let entry = entries
        .iter()
        .find(|e| e["text"] == "hi")
        .expect("the text in the history");
    assert_eq!(keys(entry), ["from", "id", "text", "ts", "type"]);
    assert_eq!(entry["type"], "message");
    let info = b.request(json!({"type": "group_info", "group": "g"}));
    assert_eq!(
        keys(&info),
        [
            "admin",
            "group",
            "members",
            "req_id",
            "type",
            "unread_count"
        ]
    );
    assert_eq!(info["admin"], "a");
    let list = b.request(json!({"type": "group_list"}));
    assert_eq!(list["groups"][0]["name"], "g");
    for (line, answer) in [
        (
            json!({"type": "group_invite", "group": "g", "peer": "c"}),
            "group_ack",
        ),
        (
            json!({"type": "group_remove", "group": "g", "peer": "c", "reason": "r"}),
            "group_ack",
        ),
    ] {
        assert_eq!(a.request(line.clone())["type"], answer, "{line}");
    }
    assert_eq!(
        b.request(json!({"type": "group_leave", "group": "g"}))["type"],
        "group_ack"
    );
    assert_eq!(
        a.request(json!({"type": "group_delete", "group": "g"}))["type"],
        "group_ack"
    );
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
fn bad_input_is_answered_at_once_with_a_code_and_a_sentence() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let nested = "[".repeat(100_000);
    let too_long = format!(
        "{{\"type\":\"send\",\"to\":\"a\",\"req_id\":\"big\",\"text\":\"{}\"}}",
        "x".repeat(5_000_000)
    );
    let text = "x".repeat(524_289);
    let long_text = json!({"type": "send", "to": "a", "text": text, "req_id": "r"}).to_string();
    let id = Some("r");
    let table: Vec<(&[u8], &str, Option<&str>)> = vec![
        (b"nonsense", "bad_msg", None),
        (b"null", "bad_msg", None),
        (b"[]", "bad_msg", None),
        (b"\"x\"", "bad_msg", None),
        (b"{", "bad_msg", None),
        (
            b"\xef\xbb\xbf{\"type\":\"ping\",\"req_id\":\"r\"}",
            "bad_msg",
            None,
        ),
        (
            b"{\"type\":\"send\",\"to\":\"a\",\"text\":\"\xff\"}",
            "bad_msg",
            None,
        ),
        (b"\0\0\0", "bad_msg", None),
        (nested.as_bytes(), "bad_msg", None),
        (too_long.as_bytes(), "too_large", Some("big")),
        (long_text.as_bytes(), "too_large", id),
        (br#"{"req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":7,"req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":"dance","req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":"ping","req_id":7}"#, "bad_msg", None),
        (br#"{"type":"send","req_id":"r"}"#, "bad_msg", id),
        (
            br#"{"type":"send","req_id":"r","to":5,"text":"x"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a","text":[]}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a","text":"x","urgent":"yes"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a b","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"..","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a@nowhere","text":"x"}"#,
            "peer_not_found",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":0}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":101}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":1e300}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":-1}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":"3"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","since_id":""}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"","members":[]}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"g","members":[1]}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"g"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_remove","req_id":"r","group":"g","peer":"b","reason":""}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_history","req_id":"r","group":"g","limit":501}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_info","req_id":"r","group":"none"}"#,
            "not_member",
            id,
        ),
        (
            br#"{"type":"join_room","req_id":"r","room":"a/b"}"#,
            "bad_args",
            id,
        ),
        (br#"{"type":"join_room","req_id":"r"}"#, "bad_msg", id),
        (
            br#"{"type":"rename","req_id":"r","new_name":"a@b"}"#,
            "bad_args",
            id,
        ),
    ];
    for (line, expected, req_id) in table {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        a.send_bytes(&[line, b"\n"].concat());
        let answer = a.next();
        assert_eq!(code(&answer), expected, "{shown}: {answer}");
        assert_eq!(answer["req_id"].as_str(), req_id, "{shown}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|m| m.len() > 10),
            "{shown}: {answer}"
        );
    }
    assert_eq!(
        a.request(json!({"type": "ping"}))["type"],
        "pong",
        "the session is still there"
    );
    assert!(hub.runs());
}

#[test]
fn what_looks_odd_but_is_right_is_accepted() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    // Its lines come byte by byte: the answer to a probe could land inside one.
    a.play_dead();
    for (line, text) in [
        // A character cut between two writes survives; a line may end with CR LF.
        (
            "{\"type\":\"send\",\"to\":\"a\",\"text\":\"世界 é\"}\r\n",
            "世界 é",
        ),
        // Duplicate keys: the last one counts; unknown ones are ignored.
        (
            "{\"type\":\"send\",\"to\":\"b\",\"to\":\"a\",\"text\":\"x\",\"text\":\"y\",\"z\":{}}\n",
            "y",
        ),
        (
            "{\"type\":\"send\",\"to\":\" a \",\"text\":\"\\ud83d\\ude00 \\ud800\"}\n",
            "😀 \u{fffd}",
        ),
        (
            "\n\n  \r\n{\"type\":\"send\",\"to\":\"a\",\"text\":\"\"}\n",
            "",
        ),
    ] {
        for byte in line.as_bytes() {
            a.send_bytes(&[*byte]);
        }
        let push = a.next_of(&["incoming_message", "err"]);
        assert_eq!(push["text"], text, "{push}");
        assert_eq!(a.next_of(&["send_ack"])["type"], "send_ack");
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut silent = RawClient::connect(&home.socket());
    silent.until_closed();
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
