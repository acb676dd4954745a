//! A node's beginning and end: one per data directory, clean files, clear refusals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_node::store::SCHEMA_VERSION;
use ecorelay_node::{ExitReason, NodeError};
use rusqlite::Connection;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use support::{Home, soon};

async fn refusal(home: &Home) -> NodeError {
    let start = soon("a refusal", home.builder().start()).await;
    start.expect_err("the node must not start")
}

#[tokio::test]
async fn a_second_node_is_refused_and_says_who_runs() {
    let home = Home::new();
    let _node = home.start().await;
    let error = refusal(&home).await;
    let own = std::process::id();
    assert!(
        matches!(error, NodeError::AlreadyRunning { pid: Some(pid), .. } if pid == own),
        "{error}"
    );
    assert!(home.client().await.is_answered().await);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_the_own_one_removed() {
    let home = Home::new();
    std::fs::create_dir(home.root()).unwrap();
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    drop(UnixListener::bind(home.dir().socket()).unwrap());
    assert!(home.dir().socket().exists());
    let node = home.start().await;
    assert!(home.client().await.is_answered().await);
    let mode = std::fs::metadata(home.dir().socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        soon("the end", node.stop()).await.unwrap(),
        ExitReason::Stopped
    );
    assert!(!home.dir().socket().exists());
    let log = home.root().join("relay.db-wal");
    assert!(!log.exists(), "a clean end leaves no log of the store");
}

#[tokio::test]
async fn a_hub_whose_files_were_taken_away_ends_and_leaves_the_next_one_alone() {
    for whole in [true, false] {
        let home = Home::new();
        let mut node = home.start().await;
        let mut client = home.registered("a", "6").await;
        if whole {
            std::fs::remove_dir_all(home.root()).unwrap();
        } else {
            std::fs::remove_file(home.dir().store()).unwrap();
        }
        // Where the lock is gone too, the next hub need not wait.
        let early = if whole {
            Some(home.start().await)
        } else {
            None
        };
        let error = soon("the end", node.wait()).await.unwrap_err();
        assert!(matches!(error, NodeError::FileLost { .. }), "{error}");
        client.closed().await;
        let _next = match early {
            Some(next) => next,
            None => home.start().await,
        };
        assert!(home.client().await.is_answered().await);
        let log = home.root().join("relay.db-wal");
        assert!(log.exists(), "the next hub's log is its own");
    }
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_kept() {
    let home = Home::new();
    let node = home.start().await;
    soon("the end", node.stop()).await.unwrap();
    std::fs::write(home.dir().socket(), "mine").unwrap();
    let error = refusal(&home).await;
    assert!(matches!(error, NodeError::Socket { .. }), "{error}");
    assert_eq!(std::fs::read(home.dir().socket()).unwrap(), b"mine");
    // The refusal has let go of everything.
    std::fs::remove_file(home.dir().socket()).unwrap();
    home.start().await;
}

#[tokio::test]
async fn a_socket_whose_file_was_taken_away_comes_back() {
    let home = Home::new();
    let _node = home.start().await;
    let mut client = home.registered("a", "5").await;
    std::fs::remove_file(home.dir().socket()).unwrap();
    soon("the socket", async {
        while !home.dir().socket().exists() {
            assert!(client.is_answered().await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(home.client().await.is_answered().await);
}

#[tokio::test]
async fn a_newer_or_damaged_store_is_refused_and_kept() {
    let home = Home::new();
    let node = home.start().await;
    soon("the end", node.stop()).await.unwrap();
    let store = home.dir().store();
    let good = std::fs::read(&store).unwrap();
    Connection::open(&store)
        .unwrap()
        .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
        .unwrap();
    let newer = std::fs::read(&store).unwrap();
    let error = refusal(&home).await.to_string();
    assert!(error.contains("newer ecorelay"), "{error}");
    assert!(std::fs::read(&store).unwrap() == newer);

    std::fs::write(&store, "not a store".repeat(1_000)).unwrap();
    let error = refusal(&home).await.to_string();
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(std::fs::read(&store).unwrap(), b"not a store".repeat(1_000));

    std::fs::write(&store, good).unwrap();
    home.start().await;
}

#[tokio::test]
async fn a_folder_that_others_can_write_into_is_refused() {
    let home = Home::new();
    std::fs::create_dir(home.root()).unwrap();
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o770)).unwrap();
    let error = refusal(&home).await.to_string();
    assert!(error.contains("chmod 700"), "{error}");
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_is_refused() {
    let home = Home::new();
    let dir = home.dir().with_socket(home.root().join("x".repeat(120)));
    let start = home.builder().data_dir(dir).start().await;
    let error = start.expect_err("no such socket can be made").to_string();
    assert!(error.contains("RELAY_HUB_SOCKET"), "{error}");
}

#[tokio::test]
async fn it_ends_when_nobody_needs_it_and_not_before() {
    let home = Home::new();
    let builder = home.builder().idle_exit(Duration::from_millis(300));
    let mut node = soon("the node", builder.start()).await.unwrap();
    let client = home.registered("a", "5").await;
    let early = tokio::time::timeout(Duration::from_secs(4), node.wait()).await;
    assert!(early.is_err(), "it ended under a session");
    drop(client);
    let exit = soon("the end", node.wait()).await.unwrap();
    assert_eq!(exit, ExitReason::Idle);
    assert!(!home.dir().socket().exists());
}

#[tokio::test]
async fn a_client_can_end_it() {
    let home = Home::new();
    let mut node = home.start().await;
    let mut client = home.registered("a", "6").await;
    client.send(json!({ "type": "stop", "req_id": "s" })).await;
    assert_eq!(client.line_of("ack").await["req_id"], "s");
    client.closed().await;
    let exit = soon("the end", node.wait()).await.unwrap();
    assert_eq!(exit, ExitReason::Stopped);
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_hold_up_the_end() {
    let home = Home::new();
    let node = home.start().await;
    let _slow = home.registered("slow", "5").await;
    let mut alice = home.registered("alice", "5").await;
    for _ in 0..40 {
        let text = "x".repeat(50_000);
        alice
            .ask(json!({ "type": "send", "to": "slow", "text": text }))
            .await;
    }
    let stop = tokio::time::timeout(Duration::from_secs(10), node.stop()).await;
    stop.expect("it must end in two seconds").unwrap();
}

#[tokio::test]
async fn a_store_that_fails_refuses_warns_and_recovers() {
    let home = Home::new();
    let node = home.start().await;
    drop(home.registered("bob", "6").await);
    let mut alice = home.registered("alice", "6").await;
    // Whoever else holds the write lock is as good as a broken disk.
    let other = Connection::open(home.dir().store()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let send = || json!({ "type": "send", "to": "bob", "text": "x" });
    let refused = alice.ask(send()).await;
    assert_eq!(refused["code"], "mailbox_error", "{refused}");
    let status = soon("the status", node.status()).await.unwrap();
    assert_eq!(status["warnings"][0]["code"], "store_failing", "{status}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(alice.ask(send()).await["type"], "send_ack");
    let status = soon("the status", node.status()).await.unwrap();
    assert_eq!(status["warnings"], json!([]), "{status}");
    let mut bob = home.registered("bob", "6").await;
    let page = bob.ask(json!({ "type": "inbox" })).await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{page}");
}
