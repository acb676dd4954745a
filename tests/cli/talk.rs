//! The commands with which a person takes part.

use crate::json_of;
use crate::support::found_within;
use crate::support::home::TestHome;
use crate::support::process::Live;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn send_inbox_reply_and_why_follow_a_message() {
    let home = TestHome::new();
    // A hub that a command starts serves the next command too.
    let sent = json_of(&home, "ann", &["send", "bob", "hello", "bob", "--urgent"]);
    assert_eq!(
        (&sent["ok"], &sent["status"]),
        (&json!(true), &json!("queued"))
    );
    assert_eq!(sent["state"], "unknown");
    let id = sent["msg_id"].as_str().unwrap();

    let peek = json_of(&home, "bob", &["inbox", "--peek"]);
    let inbox = json_of(&home, "bob", &["inbox", "--limit", "5"]);
    assert_eq!(
        peek["messages"], inbox["messages"],
        "looking is not reading"
    );
    assert_eq!(
        (&inbox["messages"][0]["msg_id"], &inbox["remaining"]),
        (&json!(id), &json!(0))
    );
    assert_eq!(inbox["messages"][0]["text"], "hello bob");
    assert_eq!(
        (
            &inbox["messages"][0]["from"],
            &inbox["messages"][0]["urgent"]
        ),
        (&json!("ann"), &json!(true))
    );
    assert_eq!(
        json_of(&home, "bob", &["inbox"]),
        json!({"messages": [], "remaining": 0})
    );
    let again = json_of(&home, "bob", &["inbox", "--since", "m-none"]);
    assert_eq!(again["messages"][0]["msg_id"], id);

    let reply = json_of(&home, "bob", &["reply", id, "hi", "ann"]);
    assert_eq!(
        (&reply["ok"], &reply["state"]),
        (&json!(true), &json!("stored"))
    );
    let answer = &json_of(&home, "ann", &["inbox"])["messages"][0];
    assert_eq!(
        (&answer["text"], &answer["reply_to"]),
        (&json!("hi ann"), &json!(id))
    );

    let why = json_of(&home, "ann", &["why", id]);
    assert_eq!(
        (&why["ok"], &why["state"], &why["msg_id"]),
        (&json!(true), &json!("read"), &json!(id))
    );
    assert_eq!((&why["from"], &why["to"]), (&json!("ann"), &json!("bob")));
    let steps: Vec<&str> = why["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap())
        .collect();
    for step in ["accepted", "read", "answered"] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    let words = home.run(&["why", id]).expect_code(0).stdout;
    assert!(
        words.contains("ann") && words.contains("answered") && !words.contains('{'),
        "{words}"
    );
}

#[test]
fn a_text_can_come_from_standard_input() {
    let home = TestHome::new();
    let mut send = Live::start(home.ecorelay(&["--as", "ann", "--json", "send", "bob", "-"]));
    send.write("two\nlines");
    send.close_input();
    assert_eq!(send.json()["ok"], true);
    assert_eq!(send.ended().code(), Some(0));
    let inbox = json_of(&home, "bob", &["inbox"]);
    assert_eq!(
        inbox["messages"][0]["text"].as_str().unwrap().trim_end(),
        "two\nlines"
    );
}

#[test]
fn peers_lists_live_sessions() {
    let home = TestHome::new();
    let _hub = home.hub();
    let _web = RawClient::session(&home.socket(), "web");
    let seen = json_of(&home, "ann", &["peers"]);
    assert_eq!(seen["me"], "ann");
    let web = &seen["peers"][0];
    for key in [
        "name",
        "cwd",
        "git_branch",
        "last_seen",
        "agent",
        "hub",
        "state",
    ] {
        assert!(!web[key].is_null(), "{key}: {seen}");
    }
    let words = home.run(&["peers"]).expect_code(0).stdout;
    assert!(words.contains("web") && words.contains("main"), "{words}");
}

#[test]
fn a_broadcast_waits_for_its_answers() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    let mut broadcast =
        Live::start(home.ecorelay(&["--as", "ann", "--json", "broadcast", "who", "is", "there?"]));
    let ask = web.next_of(&["incoming_ask"]);
    assert_eq!(
        (&ask["from"], &ask["question"]),
        (&json!("ann"), &json!("who is there?"))
    );
    web.send(&json!({"type": "reply", "ask_id": ask["ask_id"], "text": "me"}));
    let document = broadcast.json();
    assert_eq!(
        (&document["ok"], &document["peer_count"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(document["broadcast_id"], ask["broadcast_id"]);
    assert_eq!(
        (
            &document["replies"][0]["from"],
            &document["replies"][0]["text"]
        ),
        (&json!("web"), &json!("me"))
    );
    assert_eq!(broadcast.ended().code(), Some(0));

    let nobody = json_of(
        &home,
        "ann",
        &["broadcast", "anyone?", "--wait", "0", "--scope", "hub"],
    );
    assert_eq!(nobody["peer_count"], 1);
    assert_eq!(nobody["replies"], json!([]));
}

#[test]
fn a_room_is_joined_from_the_terminal() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    web.request(json!({"type": "join_room", "room": "ops"}));
    let mut room = Live::start(home.ecorelay(&["--as", "ann", "--json", "room", "join", "ops"]));
    assert_eq!(
        room.json(),
        json!({"ok": true, "room": "ops", "members": ["ann", "web"]})
    );
    room.write("hello room");
    let said = web.next_of(&["incoming_room_msg"]);
    assert_eq!(
        (&said["from"], &said["text"]),
        (&json!("ann"), &json!("hello room"))
    );
    web.request(json!({"type": "room_msg", "room": "ops", "text": "hello ann", "msg_id": "u1"}));
    let heard = room.json();
    assert_eq!(
        (&heard["from"], &heard["text"], &heard["room"]),
        (&json!("web"), &json!("hello ann"), &json!("ops"))
    );

    let rooms = json_of(&home, "zoe", &["room", "list"]);
    assert_eq!(
        rooms,
        json!({"rooms": [{"name": "ops", "members": ["ann", "web"]}]})
    );
    let said = json_of(&home, "zoe", &["room", "send", "ops", "from", "outside"]);
    assert_eq!((&said["ok"], &said["room"]), (&json!(true), &json!("ops")));
    assert!(said["delivered_count"].as_u64() >= Some(1), "{said}");
    assert_eq!(room.json()["text"], "from outside");
    assert_eq!(
        json_of(&home, "zoe", &["room", "leave", "ops"]),
        json!({"ok": true})
    );

    room.signal(Signal::INT);
    assert_eq!(room.ended().code(), Some(0));
    wait_until("ann to have left", || {
        let rooms = json_of(&home, "zoe", &["room", "list"]);
        (rooms["rooms"][0]["members"] == json!(["web"])).then_some(())
    });
}

#[test]
fn a_group_from_its_making_to_its_end() {
    let home = TestHome::new();
    let made = json_of(&home, "ann", &["group", "create", "team", "bob"]);
    assert_eq!(
        made,
        json!({"ok": true, "group": "team", "members": ["ann", "bob"]})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "invite", "team", "carl"]),
        json!({"ok": true})
    );
    let sent = json_of(&home, "ann", &["group", "send", "team", "hello", "all"]);
    assert_eq!(
        (&sent["ok"], &sent["queued_count"]),
        (&json!(true), &json!(2))
    );
    assert!(
        sent["msg_id"].is_string() && sent["delivered_count"] == 0,
        "{sent}"
    );
    let list = json_of(&home, "bob", &["group", "list"]);
    assert_eq!(
        (&list["ok"], &list["groups"][0]["name"]),
        (&json!(true), &json!("team"))
    );
    let history = json_of(&home, "bob", &["group", "history", "team", "--limit", "50"]);
    assert_eq!(
        (
            &history["ok"],
            &history["group"],
            &history["unread_remaining"]
        ),
        (&json!(true), &json!("team"), &json!(0))
    );
    let texts: Vec<&str> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert!(texts.contains(&"hello all"), "{texts:?}");
    let info = json_of(&home, "bob", &["group", "info", "team"]);
    assert_eq!((&info["ok"], &info["admin"]), (&json!(true), &json!("ann")));
    assert_eq!(info["members"].as_array().unwrap().len(), 3);
    assert_eq!(
        json_of(
            &home,
            "ann",
            &["group", "remove", "team", "carl", "--reason", "gone"]
        ),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "bob", &["group", "leave", "team"]),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "delete", "team"]),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "list"])["groups"],
        json!([])
    );
}

#[test]
fn watch_shows_what_comes_until_it_is_interrupted() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    let mut watch = Live::start(home.ecorelay(&["--as", "ann", "--json", "watch"]));
    wait_until("ann to be there", || {
        let peers = web.request(json!({"type": "list_peers"}));
        (peers["peers"][0]["name"] == "ann").then_some(())
    });
    let sent = web.request(json!({"type": "send", "to": "ann", "text": "look"}));
    let shown = watch.json();
    assert_eq!(
        (&shown["from"], &shown["text"], &shown["kind"]),
        (&json!("web"), &json!("look"), &json!("message"))
    );
    wait_until("the terminal to confirm what it has shown", || {
        let why = web.request(json!({"type": "why", "msg_id": sent["msg_id"]}));
        (why["trace"]["state"] == "delivered").then_some(())
    });
    watch.signal(Signal::INT);
    assert_eq!(watch.ended().code(), Some(0));

    // Looking over another's shoulder.
    let mut watch = Live::start(home.ecorelay(&["--json", "watch", "web"]));
    let shown = wait_until("a copy", || {
        web.request(json!({"type": "send", "to": "web", "text": "note"}));
        found_within(std::time::Duration::from_millis(200), || watch.try_line())
    });
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["from"], &shown["text"]),
        (&json!("web"), &json!("note"))
    );
    watch.signal(Signal::TERM);
    watch.ended();
}
