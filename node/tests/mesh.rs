//! Nodes that are one mesh: what crosses, what waits, what is shown.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_node::{HubLine, NodeError, Session, SessionError};
use ecorelay_protocol::{DeliveryState, ErrorCode, SendStatus};
use serde_json::json;
use support::mesh::{Machine, mesh, next_message, state_of};
use support::soon;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_and_its_reply_cross() {
    let machines = mesh(&["desk", "laptop"]).await;
    let [desk, laptop] = &machines[..] else {
        panic!()
    };
    let ann = desk.session("ann").await;
    let bob = laptop.session("bob").await;
    desk.until_there("bob@laptop").await;

    let (sent, (id, from, text)) =
        tokio::join!(ann.send("bob@laptop", "question"), next_message(&bob));
    let sent = sent.unwrap();
    assert_eq!(
        (sent.status, sent.state),
        (SendStatus::Delivered, Some(DeliveryState::Delivered)),
        "{sent:?}"
    );
    assert_eq!((from.as_str(), text.as_str()), ("ann@desk", "question"));
    assert_eq!(id, sent.msg_id);

    let (replied, (_, from, text)) = tokio::join!(bob.reply(&id, "answer"), next_message(&ann));
    assert_eq!(replied.unwrap().status, SendStatus::Delivered);
    assert_eq!((from.as_str(), text.as_str()), ("bob@laptop", "answer"));

    let unknown = ann.send("bob@nowhere", "x").await.unwrap_err();
    let SessionError::Refused(refusal) = unknown else {
        panic!("{unknown:?}")
    };
    assert_eq!(refusal.code, ErrorCode::PeerNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hub_sees_the_sessions_of_all_others() {
    let machines = mesh(&["a", "b", "c", "d", "e"]).await;
    let mut sessions: Vec<Session> = Vec::new();
    for machine in &machines {
        sessions.push(machine.session("worker").await);
    }
    for (machine, session) in machines.iter().zip(&sessions) {
        for other in machines.iter().filter(|o| o.hub_id() != machine.hub_id()) {
            machine.until_there(&other.address("worker")).await;
        }
        let peers = session.peers().await.unwrap();
        assert_eq!(peers.len(), 4, "{peers:?}");
        let whole =
            |p: &ecorelay_node::PeerInfo| p.cwd == "/src" && p.agent.as_deref() == Some("test");
        assert!(peers.iter().all(whole), "{peers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_for_a_hub_that_is_away_arrives_once_and_in_order() {
    let mut machines = mesh(&["desk", "laptop"]).await;
    let ann = machines[0].session("ann").await;
    let bob = machines[1].session("bob").await;
    machines[0].until_there("bob@laptop").await;
    drop(bob);
    machines[1].kill().await;
    machines[0].until_away(&machines[1]).await;

    for n in 0..100 {
        let sent = ann.send("bob@laptop", &format!("text {n}")).await.unwrap();
        assert_eq!(sent.status, SendStatus::Queued);
        assert_eq!(sent.state, Some(DeliveryState::Outbox), "{sent:?}");
    }
    // The sender's hub goes as well: what it has accepted is on its disk.
    drop(ann);
    machines[0].kill().await;
    machines[1].start().await;
    machines[0].start().await;
    machines[0].until_linked(&machines[1]).await;
    let sent = |status: &serde_json::Value| status["hubs"][0]["outbox"] == json!(0);
    machines[0].until("an empty outbox", sent).await;

    let bob = machines[1].session("bob").await;
    assert_eq!(all_mail(&bob).await, texts(0..100));
    // Once more from the beginning: nothing comes twice.
    drop(bob);
    machines[1].kill().await;
    machines[1].start().await;
    machines[1].until_linked(&machines[0]).await;
    let bob = machines[1].session("bob").await;
    assert_eq!(all_mail(&bob).await, texts(0..0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_dies_in_the_middle_loses_nothing() {
    let mut machines = mesh(&["desk", "laptop"]).await;
    let ann = machines[0].session("ann").await;
    drop(machines[1].session("bob").await);
    for n in 0..300 {
        if n % 100 == 50 {
            // In the middle of the stream, whatever is on its way.
            machines[1].kill().await;
            machines[1].start().await;
        }
        ann.send("bob@laptop", &format!("text {n}")).await.unwrap();
    }
    let sent = |status: &serde_json::Value| status["hubs"][0]["outbox"] == json!(0);
    machines[0].until("an empty outbox", sent).await;
    let bob = machines[1].session("bob").await;
    assert_eq!(all_mail(&bob).await, texts(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_keeps_its_address_and_its_mesh_over_a_restart() {
    let mut machines = mesh(&["desk", "laptop"]).await;
    let before = machines[0].node().status().await.unwrap();
    machines[0].kill().await;
    machines[1].until_away(&machines[0]).await;
    machines[0].start().await;
    machines[0].until_linked(&machines[1]).await;
    let after = machines[0].node().status().await.unwrap();
    assert!(before["mesh"]["addresses"][0].is_string(), "{before}");
    assert_eq!(before["mesh"]["addresses"], after["mesh"]["addresses"]);
    assert_eq!(state_of(&after, "laptop"), "direct");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_and_a_broadcast_reach_the_whole_mesh() {
    let machines = mesh(&["a", "b", "c"]).await;
    let mut sessions = Vec::new();
    for machine in &machines {
        let session = machine.session("worker").await;
        soon("the room", session.join("lobby")).await.unwrap();
        sessions.push(session);
    }
    for machine in &machines {
        for other in machines.iter().filter(|o| o.hub_id() != machine.hub_id()) {
            machine.until_there(&other.address("worker")).await;
        }
        let full = |status: &serde_json::Value| {
            status["rooms"][0]["members"].as_array().map(Vec::len) == Some(3)
        };
        machine.until("a full room", full).await;
    }
    let delivered = soon("the room", sessions[0].room("lobby", "hello")).await;
    assert_eq!(delivered.unwrap(), 2);
    for session in &sessions[1..] {
        let HubLine::IncomingRoomMsg { from, text, .. } = next_push(session).await else {
            panic!("not a room message")
        };
        assert_eq!((from.as_str(), text.as_str()), ("worker@a", "hello"));
    }
    let (_, asked) = soon("the ask", sessions[2].broadcast("who?"))
        .await
        .unwrap();
    assert_eq!(asked, 2);
    for session in &sessions[..2] {
        let HubLine::IncomingAsk { ask_id, from, .. } = next_push(session).await else {
            panic!("not an ask")
        };
        assert_eq!(from, "worker@c");
        soon("the answer", session.reply(&ask_id, "me"))
            .await
            .unwrap();
        let HubLine::IncomingReply { received, .. } = next_push(&sessions[2]).await else {
            panic!("not an answer")
        };
        assert_eq!(received.text, "me");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_hub_that_made_a_mesh_can_join_another() {
    let desk = Machine::new("desk").await;
    let mut laptop = Machine::new("laptop").await;
    let invite = || ecorelay_node::InviteOptions::default();
    let first = soon("a ticket", laptop.node().invite(invite()))
        .await
        .unwrap();
    assert!(first.created);
    let key = key_file(&laptop).await;
    laptop.join(&desk).await;
    let joined = std::fs::read_to_string(laptop.dir().mesh_key()).unwrap();
    assert_ne!(key, joined);
    assert_eq!(
        joined,
        std::fs::read_to_string(desk.dir().mesh_key()).unwrap()
    );
    laptop.kill().await;
    laptop.start().await;
    laptop.until_linked(&desk).await;
}

/// Returns the key file of a machine, which is written soon after its hub has the key on disk.
async fn key_file(machine: &Machine) -> String {
    let path = machine.dir().mesh_key();
    let written = async {
        loop {
            match std::fs::read_to_string(&path) {
                Ok(key) => return key,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    };
    soon("the key file", written).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_is_gone_is_made_again_and_a_damaged_one_refused() {
    let mut machines = mesh(&["desk", "laptop"]).await;
    machines[1].kill().await;
    let path = machines[1].dir().mesh_key();
    let key = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    let error = machines[1].builder().start().await.unwrap_err();
    assert!(matches!(error, NodeError::MeshKey(_)), "{error}");
    let told = error.to_string();
    let name = path.display().to_string();
    assert!(
        told.contains(&name) && told.contains("Move it away"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense");

    std::fs::remove_file(&path).unwrap();
    machines[1].start().await;
    machines[1].until_linked(&machines[0]).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_port_that_is_taken_is_a_warning_and_a_free_one_is_used() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", other.local_addr().unwrap().port());
    let desk = Machine::new("desk").await;
    let laptop = Machine::new("laptop").await;
    laptop.join(&desk).await;
    let mut desk = desk;
    desk.kill().await;
    let builder = desk.builder().listen([address]);
    let node = soon("a node", builder.start()).await.unwrap();
    let status = node.status().await.unwrap();
    let warnings = status["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|w| w["code"] == "mesh_port_taken");
    let warning = warning.unwrap_or_else(|| panic!("{status}"));
    assert!(warning["remedy"].as_str().unwrap().contains("mesh.listen"));
    laptop.until_linked(&desk).await;
    node.stop().await.unwrap();
}

async fn next_push(session: &Session) -> HubLine {
    soon("a push", session.next_push()).await.unwrap()
}

/// Returns the texts of all unread mail.
async fn all_mail(session: &Session) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let page = soon("mail", session.inbox(100)).await.unwrap();
        texts.extend(page.messages.into_iter().map(|m| m.text));
        if page.remaining == 0 {
            return texts;
        }
    }
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("text {n}")).collect()
}
