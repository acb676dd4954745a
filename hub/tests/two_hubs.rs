//! Two and three hubs, their links carried by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod linked;

use linked::Mesh;
use serde_json::json;

#[test]
fn a_ticket_makes_two_hubs_one_mesh() {
    let mut mesh = Mesh::of(2);
    let status = mesh.status(0);
    assert_eq!(status["mesh"]["admitted"], true);
    assert_eq!(status["hubs"][0]["hub_id"], "hub2");
    assert_eq!(status["hubs"][0]["state"], "direct", "{status}");
    assert_eq!(mesh.status(1)["hubs"][0]["hub_id"], "hub1");
}

#[test]
fn a_message_crosses_and_its_answer_comes_back() {
    let mut mesh = Mesh::of(2);
    let ann = mesh.session(0, "ann");
    let bob = mesh.session(1, "bob");
    mesh.settle();
    let peers = mesh.ask(0, ann, json!({"type": "list_peers"}));
    assert_eq!(peers["peers"][0]["name"], "bob@hub2");

    mesh.write(
        0,
        ann,
        json!({"type": "send", "to": "bob@hub2", "text": "hi", "msg_id": "m-1"}),
    );
    mesh.carry();
    let got = mesh.next(1, bob, "incoming_message");
    assert_eq!(got["from"], "ann@hub1");
    assert_eq!(got["origin_hub"], "hub1");
    mesh.write(
        1,
        bob,
        json!({"type": "pushed", "msg_ids": ["m-1"], "result": "handed", "path": "x"}),
    );
    mesh.carry();
    let ack = mesh.next(0, ann, "send_ack");
    assert_eq!(
        (&ack["status"], &ack["state"]),
        (&json!("delivered"), &json!("delivered")),
        "{ack}"
    );

    mesh.write(
        1,
        bob,
        json!({"type": "reply", "ask_id": "m-1", "text": "hello", "msg_id": "m-2"}),
    );
    mesh.carry();
    let got = mesh.next(0, ann, "incoming_message");
    assert_eq!(
        (&got["from"], &got["reply_to"]),
        (&json!("bob@hub2"), &json!("m-1"))
    );
    let why = mesh.ask(0, ann, json!({"type": "why", "msg_id": "m-1"}));
    assert_eq!(why["trace"]["state"], "read", "{why}");
}

#[test]
fn a_message_for_a_hub_that_is_away_waits_and_arrives_once() {
    let mut mesh = Mesh::of(2);
    let ann = mesh.session(0, "ann");
    let bob = mesh.session(1, "bob");
    mesh.settle();
    mesh.cut(0, 1);
    for n in 0..600 {
        let line =
            json!({"type": "send", "to": "bob@hub2", "text": "x", "msg_id": format!("m-{n}")});
        let ack = mesh.ask(0, ann, line);
        assert_eq!(ack["state"], "outbox", "{ack}");
    }
    assert_eq!(mesh.status(0)["hubs"][0]["outbox"], 600);
    mesh.restart(0);
    mesh.join_cable(0, 1);
    mesh.cut(0, 1); // in the middle of the replay
    mesh.join_cable(0, 1);
    mesh.settle();
    assert_eq!(mesh.status(0)["hubs"][0]["outbox"], 0);
    let _ = bob;
    let ids: Vec<String> = mesh.mailbox(1);
    let expected: Vec<String> = (0..600).map(|n| format!("m-{n}")).collect();
    assert_eq!(ids, expected);
}

#[test]
fn an_unknown_hub_is_told_at_once_with_a_hint() {
    let mut mesh = Mesh::of(2);
    let ann = mesh.session(0, "ann");
    let answer = mesh.ask(
        0,
        ann,
        json!({"type": "send", "to": "bob@hub3", "text": "x"}),
    );
    assert_eq!(answer["code"], "peer_not_found");
    assert!(
        answer["message"].as_str().unwrap().contains("bob@hub2"),
        "{answer}"
    );
    let answer = mesh.ask(
        0,
        ann,
        json!({"type": "send", "to": "nobody@hub2", "text": "x"}),
    );
    assert_eq!(answer["state"], "unknown", "{answer}");
}

#[test]
fn a_third_hub_learns_of_the_second_from_the_first() {
    let mut mesh = Mesh::of(3);
    let hubs = mesh.status(2)["hubs"].clone();
    let states: Vec<_> = hubs
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["state"].clone())
        .collect();
    assert_eq!(states, ["direct", "direct"], "{hubs}");
}
