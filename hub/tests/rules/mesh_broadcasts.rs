//! Broadcasts across hubs, and the way back of their answers.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use ecorelay_protocol::limits;
use serde_json::{Value, json};

fn ask_all(mesh: &mut Mesh, client: Client, more: &Value) -> Value {
    let mut line = json!({"type":"broadcast","question":"who?","broadcast_id":"b-1"});
    line.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = mesh.ask(client, line);
    mesh.pass(1_000);
    answer
}

/// Returns the one question a session was asked.
fn asked(mesh: &mut Mesh, client: Client) -> Value {
    let mut lines = mesh.take_type(client, "incoming_ask");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn reply(mesh: &mut Mesh, client: Client, ask: &Value, text: &str) -> Value {
    let line = json!({"type":"reply","ask_id":ask["ask_id"],"text":text});
    let answer = mesh.ask(client, line);
    mesh.pass(1_000);
    answer
}

#[test]
fn everyone_is_asked_and_the_answers_come_back() {
    let mut mesh = Mesh::formed(3);
    let asker = mesh.session(0, "asker");
    let b = mesh.session(1, "b");
    let c = mesh.register(2, "c", false);
    let near = mesh.session(0, "near");
    mesh.pass(1_000);
    let ack = ask_all(&mut mesh, asker, &json!({}));
    assert_eq!(
        (&ack["broadcast_id"], &ack["peer_count"]),
        (&json!("b-1"), &json!(3))
    );
    assert_eq!(asked(&mut mesh, near)["ask_id"], "b-1:near");

    let ask = asked(&mut mesh, b);
    assert_eq!(ask["ask_id"], "b-1:b@hub1");
    assert_eq!(ask["broadcast_id"], "b-1");
    assert_eq!(
        (&ask["from"], &ask["origin_hub"]),
        (&json!("asker@hub0"), &json!("hub0"))
    );
    assert_eq!(ask["kind"], "ask");
    reply(&mut mesh, b, &ask, "me");
    let got = mesh.confirm(asker, "handed").remove(0);
    assert_eq!(got["type"], "incoming_reply");
    assert_eq!(
        (&got["from"], &got["text"]),
        (&json!("b@hub1"), &json!("me"))
    );
    assert_eq!(
        (&got["ask_id"], &got["broadcast_id"]),
        (&json!("b-1:b@hub1"), &json!("b-1"))
    );

    let ask = asked(&mut mesh, c);
    assert!(ask.get("kind").is_none());
    reply(&mut mesh, c, &ask, "and me");
    assert_eq!(mesh.take_type(asker, "incoming_reply")[0]["from"], "c@hub2");
    assert!(mesh.take_type(asker, "incoming_ask").is_empty());
}

#[test]
fn a_broadcast_to_the_hub_stays_there() {
    let mut mesh = Mesh::formed(2);
    let asker = mesh.session(0, "asker");
    let (near, far) = (
        mesh.register(0, "near", false),
        mesh.register(1, "far", false),
    );
    mesh.pass(1_000);
    let ack = ask_all(
        &mut mesh,
        asker,
        &json!({"scope":"hub","exclude_self":false}),
    );
    assert_eq!(ack["peer_count"], 2);
    assert_eq!(mesh.take_type(near, "incoming_ask").len(), 1);
    assert!(mesh.take_type(far, "incoming_ask").is_empty());
}

#[test]
fn asking_again_with_the_same_id_asks_nobody_twice() {
    let mut mesh = Mesh::formed(2);
    let asker = mesh.session(0, "asker");
    let (near, far) = (
        mesh.register(0, "near", false),
        mesh.register(1, "far", false),
    );
    mesh.pass(1_000);
    let first = ask_all(&mut mesh, asker, &json!({}));
    mesh.leave(near);
    mesh.pass(1_000);
    assert_eq!(ask_all(&mut mesh, asker, &json!({})), first);
    assert_eq!(mesh.take_type(far, "incoming_ask").len(), 1);
    // After a restart the hub counts who would be there.
    mesh.kill(0);
    mesh.pass(60_000);
    let asker = mesh.session(0, "asker");
    mesh.pass(1_000);
    let again = ask_all(&mut mesh, asker, &json!({}));
    assert_eq!(
        (&again["broadcast_id"], &again["peer_count"]),
        (&json!("b-1"), &json!(1))
    );
    assert!(mesh.take_type(far, "incoming_ask").is_empty());
    let other = mesh.session(0, "other");
    assert_eq!(ask_all(&mut mesh, other, &json!({}))["code"], "bad_args");
    mesh.pass(limits::ASK_MS);
    mesh.pass(2 * 60 * 60_000);
    ask_all(&mut mesh, asker, &json!({}));
    assert_eq!(mesh.take_type(far, "incoming_ask").len(), 1);
}

#[test]
fn an_answer_given_after_restarts_and_a_rename_still_arrives() {
    let mut mesh = Mesh::formed(2);
    let asker = mesh.session(0, "asker");
    let far = mesh.register(1, "far", false);
    mesh.pass(1_000);
    ask_all(&mut mesh, asker, &json!({}));
    let ask = asked(&mut mesh, far);
    mesh.ask(asker, json!({"type":"rename","new_name":"boss"}));
    mesh.leave(asker);
    for at in [0, 1] {
        mesh.kill(at);
        mesh.pass(60_000);
    }
    let far = mesh.register(1, "far", true);
    let sent = reply(&mut mesh, far, &ask, "late");
    assert_eq!(sent["status"], "queued", "{sent}");
    let boss = mesh.session(0, "boss");
    let page = mesh.ask(boss, json!({"type":"inbox"}));
    let got = &page["messages"][0];
    assert_eq!(
        (&got["text"], &got["kind"]),
        (&json!("late"), &json!("reply"))
    );
    assert_eq!(got["ask_id"], ask["ask_id"]);
}

#[test]
fn an_answer_waits_for_a_hub_that_is_away() {
    let mut mesh = Mesh::formed(2);
    let asker = mesh.session(0, "asker");
    let far = mesh.session(1, "far");
    mesh.pass(1_000);
    ask_all(&mut mesh, asker, &json!({}));
    let ask = asked(&mut mesh, far);
    mesh.partition(vec![0, 1]);
    mesh.pass(60_000);
    let sent = reply(&mut mesh, far, &ask, "later");
    assert_eq!(sent["state"], "outbox", "{sent}");
    mesh.heal();
    mesh.pass(60_000);
    assert_eq!(mesh.take_type(asker, "incoming_reply")[0]["text"], "later");
}

#[test]
fn two_hubs_may_use_the_same_id() {
    let mut mesh = Mesh::formed(3);
    let askers: Vec<Client> = (0..2).map(|n| mesh.register(n, "asker", false)).collect();
    let far = mesh.register(2, "far", false);
    mesh.pass(1_000);
    for asker in &askers {
        mesh.machines[asker.machine].write(
            asker.conn,
            &json!({"type":"broadcast","question":"who?","broadcast_id":"b-1"}),
        );
    }
    mesh.pass(1_000);
    let asks = mesh.take_type(far, "incoming_ask");
    assert_eq!(asks.len(), 2);
    for ask in &asks {
        reply(&mut mesh, far, ask, ask["from"].as_str().unwrap());
    }
    for asker in askers {
        let got = mesh.take_type(asker, "incoming_reply").remove(0);
        let me = format!("asker@hub{}", asker.machine);
        assert_eq!(
            (&got["text"], &got["broadcast_id"]),
            (&json!(me), &json!("b-1"))
        );
    }
}

#[test]
fn a_question_that_was_not_taken_waits_in_the_inbox() {
    let mut mesh = Mesh::formed(2);
    let asker = mesh.session(0, "asker");
    let far = mesh.session(1, "far");
    mesh.pass(1_000);
    let large = "x".repeat(300_000);
    ask_all(&mut mesh, asker, &json!({"question":large}));
    assert_eq!(mesh.confirm(far, "refused").len(), 1);
    mesh.pass(1_000);
    let page = mesh.ask(far, json!({"type":"inbox"}));
    let kept = &page["messages"][0];
    assert_eq!(
        (&kept["kind"], &kept["from"]),
        (&json!("ask"), &json!("asker@hub0"))
    );
    reply(&mut mesh, far, kept, "here");
    assert_eq!(mesh.take_type(asker, "incoming_reply")[0]["text"], "here");
}

#[test]
fn a_full_table_of_asks_forgets_the_oldest_of_the_hub_that_fills_it() {
    let mut mesh = Mesh::formed(2);
    let near = mesh.register(1, "near", false);
    let far = mesh.register(1, "far", false);
    mesh.pass(1_000);
    let own = json!({"broadcast_id":"own"});
    ask_all(&mut mesh, near, &own);
    let ask = asked(&mut mesh, far);
    let mut first = Value::Null;
    for n in 0..=limits::HUB_ASKS {
        let asker = mesh.session(0, &format!("s{}", n % 20));
        let line = json!({"type":"broadcast","question":"?","broadcast_id":format!("b{n}")});
        assert_eq!(mesh.ask(asker, line)["type"], "broadcast_ack");
        mesh.leave(asker);
        mesh.pass(2_000);
        let asks = mesh.take_type(far, "incoming_ask");
        assert_eq!(asks.len(), 1, "{n}");
        if n == 0 {
            first = asks[0].clone();
        }
    }
    assert_eq!(reply(&mut mesh, far, &first, "x")["code"], "unknown_ask");
    assert_eq!(reply(&mut mesh, far, &ask, "x")["type"], "send_ack");
    assert_eq!(mesh.take_type(near, "incoming_reply").len(), 1);
}
