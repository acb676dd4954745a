//! The real Claude Code: two interactive sessions on one hub, each with a model of its own
//! that says what a test wants. Nothing but loopback is reachable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::sync::Mutex;
use support::claude::{self, ClaudeSession};
use support::home::{TestHome, kill_hub_of};
use support::mock_model::{MockModel, Reply};
use support::raw::RawClient;
use support::{offline, wait_until};

#[test]
fn two_sessions_talk_and_a_killed_hub_does_not_part_them() {
    let test = "two_sessions_talk_and_a_killed_hub_does_not_part_them";
    let Some(program) = claude::find(test) else {
        return;
    };
    offline::offline(test, || {
        let home = TestHome::new();
        let alice = ClaudeSession::start(&program, &home, "alice", asks_bob());
        let bob = ClaudeSession::start(&program, &home, "bob", answers(home.path()));
        wait_for_peers(&home, &["alice", "bob"]);

        exchange(&alice, &bob, "first");
        home.kill_hub();
        wait_for_peers(&home, &["alice", "bob"]);
        exchange(&alice, &bob, "second");
        // This time the hub dies between the question and the answer.
        exchange(&alice, &bob, FATAL);
    });
}

/// The topic of the question that kills the hub.
const FATAL: &str = "fatal";

/// How the line begins that the hub writes above a message of alice's.
const HEADER: &str = "[ecorelay] message from alice (";

/// Lets alice's person start an exchange about `topic` and follows it to the end.
fn exchange(alice: &ClaudeSession, bob: &ClaudeSession, topic: &str) {
    let (asked, answered) = (alice.model.turns(), bob.model.turns());
    alice.type_prompt(&format!("please ask bob about the {topic} port"));

    let sent = format!("which port is the {topic} one?");
    let (_, turn) = bob
        .model
        .wait_for("alice's message", answered, |newest| newest.contains(&sent));
    let header = line_with(&turn.newest, HEADER);
    assert!(header.contains("to answer: relay_reply"), "{header}");
    assert!(
        turn.newest
            .contains(&format!("<<<peer-text\n{sent}\npeer-text>>>")),
        "the text is fenced: {}",
        turn.newest
    );
    let (_, turn) = bob
        .model
        .wait_for("the result of bob's answer", answered, |newest| {
            newest.contains("[tool_result]")
        });
    assert!(turn.newest.contains("\"ok\":true"), "{}", turn.newest);

    let answer = format!("the {topic} port is 8080");
    let (_, turn) = alice
        .model
        .wait_for("bob's answer", asked, |newest| newest.contains(&answer));
    line_with(&turn.newest, "[ecorelay] message from bob (");
    let (_, turn) = alice
        .model
        .wait_for("the result of alice's send", asked, |newest| {
            newest.contains("[tool_result]")
        });
    assert!(turn.newest.contains("\"ok\":true"), "{}", turn.newest);
}

/// Alice's model: sends a question to bob when the person says so.
fn asks_bob() -> MockModel {
    MockModel::start(
        |newest| match between(newest, "ask bob about the ", " port") {
            Some(topic) => Reply::Tool {
                name: "mcp__ecorelay__relay_send".into(),
                input: json!({"to": "bob", "text": format!("which port is the {topic} one?")}),
            },
            None => Reply::Text("Noted.".into()),
        },
    )
}

/// Bob's model: answers each question once, by the id in its header line. Before it answers the
/// [`FATAL`] one, it kills the hub.
fn answers(home: &Path) -> MockModel {
    let home = home.to_owned();
    let done = Mutex::new(Vec::new());
    MockModel::start(move |newest| {
        let header = newest.lines().find(|line| line.contains(HEADER));
        let id = header.and_then(|line| between(line, "ask_id \"", "\""));
        let topic = between(newest, "which port is the ", " one?");
        let (Some(id), Some(topic)) = (id, topic) else {
            return Reply::Text("Noted.".into());
        };
        let mut done = done.lock().expect("the list of answered ids");
        if done.iter().any(|known| known == id) {
            return Reply::Text("Answered before.".into());
        }
        done.push(id.to_owned());
        if topic == FATAL {
            kill_hub_of(&home);
        }
        Reply::Tool {
            name: "mcp__ecorelay__relay_reply".into(),
            input: json!({"ask_id": id, "text": format!("the {topic} port is 8080")}),
        }
    })
}

/// Waits until the hub of this home has sessions of these names.
fn wait_for_peers(home: &TestHome, names: &[&str]) {
    wait_until(&format!("the sessions {names:?} on the hub"), || {
        let mut client = RawClient::try_connect(&home.socket())?;
        let answer = client.try_request(json!({"type": "list_peers"}))?;
        let peers = answer["peers"].as_array()?;
        let here = |name: &&str| peers.iter().any(|peer: &Value| peer["name"] == **name);
        names.iter().all(here).then_some(())
    });
}

/// Returns the line of `text` that holds `part`.
fn line_with<'t>(text: &'t str, part: &str) -> &'t str {
    match text.lines().find(|line| line.contains(part)) {
        Some(line) => line,
        None => panic!("no line with {part:?} in: {text}"),
    }
}

/// Returns what stands between `before` and `after`.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}
