//! Sessions of the embedding program.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_node::{Session, SessionError};
use ecorelay_protocol::{DeliveryState, ErrorCode, HubLine, SendStatus};
use futures_util::future::join_all;
use support::{Home, soon};

async fn push(session: &Session) -> HubLine {
    soon("a push", session.next_push()).await.unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, SessionError>) -> ErrorCode {
    match result {
        Err(SessionError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_taken_push_is_delivered_and_an_untaken_one_waits() {
    let home = Home::new();
    let node = home.start().await;
    let a = node.session("a").agent("test").register().await.unwrap();
    let b = node.session("b").cwd("/src").register().await.unwrap();
    let (sent, pushed) = tokio::join!(a.send("b", "taken"), push(&b));
    let sent = sent.unwrap();
    assert_eq!(sent.status, SendStatus::Delivered);
    let HubLine::IncomingMessage { received, .. } = pushed else {
        panic!("{pushed:?}")
    };
    assert_eq!(
        (received.text.as_str(), &received.msg_id),
        ("taken", &sent.msg_id)
    );

    let waiting = a.send("b", "not taken").await.unwrap();
    assert_eq!(waiting.status, SendStatus::Queued);
    assert_eq!(waiting.state, Some(DeliveryState::Stored));
    let page = b.inbox(10).await.unwrap();
    assert!(b.inbox(10).await.unwrap().messages.is_empty());
    assert!(page.messages.iter().any(|m| m.msg_id == waiting.msg_id));

    let (reply, pushed) = tokio::join!(b.reply(&sent.msg_id, "answer"), push(&a));
    assert_eq!(reply.unwrap().status, SendStatus::Delivered);
    let HubLine::IncomingMessage { reply_to, .. } = pushed else {
        panic!("{pushed:?}")
    };
    assert_eq!(reply_to, Some(sent.msg_id));
    let peers = a.peers().await.unwrap();
    assert_eq!(peers[0].cwd, "/src");
}

#[tokio::test]
async fn a_push_that_was_taken_right_before_the_end_does_not_come_again() {
    let home = Home::new();
    let node = home.start().await;
    let a = node.session("a").register().await.unwrap();
    let b = node.session("b").register().await.unwrap();
    let (sent, _) = tokio::join!(a.send("b", "before the end"), push(&b));
    assert_eq!(sent.unwrap().status, SendStatus::Delivered);
    soon("the end", node.stop()).await.unwrap();

    let node = home.start().await;
    let a = node.session("a").register().await.unwrap();
    let b = node.session("b").register().await.unwrap();
    let (_, pushed) = tokio::join!(a.send("b", "after it"), push(&b));
    let HubLine::IncomingMessage { received, .. } = pushed else {
        panic!("{pushed:?}")
    };
    assert_eq!(received.text, "after it");
}

#[tokio::test]
async fn rooms_asks_groups_and_renames_work() {
    let home = Home::new();
    let node = home.start().await;
    let a = node.session("a").register().await.unwrap();
    let mut b = node.session("b").register().await.unwrap();
    a.join("den").await.unwrap();
    assert_eq!(b.join("den").await.unwrap(), ["a", "b"]);
    // A room message counts as delivered when the member has taken it.
    let (delivered, pushed) = tokio::join!(a.room("den", "hi"), push(&b));
    assert_eq!(delivered.unwrap(), 1);
    assert!(matches!(pushed, HubLine::IncomingRoomMsg { text, .. } if text == "hi"));
    assert_eq!(a.rooms().await.unwrap()[0].members.len(), 2);
    b.leave("den").await.unwrap();

    let (_, asked) = a.broadcast("who?").await.unwrap();
    assert_eq!(asked, 1);
    let HubLine::IncomingAsk { ask_id, .. } = push(&b).await else {
        panic!("no ask")
    };
    let (_, answer) = tokio::join!(b.reply(&ask_id, "me"), push(&a));
    assert!(
        matches!(answer, HubLine::IncomingReply { .. }),
        "{answer:?}"
    );

    a.group_create("team", &["b"]).await.unwrap();
    a.group_send("team", "plan").await.unwrap();
    let history = b.group_history("team", 10).await.unwrap();
    assert!(history.messages.iter().any(|m| m.text == "plan"));
    b.rename("c").await.unwrap();
    assert_eq!(b.name(), "c");
    let info = a.group_info("team").await.unwrap();
    assert!(info.members.iter().any(|m| m.name == "c"));
    assert_eq!(code(b.group_delete("team").await), ErrorCode::NotAdmin);
    a.group_remove("team", "c", "done").await.unwrap();
    a.group_invite("team", "c").await.unwrap();
    assert_eq!(b.groups().await.unwrap()[0].name, "team");
    b.group_leave("team").await.unwrap();
    a.group_delete("team").await.unwrap();
}

#[tokio::test]
async fn refusals_and_the_end_are_told() {
    let home = Home::new();
    let node = home.start().await;
    let a = node.session("a").register().await.unwrap();
    assert_eq!(
        code(node.session("a").register().await.map(|_| ())),
        ErrorCode::NameTaken
    );
    let second = node.session("a").or_next_free().register().await.unwrap();
    assert_eq!(second.name(), "a-2");
    assert_eq!(code(a.inbox(500).await), ErrorCode::BadArgs);
    let large = "x".repeat(600_000);
    assert_eq!(code(a.send("a-2", &large).await), ErrorCode::TooLarge);
    // A session that is dropped gives its name free.
    drop(second);
    soon("the name", async {
        while node.session("a-2").register().await.is_err() {}
    })
    .await;
    soon("the end", node.stop()).await.unwrap();
    assert_eq!(a.send("b", "x").await, Err(SessionError::Ended));
    assert_eq!(soon("the end", a.next_push()).await, None);
}

#[tokio::test]
async fn a_session_that_takes_no_pushes_still_gets_answers() {
    let home = Home::new();
    let node = home.start().await;
    let a = node.session("a").register().await.unwrap();
    let b = node.session("b").register().await.unwrap();
    a.join("den").await.unwrap();
    b.join("den").await.unwrap();
    let noise = (0..1_500).map(|_| a.room("den", "noise"));
    for sent in soon("the answers", join_all(noise)).await {
        sent.unwrap();
    }
    assert_eq!(b.inbox(1).await.unwrap().remaining, 0);
    assert!(matches!(push(&b).await, HubLine::IncomingRoomMsg { .. }));
    let status = soon("the status", node.status()).await.unwrap();
    for key in [
        "peer_id",
        "version",
        "data_dir",
        "pid",
        "started",
        "store_path",
        "socket",
        "ws",
    ] {
        assert!(status.get(key).is_some(), "{key}: {status}");
    }
    assert_eq!(status["hub_id"], node.hub_id().as_str());
}
