//! The real Claude Code on two machines: a session asks one of another hub, which was idle, and
//! gets its answer. Each has a model of its own; nothing but the two machines is reachable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::json;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use support::claude::{self, ClaudeSession};
use support::machine::{Machine, mesh, other};
use support::mock_anthropic::ANTHROPIC;
use support::mock_model::{MockModel, Reply};
use support::netns::Lan;

/// What alice asks.
const QUESTION: &str = "which port does the mesh test use?";
/// What bob answers.
const ANSWER: &str = "the mesh test uses 8080";

#[test]
fn a_question_to_a_session_of_another_hub_is_answered() {
    let test = "a_question_to_a_session_of_another_hub_is_answered";
    let (Some(program), Some(lan)) = (claude::find(test), Lan::new(test)) else {
        return;
    };
    let [mut a, mut b] = mesh(&lan, ["desk", "attic"]);
    let alice = ClaudeSession::start(&program, &a.home, "alice", model_of(&a, asks_bob));
    let answered = AtomicBool::new(false);
    let answers = move |newest: &str| answers_once(newest, &answered);
    let bob = ClaudeSession::start(&program, &b.home, "bob", model_of(&b, answers));
    for (machine, hub) in [(&mut a, "attic"), (&mut b, "desk")] {
        machine.wait_status("the session of the other hub", |status| {
            (other(status, hub)?["sessions"] == 1).then_some(())
        });
    }

    // Bob has said nothing yet: the question wakes an idle session.
    let (asked, before) = (alice.model.turns(), bob.model.turns());
    alice.type_prompt("please ask bob about the port");
    let (_, turn) = bob.model.wait_for("alice's question", before, |newest| {
        newest.contains(QUESTION)
    });
    let header = turn
        .newest
        .lines()
        .find(|line| line.contains("[ecorelay]"))
        .unwrap_or_default();
    assert!(
        header.contains("alice@desk") && header.contains("relay_reply"),
        "{}",
        turn.newest
    );
    assert!(
        turn.newest
            .contains(&format!("<<<peer-text\n{QUESTION}\npeer-text>>>")),
        "{}",
        turn.newest
    );
    let (_, turn) = bob
        .model
        .wait_for("the result of bob's answer", before, |newest| {
            newest.contains("[tool_result]")
        });
    assert!(turn.newest.contains("\"ok\":true"), "{}", turn.newest);

    let (_, turn) = alice
        .model
        .wait_for("bob's answer", asked, |newest| newest.contains(ANSWER));
    assert!(turn.newest.contains("bob@attic"), "{}", turn.newest);
    let (_, turn) = alice
        .model
        .wait_for("the result of alice's send", asked, |newest| {
            newest.contains("[tool_result]")
        });
    assert!(turn.newest.contains("\"ok\":true"), "{}", turn.newest);
}

/// Starts a model on the loopback of a machine.
fn model_of(
    machine: &Machine,
    answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> MockModel {
    let listener = machine.port().enter(|| TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port on the machine's loopback");
    MockModel::start_at(&ANTHROPIC, listener, answer)
}

/// Alice's model: sends the question when the person says so.
fn asks_bob(newest: &str) -> Reply {
    if newest.contains("please ask bob") {
        return Reply::Tool {
            name: "mcp__ecorelay__relay_send".into(),
            input: json!({"to": "bob@attic", "text": QUESTION}),
        };
    }
    Reply::Text("Noted.".into())
}

/// Bob's model: answers the question once, by the id in the line the hub wrote above it.
fn answers_once(newest: &str, answered: &AtomicBool) -> Reply {
    let header = newest
        .lines()
        .find(|line| line.contains("[ecorelay] message from alice@desk"));
    let id = header.and_then(|line| line.split_once("ask_id \"")?.1.split_once('"'));
    match id {
        Some((id, _)) if !answered.swap(true, Ordering::SeqCst) => Reply::Tool {
            name: "mcp__ecorelay__relay_reply".into(),
            input: json!({"ask_id": id, "text": ANSWER}),
        },
        _ => Reply::Text("Noted.".into()),
    }
}
