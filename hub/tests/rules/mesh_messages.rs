//! Direct messages between hubs: delivered, answered, kept while a hub is away; and tickets that end.

use crate::mesh_world::Mesh;
use serde_json::json;

/// Long enough for a link to come up and everything to cross, in ms.
const A_WHILE: u64 = 10_000;

#[test]
fn a_message_crosses_and_its_answer_comes_back() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    let (here, there) = (
        mesh.status(0)["hub_id"].clone(),
        mesh.status(1)["hub_id"].clone(),
    );
    let bob_there = format!("bob@{}", there.as_str().unwrap());
    let ann_here = format!("ann@{}", here.as_str().unwrap());
    mesh.pass(1_000);
    assert!(mesh.peers(ann).contains(&bob_there));

    let line = json!({"type": "send", "to": bob_there, "text": "hi", "msg_id": "m-1"});
    let ack = mesh.ask(ann, line);
    assert_eq!(
        (&ack["status"], &ack["state"]),
        (&json!("queued"), &json!("stored")),
        "{ack}"
    );
    let pushed = mesh.confirm(bob, "handed");
    assert_eq!(
        (&pushed[0]["from"], &pushed[0]["origin_hub"]),
        (&json!(ann_here), &here)
    );
    let line = json!({"type": "reply", "ask_id": "m-1", "text": "hello", "msg_id": "m-2"});
    mesh.ask(bob, line);
    mesh.pass(1_000);
    let got = mesh.take_type(ann, "incoming_message");
    assert_eq!(
        (&got[0]["from"], &got[0]["reply_to"]),
        (&json!(bob_there), &json!("m-1"))
    );
    let why = mesh.ask(ann, json!({"type": "why", "msg_id": "m-1"}));
    assert_eq!(why["trace"]["state"], "read", "{why}");
}

#[test]
fn messages_for_a_hub_that_is_away_arrive_once_and_in_order() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    let to = format!("bob@{}", mesh.status(1)["hub_id"].as_str().unwrap());
    mesh.partition(vec![0, 1]);
    mesh.pass(A_WHILE);
    let texts: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    for text in &texts {
        let ack = mesh.ask(ann, json!({"type": "send", "to": to, "text": text}));
        assert_eq!(ack["state"], "outbox", "{ack}");
    }
    assert_eq!(mesh.status(0)["hubs"][0]["outbox"], 600);
    mesh.heal();
    mesh.pass(50);
    mesh.partition(vec![0, 1]); // perhaps in the middle of it
    mesh.pass(A_WHILE);
    mesh.heal();
    mesh.pass(6 * A_WHILE);
    assert_eq!(mesh.status(0)["hubs"][0]["outbox"], 0);
    let mut read = Vec::new();
    while read.len() < texts.len() {
        let page = mesh.inbox(bob);
        assert!(!page.is_empty(), "{} of {}", read.len(), texts.len());
        read.extend(page);
    }
    assert_eq!(read, texts);
}

#[test]
fn watchers_hear_that_mail_waits_and_that_it_waits_no_more() {
    let mut mesh = Mesh::formed(2);
    let (ann, _bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    let to = format!("bob@{}", mesh.status(1)["hub_id"].as_str().unwrap());
    mesh.ask(ann, json!({"type": "watch"}));
    mesh.partition(vec![0, 1]);
    mesh.pass(A_WHILE);
    let heard_after = |mesh: &mut Mesh, ms| {
        mesh.pass(ms);
        !mesh.take_type(ann, "status_changed").is_empty()
    };
    heard_after(&mut mesh, 1_000);
    mesh.ask(ann, json!({"type": "send", "to": to, "text": "hello"}));
    assert!(heard_after(&mut mesh, 1_000), "into the outbox");
    mesh.heal();
    mesh.pass(A_WHILE);
    heard_after(&mut mesh, 1_000);
    mesh.ask(ann, json!({"type": "send", "to": to, "text": "hello"}));
    assert!(heard_after(&mut mesh, 1_000), "out of it");
    mesh.ask(ann, json!({"type": "send", "to": "carol", "text": "hello"}));
    assert!(heard_after(&mut mesh, 1_000), "into a mailbox here");
}

#[test]
fn an_unknown_hub_is_told_at_once_with_a_hint() {
    let mut mesh = Mesh::formed(2);
    let ann = mesh.session(0, "ann");
    let there = mesh.status(1)["hub_id"].as_str().unwrap().to_owned();
    let answer = mesh.ask(
        ann,
        json!({"type": "send", "to": format!("bob@{there}x"), "text": "x"}),
    );
    assert_eq!(answer["code"], "peer_not_found");
    let hint = format!("bob@{there}\"");
    assert!(
        answer["message"].as_str().unwrap().contains(&hint),
        "{answer}"
    );
    let answer = mesh.ask(
        ann,
        json!({"type": "send", "to": format!("nobody@{there}"), "text": "x"}),
    );
    assert_eq!(answer["state"], "unknown", "{answer}");
}

#[test]
fn an_answer_finds_a_sender_that_was_renamed_meanwhile() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    let to = format!("bob@{}", mesh.status(1)["hub_id"].as_str().unwrap());
    mesh.ask(
        ann,
        json!({"type": "send", "to": to, "text": "hi", "msg_id": "m-1"}),
    );
    mesh.ask(ann, json!({"type": "rename", "new_name": "anna"}));
    mesh.ask(
        bob,
        json!({"type": "reply", "ask_id": "m-1", "text": "hello"}),
    );
    mesh.pass(1_000);
    assert_eq!(mesh.inbox(ann), ["hello"]);
}

#[test]
fn a_hub_whose_ticket_ended_can_make_a_mesh_of_its_own() {
    let mut mesh = Mesh::new(2, 1);
    let ticket = mesh.command(0, json!({"type": "invite", "expires_s": 60}));
    mesh.partition(vec![0, 1]);
    mesh.join(1, ticket["ticket"].as_str().unwrap());
    let early = mesh.command(1, json!({"type": "invite"}));
    assert_eq!(early["code"], "not_member", "{early}");
    mesh.pass(61_000);
    let own = mesh.command(1, json!({"type": "invite"}));
    assert_eq!(own["created"], true, "{own}");
    assert_eq!(mesh.status(1)["mesh"]["admitted"], true);
}
