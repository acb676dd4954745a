//! Broadcasts, rooms and groups.

use crate::support::home::TestHome;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use crate::{code, keys};
use serde_json::json;

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
