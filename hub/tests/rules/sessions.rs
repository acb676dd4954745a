//! Names and sessions.
use crate::world::World;
use serde_json::{Value, json};

fn register(name: &str) -> serde_json::Value {
    json!({"type":"register","name":name,"cwd":"/w","git_branch":"main","protocol_version":"5"})
}

#[test]
fn a_live_holder_keeps_its_name() {
    let mut w = World::new();
    let a = w.v5("api");
    let b = w.connect();
    w.send(b, register("api"));
    let ping = w.take_type(a, "ping").remove(0);
    w.send(a, json!({"type":"pong","req_id":ping["req_id"]}));
    assert_eq!(w.take(b)[0]["code"], "name_taken");
}

#[test]
fn a_dead_holder_loses_its_name_after_half_a_second_and_is_closed() {
    let mut w = World::new();
    let a = w.v5("api");
    let b = w.connect();
    w.send(b, register("api"));
    w.pass(499);
    assert!(w.take(b).is_empty());
    w.pass(1);
    assert_eq!(w.take(b), [json!({"type":"ack"})]);
    assert!(w.closed.contains(&a));
}

#[test]
fn a_holder_whose_answer_waited_for_a_hub_that_was_held_up_keeps_its_name() {
    let mut w = World::new();
    let a = w.v5("api");
    let other = w.v5("other");
    let b = w.connect();
    w.send(b, register("api"));
    let ping = w.take_type(a, "ping").remove(0);
    // A commit takes long; meanwhile the answer and another line have come.
    w.now += 3_000;
    let lines = vec![
        w.line(other, json!({"type":"ping","req_id":"1"})),
        w.line(a, json!({"type":"pong","req_id":ping["req_id"]})),
    ];
    w.run(lines);
    assert_eq!(w.take(b)[0]["code"], "name_taken");
    assert!(!w.closed.contains(&a));

    // A dead one gains half a second, no more.
    w.send(b, register("api"));
    w.now += 3_000;
    w.send(other, json!({"type":"ping","req_id":"2"}));
    w.pass(499);
    assert!(w.take(b).is_empty());
    w.pass(1);
    assert_eq!(w.take(b), [json!({"type":"ack"})]);
}

#[test]
fn a_holder_that_renames_itself_while_it_is_asked_stays() {
    let mut w = World::new();
    let a = w.v5("api");
    let b = w.connect();
    w.send(b, register("api"));
    w.take(a);
    assert_eq!(
        w.ask(a, json!({"type":"rename","new_name":"web"}))["type"],
        "ack"
    );
    w.pass(500);
    assert_eq!(w.take(b), [json!({"type":"ack"})]);
    assert!(!w.closed.contains(&a));
    let peers = w.ask(b, json!({"type":"list_peers"}));
    assert_eq!(peers["peers"][0]["name"], "web");
}

#[test]
fn the_same_session_takes_its_name_back_at_once() {
    let mut w = World::new();
    let line =
        json!({"type":"register","name":"api","cwd":"/","protocol_version":"6","session_key":"k"});
    let (a, b) = (w.connect(), w.connect());
    assert_eq!(w.ask(a, line.clone())["name"], "api");
    assert_eq!(w.ask(b, line)["name"], "api");
    assert!(w.closed.contains(&a) && !w.closed.contains(&b));
}

#[test]
fn a_suffix_is_found_past_every_live_holder() {
    let mut w = World::new();
    let line = json!({"type":"register","name":"api","cwd":"/","protocol_version":"6","suffix":true,"req_id":"r"});
    let mut conns = Vec::new();
    for n in 1..=4 {
        let conn = w.connect();
        w.send(conn, line.clone());
        // Every holder that is asked answers.
        for _ in 0..n {
            for &holder in &conns {
                for ping in w.take_type(holder, "ping") {
                    w.send(holder, json!({"type":"pong","req_id":ping["req_id"]}));
                }
            }
        }
        let name = if n == 1 {
            "api".into()
        } else {
            format!("api-{n}")
        };
        assert_eq!(w.take_type(conn, "ack")[0]["name"], json!(name));
        conns.push(conn);
    }
}

#[test]
fn refusals_of_register() {
    let mut w = World::new();
    let a = w.connect();
    let mut wrong = register("bad name");
    assert_eq!(w.ask(a, wrong.clone())["code"], "bad_args");
    wrong["protocol_version"] = json!("4");
    assert_eq!(w.ask(a, wrong)["code"], "protocol_mismatch");
    assert_eq!(
        w.ask(a, json!({"type":"send","to":"x","text":"y"}))["code"],
        "not_registered"
    );
    w.ask(a, register("a"));
    assert_eq!(w.ask(a, register("b"))["code"], "already_registered");
}

#[test]
fn a_silent_connection_is_closed_and_told() {
    let mut w = World::new();
    let a = w.connect();
    let b = w.v5("b");
    w.pass(9_999);
    assert!(!w.closed.contains(&a));
    w.pass(2);
    assert!(w.closed.contains(&a) && !w.closed.contains(&b));
}

#[test]
fn a_frozen_session_is_shown_as_unresponsive_and_keeps_its_name() {
    let mut w = World::new();
    let _frozen = w.v6("frozen");
    let b = w.v6("b");
    w.pass(95_000);
    w.send(b, json!({"type":"state","state":"busy"}));
    let peers = w.ask(b, json!({"type":"list_peers"}));
    assert_eq!(peers["peers"][0]["state"], "unresponsive");
}

#[test]
fn rename_moves_mail_rooms_and_adminship_and_the_next_holder_sees_none_of_it() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    w.ask(a, json!({"type":"join_room","room":"r"}));
    w.ask(a, json!({"type":"group_create","name":"g","members":["b"]}));
    w.ask(b, json!({"type":"send","to":"a","text":"for the first a"}));
    assert_eq!(
        w.ask(a, json!({"type":"rename","new_name":"z"}))["type"],
        "ack"
    );

    let next = w.v5("a");
    assert!(w.inbox(next).is_empty());
    assert_eq!(
        w.ask(next, json!({"type":"group_info","group":"g"}))["code"],
        "not_member"
    );
    assert_eq!(
        w.ask(next, json!({"type":"group_delete","group":"g"}))["code"],
        "not_admin"
    );
    let rooms = w.ask(next, json!({"type":"list_rooms"}));
    assert_eq!(rooms["rooms"], json!([{"name":"r","members":["z"]}]));

    assert_eq!(w.inbox(a), ["for the first a"]);
    assert_eq!(
        w.ask(a, json!({"type":"group_invite","group":"g","peer":"c"}))["type"],
        "group_ack"
    );
}

#[test]
fn an_answer_follows_a_renamed_sender() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    w.send(a, json!({"type":"send","to":"b","text":"q","req_id":"s"}));
    let id = w.confirm(b, "handed")[0]["msg_id"].clone();
    w.ask(a, json!({"type":"rename","new_name":"z"}));
    let _stranger = w.v6("a");
    w.send(
        b,
        json!({"type":"reply","ask_id":id,"text":"answer","req_id":"r"}),
    );
    assert_eq!(w.take_type(a, "incoming_message")[0]["text"], "answer");
}

#[test]
fn mail_to_a_former_name_says_where_its_owner_went() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    w.ask(a, json!({"type":"rename","new_name":"z"}));
    let ack = w.ask(b, json!({"type":"send","to":"a","text":"x"}));
    assert_eq!(ack["state"], "unknown");
    assert!(
        ack["detail"].as_str().unwrap().contains("now called \"z\""),
        "{ack}"
    );
}

#[test]
fn a_rename_is_taken_back_when_it_cannot_be_stored() {
    let mut w = World::new();
    let a = w.v6("a");
    w.fail_store(Some(ecorelay_hub::StoreError::Full));
    assert_eq!(
        w.ask(a, json!({"type":"rename","new_name":"z"}))["code"],
        "mailbox_error"
    );
    w.fail_store(None);
    let b = w.v6("b");
    assert_eq!(
        w.ask(b, json!({"type":"list_peers"}))["peers"][0]["name"],
        "a"
    );
    assert_eq!(
        w.ask(a, json!({"type":"rename","new_name":"z"}))["type"],
        "ack"
    );
}

#[test]
fn a_terminal_acts_beside_its_live_self_but_never_for_an_assistant() {
    let mut w = World::new();
    let _ai = w.v6("ai");
    let attach = |name: &str| json!({"type":"register","name":name,"protocol_version":"6","attach":true,"agent":"terminal"});
    let c = w.connect();
    assert_eq!(w.ask(c, attach("ai"))["code"], "name_taken");
    assert_eq!(w.ask(c, attach("me"))["name"], "me");
    assert_eq!(
        w.ask(
            c,
            json!({"type":"send","to":"ai","text":"x","msg_id":"m-1"})
        ),
        serde_json::Value::Null
    );
    w.pass(400);
    assert_eq!(w.take_type(c, "send_ack")[0]["state"], "stored");
    assert_eq!(
        w.ask(c, json!({"type":"join_room","room":"r"}))["code"],
        "not_registered"
    );
}

#[test]
fn a_command_acts_for_the_session_whose_secret_it_has() {
    let mut w = World::new();
    let register = |key: Value, attach: bool| {
        json!({"type":"register","name":"docs","cwd":"/","git_branch":"","protocol_version":"6",
            "agent":"aider","attach":attach,"session_key":key})
    };
    let live = w.connect();
    assert_eq!(w.ask(live, register(json!("k-1"), false))["type"], "ack");
    for wrong in [json!("k-2"), json!(""), Value::Null] {
        let c = w.connect();
        assert_eq!(w.ask(c, register(wrong, true))["code"], "name_taken");
    }
    let c = w.connect();
    assert_eq!(w.ask(c, register(json!("k-1"), true))["name"], "docs");
    // The session is still there.
    assert_eq!(w.ask(live, json!({"type":"list_peers"}))["type"], "peers");

    // It is brought into a room and out of it, and hears so.
    let join = json!({"type":"join_room","room":"r"});
    assert_eq!(w.ask(c, join)["members"], json!(["docs"]));
    let told = json!({"type":"room_ack","room":"r","members":["docs"]});
    assert_eq!(w.take_type(live, "room_ack"), [told]);
    w.gone(c);
    let other = w.v6("other");
    w.ask(
        other,
        json!({"type":"room_msg","room":"r","text":"hi","msg_id":"1"}),
    );
    assert_eq!(w.take_type(live, "incoming_room_msg")[0]["text"], "hi");
    let c = w.connect();
    w.ask(c, register(json!("k-1"), true));
    assert_eq!(
        w.ask(c, json!({"type":"leave_room","room":"r"}))["type"],
        "ack"
    );
    let told = json!({"type":"room_ack","room":"r","members":[]});
    assert_eq!(w.take_type(live, "room_ack"), [told]);
}

#[test]
fn a_hub_is_in_use_while_anyone_needs_it_or_wants_it_to_stay() {
    let mut w = World::new();
    assert!(!w.hub.in_use());
    let a = w.v5("a");
    assert!(w.hub.in_use());
    w.gone(a);
    assert!(!w.hub.in_use());
    let c = w.connect();
    assert_eq!(w.ask(c, json!({"type":"stay"}))["type"], "ack");
    w.gone(c);
    assert!(w.hub.in_use());
}
