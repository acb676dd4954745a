//! Rooms and groups.
use crate::world::World;
use ecorelay_hub::Tunables;
use serde_json::{Value, json};

fn group(kind: &str, name: &str) -> Value {
    json!({"type":format!("group_{kind}"),"group":name})
}

#[test]
fn a_room_lives_from_its_first_join_to_its_last_leave() {
    let mut w = World::new();
    let (a, b, c) = (w.v5("a"), w.v6("b"), w.v6("c"));
    assert_eq!(
        w.ask(a, json!({"type":"join_room","room":" r "}))["room"],
        "r"
    );
    assert_eq!(
        w.ask(b, json!({"type":"join_room","room":"r"}))["members"],
        json!(["a", "b"])
    );
    w.send(
        c,
        json!({"type":"room_msg","room":"r","text":"hi","msg_id":"1","req_id":"q"}),
    );
    w.confirm(b, "handed");
    assert_eq!(w.take(c)[0]["delivered_count"], 2);
    assert_eq!(
        w.take_type(a, "incoming_room_msg")[0],
        json!({"type":"incoming_room_msg","room":"r","from":"c","text":"hi","msg_id":"1"})
    );
    assert_eq!(
        w.ask(
            c,
            json!({"type":"room_msg","room":"none","text":"x","msg_id":"2"})
        )["delivered_count"],
        0
    );
    w.ask(a, json!({"type":"leave_room","room":"r"}));
    w.gone(b);
    assert_eq!(w.ask(c, json!({"type":"list_rooms"}))["rooms"], json!([]));
}

#[test]
fn a_group_keeps_its_rules() {
    let mut w = World::new();
    let (a, b, c) = (w.v5("a"), w.v5("b"), w.v5("c"));
    let made = w.ask(
        a,
        json!({"type":"group_create","name":"g","members":["b","off","b"]}),
    );
    assert_eq!(made["members"], json!(["a", "b", "off"]));
    assert_eq!(
        w.ask(a, json!({"type":"group_create","name":"g","members":[]}))["code"],
        "bad_args"
    );
    assert_eq!(
        w.ask(
            a,
            json!({"type":"group_create","name":"h","members":["b@nowhere"]})
        )["code"],
        "peer_not_found"
    );
    assert_eq!(w.ask(c, group("info", "g"))["code"], "not_member");
    assert_eq!(
        w.ask(c, json!({"type":"group_send","group":"g","text":"x"}))["code"],
        "not_member"
    );
    assert_eq!(
        w.ask(b, json!({"type":"group_invite","group":"g","peer":"c"}))["code"],
        "not_admin"
    );
    assert_eq!(
        w.ask(a, json!({"type":"group_invite","group":"none","peer":"c"}))["code"],
        "group_not_found"
    );
    assert_eq!(
        w.ask(
            a,
            json!({"type":"group_remove","group":"g","peer":"c","reason":"x"})
        )["code"],
        "not_member"
    );
    assert_eq!(
        w.ask(
            a,
            json!({"type":"group_remove","group":"g","peer":"a","reason":"x"})
        )["code"],
        "bad_args"
    );
    assert_eq!(
        w.ask(
            a,
            json!({"type":"group_remove","group":"g","peer":"b","reason":""})
        )["code"],
        "bad_args"
    );
    assert_eq!(w.ask(a, group("leave", "g"))["code"], "bad_args");
    assert_eq!(
        w.ask(a, json!({"type":"group_invite","group":"g","peer":"c"}))["type"],
        "group_ack"
    );
    assert!(
        w.take_type(c, "incoming_group_msg")[0]["text"]
            .as_str()
            .unwrap()
            .contains("invited you")
    );
    assert_eq!(w.ask(b, group("leave", "g"))["type"], "group_ack");
    assert_eq!(w.ask(a, group("delete", "g"))["type"], "group_ack");
    assert_eq!(w.ask(a, group("info", "g"))["code"], "not_member");
}

#[test]
fn history_moves_each_members_cursor() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    w.ask(a, json!({"type":"group_create","name":"g","members":["b"]}));
    for n in 0..3 {
        assert_eq!(
            w.ask(
                a,
                json!({"type":"group_send","group":"g","text":n.to_string()})
            )["type"],
            "group_ack"
        );
    }
    let pushed = w.take_type(b, "incoming_group_msg");
    assert_eq!(pushed.last().unwrap()["msg_id"], "3");
    assert_eq!(
        w.ask(b, json!({"type":"group_list"}))["groups"][0]["unread_count"],
        3
    );
    assert_eq!(
        w.ask(a, json!({"type":"group_list"}))["groups"][0]["unread_count"],
        0,
        "own messages are not unread"
    );
    let mut page = group("history", "g");
    page["limit"] = json!(2);
    let first = w.ask(b, page.clone());
    assert_eq!(
        (
            first["messages"].as_array().unwrap().len(),
            &first["unread_remaining"]
        ),
        (2, &json!(1))
    );
    let second = w.ask(b, page.clone());
    assert_eq!(second["messages"][0]["text"], "2");
    assert_eq!(w.ask(b, page)["messages"], json!([]));
}

#[test]
fn a_long_history_is_cut_and_says_where() {
    let mut w = World::new();
    let a = w.v6("a");
    w.ask(
        a,
        json!({"type":"group_create","name":"g","members":["off"]}),
    );
    for n in 0..700 {
        w.send(
            a,
            json!({"type":"group_send","group":"g","text":n.to_string()}),
        );
    }
    w.gone(a);
    w.restart();
    let off = w.v6("off");
    assert!(
        w.take_type(off, "notice")
            .iter()
            .any(|n| n["text"].as_str().unwrap().contains("g ("))
    );
    let page = w.ask(off, group("history", "g"));
    let gap = page["gap"].as_u64().unwrap();
    assert!((168..=200).contains(&gap), "{gap}");
    assert_eq!(page["messages"][0]["type"], "system");
    assert_eq!(page["messages"][1]["text"], gap.to_string());
}

#[test]
fn members_who_are_away_are_told_when_they_are_back() {
    let mut w = World::new();
    let a = w.v6("a");
    w.ask(
        a,
        json!({"type":"group_create","name":"g","members":["off"]}),
    );
    w.send(
        a,
        json!({"type":"group_send","group":"g","text":"x","req_id":"q"}),
    );
    let ack = w.take(a).remove(0);
    assert_eq!(
        (&ack["delivered_count"], &ack["queued_count"]),
        (&json!(0), &json!(1))
    );
    let off = w.v6("off");
    let lines = w.take(off);
    assert!(
        lines
            .iter()
            .any(|l| l["type"] == "incoming_group_msg" && l["kind"] == "system")
    );
    assert!(lines.iter().any(|l| l["type"] == "notice"));
}

#[test]
fn a_group_send_with_the_same_id_is_kept_once() {
    let mut w = World::new();
    let a = w.v6("a");
    w.ask(a, json!({"type":"group_create","name":"g","members":[]}));
    let line = json!({"type":"group_send","group":"g","text":"x","msg_id":"m-7"});
    assert_eq!(w.ask(a, line.clone())["msg_id"], "m-7");
    assert_eq!(w.ask(a, line)["msg_id"], "m-7");
    assert_eq!(
        w.ask(a, group("history", "g"))["messages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn group_notices_count_towards_the_budget_and_wait_in_the_mailbox() {
    let mut w = World::with(Tunables {
        conversation_burst: 4,
        conversation_per_minute: 1,
        ..Tunables::default()
    });
    let (a, b) = (w.v5("a"), w.v6("b"));
    w.ask(a, json!({"type":"group_create","name":"g","members":[]}));
    for _ in 0..5 {
        w.ask(a, json!({"type":"group_invite","group":"g","peer":"b"}));
        w.ask(
            a,
            json!({"type":"group_remove","group":"g","peer":"b","reason":"again"}),
        );
    }
    let pushed = w.confirm(b, "refused");
    let pushed = pushed.iter().filter(|l| l["type"] == "incoming_group_msg");
    assert_eq!(pushed.count(), 4);
    assert_eq!(w.inbox(b).len(), 10);
}
