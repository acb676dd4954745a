//! Starting hubs: one winner, however many start at once on a stale socket.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::DEADLINE;
use common::hub::FakeHub;
use ecorelay_config::DataDir;
use ecorelay_mcp_channel::client::{ClientError, HubClient, StartHub, ensure_hub};
use serde_json::json;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Set in a process of this test that plays a hub.
const PLAY_HUB: &str = "ECORELAY_TEST_PLAY_HUB";

/// Not a test of its own: the process a client starts as its hub. Notes its start in the data
/// directory and lives until the file `stop` appears there.
#[test]
fn play_hub() {
    if std::env::var_os(PLAY_HUB).is_none() {
        return;
    }
    let dir = std::env::var_os("ECORELAY_DATA_DIR").unwrap();
    let dir = Path::new(&dir);
    std::fs::write(dir.join(format!("started-{}", std::process::id())), "").unwrap();
    let _hub = FakeHub::start(dir);
    let begun = std::time::Instant::now();
    while dir.exists() && !dir.join("stop").exists() && begun.elapsed() < DEADLINE {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn play_hub_process() -> StartHub {
    StartHub {
        program: "env".into(),
        args: [
            format!("{PLAY_HUB}=1"),
            std::env::current_exe().unwrap().display().to_string(),
            "--exact".into(),
            "play_hub".into(),
        ]
        .map(Into::into)
        .to_vec(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn eight_clients_on_a_stale_socket_end_on_one_hub() {
    let dir = tempfile::tempdir().unwrap();
    // A hub that was killed leaves its socket behind.
    drop(UnixListener::bind(dir.path().join("hub.sock")).unwrap());
    let (data, how) = (DataDir::at(dir.path()), play_hub_process());
    runtime().block_on(async {
        let mut starting = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (data, how) = (data.clone(), how.clone());
            starting.spawn(async move { ensure_hub(&data, &how).await.unwrap() });
        }
        let streams = starting.join_all().await;
        assert_eq!(streams.len(), 8);
    });
    let started = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("started-")
        })
        .count();
    assert_eq!(started, 1);
    std::fs::write(dir.path().join("stop"), "").unwrap();
}

#[test]
fn a_hub_that_cannot_start_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path().join("data"));
    let how = |script: &str| StartHub {
        program: "sh".into(),
        args: ["-c", script].map(Into::into).to_vec(),
    };
    runtime().block_on(async {
        let error = ensure_hub(&data, &how("echo no space left >&2; exit 3"))
            .await
            .unwrap_err();
        let ClientError::HubCannotStart(words) = &error else {
            panic!("{error:?}")
        };
        assert!(
            words.contains("no space left") && words.contains('3'),
            "{words}"
        );
        let none = StartHub {
            program: "/nowhere/ecorelay".into(),
            args: Vec::new(),
        };
        let error = ensure_hub(&data, &none).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/ecorelay"), "{error}");
    });
}

#[test]
fn what_is_not_a_hub_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("hub.sock")).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            // The client may hang up first.
            let _ = connection.read(&mut [0; 256]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let data = DataDir::at(dir.path());
    runtime().block_on(async {
        let error = ensure_hub(&data, &play_hub_process()).await.unwrap_err();
        assert!(error.to_string().contains("not an EcoRelay hub"), "{error}");
        let error = HubClient::connect(&data).await.unwrap_err();
        assert!(matches!(error, ClientError::HubUnreachable(_)));
    });
}

#[test]
fn a_socket_path_that_is_too_long_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::at(dir.path().join("x".repeat(120)));
    runtime().block_on(async {
        let error = ensure_hub(&data, &StartHub::default()).await.unwrap_err();
        assert!(error.to_string().contains("RELAY_HUB_SOCKET"), "{error}");
    });
}

#[test]
fn a_client_matches_answers_with_requests_and_sees_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let data = DataDir::at(dir.path());
    runtime().block_on(async {
        let (client, mut pushes) = HubClient::connect(&data).await.unwrap();
        let both = async {
            let (a, b) = (json!({"type": "list_rooms"}), json!({"type": "group_list"}));
            tokio::join!(client.request(&a), client.request(&b))
        };
        let answering = tokio::task::spawn_blocking(move || {
            let (mut first, mut second) = (hub.asked(), hub.asked());
            if first.line["type"] == "group_list" {
                std::mem::swap(&mut first, &mut second);
            }
            second.answer(json!({"type": "group_list_result", "groups": []}));
            first.push(&json!({"type": "status_changed"}));
            first.answer(json!({"type": "rooms_list", "rooms": []}));
            hub
        });
        let (rooms, groups) = both.await;
        assert!(format!("{rooms:?}").contains("RoomsList"));
        assert!(format!("{groups:?}").contains("GroupListResult"));
        assert!(format!("{:?}", pushes.next().await).contains("StatusChanged"));
        answering.await.unwrap().kill();
        client.closed().await;
        assert!(pushes.next().await.is_none());
        let lost = client.request(&json!({"type": "list_rooms"})).await;
        assert_eq!(lost, Err(ClientError::Lost { sent: false }));
    });
}
