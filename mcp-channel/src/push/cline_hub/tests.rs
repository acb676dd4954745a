//! The way through Cline's hub against hubs made up for each test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::push::test_parcel::parcel;
use ecorelay_protocol::PushResult;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as Asked, Response,
};

const TOKEN: &str = "cline-hub-auth.a1b2";
/// When the channels of these tests began.
const BORN: u64 = 1_000_000;

/// Starts a hub; `answer` gives its payload, or its words of refusal, for each command. Returns
/// the way to it.
async fn hub(
    folder: &Path,
    answer: impl Fn(&str) -> Result<Value, &'static str> + Send + 'static,
) -> ClineHubPath {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            #[allow(clippy::result_large_err)] // the library's type
            let accept = |asked: &Asked, mut response: Response| -> Result<_, ErrorResponse> {
                let protocol = asked.headers()["sec-websocket-protocol"].clone();
                assert_eq!(protocol, TOKEN);
                response
                    .headers_mut()
                    .insert("sec-websocket-protocol", protocol);
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, accept).await.unwrap();
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let asked: Value = serde_json::from_str(&text).unwrap();
                let mut reply = json!({"requestId": asked["envelope"]["requestId"]});
                match answer(asked["envelope"]["command"].as_str().unwrap()) {
                    Ok(payload) => {
                        reply["ok"] = true.into();
                        reply["payload"] = payload;
                    }
                    Err(why) => reply["error"] = json!({"message": why}),
                }
                for frame in [
                    json!({"kind": "event", "envelope": {}}),
                    json!({"kind": "reply", "envelope": reply}),
                ] {
                    let _ = socket.send(Message::text(frame.to_string())).await;
                }
            }
        }
    });
    let file = folder.join("production.json");
    let record = json!({
        "pid": 77, "host": "127.0.0.1", "port": port, "authToken": "a1b2",
        "url": format!("ws://127.0.0.1:{port}/hub"),
    });
    std::fs::write(&file, record.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    ClineHubPath {
        around: Surroundings {
            cline_hub: Some(file),
            parent: 77,
            ..Surroundings::default()
        },
        session: watch::channel(None).1,
        born_ms: BORN,
        found: None,
    }
}

fn session(id: &str, born: u64, interactive: bool) -> Value {
    json!({
        "sessionId": id, "status": "idle", "createdAt": born,
        "metadata": {"interactive": interactive},
    })
}

async fn deliver(path: &mut ClineHubPath) -> Verdict {
    path.deliver(&parcel()).await
}

/// A hub with these sessions, whose runs are in this state.
fn usual(
    sessions: Vec<Value>,
    run: &'static str,
) -> impl Fn(&str) -> Result<Value, &'static str> + Send + 'static {
    move |command| {
        Ok(match command {
            "session.list" => json!({"sessions": sessions}),
            "session.get" => json!({"session": sessions[0]}),
            "run.enqueue" => json!({"runId": "r-1", "queuePosition": 0}),
            "run.list" => json!({"runs": [{"runId": "r-1", "state": run, "error": "no model"}]}),
            "session.pending_prompts" => json!({"prompts": []}),
            _ => json!({}),
        })
    }
}

#[tokio::test]
async fn a_session_that_began_with_its_channel_is_found_and_gets_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = vec![session("s-1", BORN - 800, true), session("old", 5, true)];
    let mut path = hub(folder.path(), usual(sessions, "completed")).await;
    assert_eq!(deliver(&mut path).await, Verdict::handed());
    assert_eq!(path.found.as_deref(), Some("s-1"));
}

#[tokio::test]
async fn where_two_sessions_began_at_once_none_gets_the_text() {
    let folder = tempfile::tempdir().unwrap();
    for other in [
        session("s-2", BORN - 900, true),
        session("s-2", BORN - 1, false),
    ] {
        let sessions = vec![session("s-1", BORN - 800, true), other];
        let mut path = hub(folder.path(), usual(sessions, "completed")).await;
        assert_eq!(deliver(&mut path).await.result, PushResult::Refused);
        // Once a plugin has said it, it is known.
        path.session = watch::channel(Some("s-1".to_owned())).1;
        assert_eq!(deliver(&mut path).await.result, PushResult::Handed);
    }
}

#[tokio::test]
async fn a_session_that_the_hub_does_not_run_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = vec![session("s-1", BORN, false)];
    let mut path = hub(folder.path(), usual(sessions, "completed")).await;
    path.session = watch::channel(Some("s-1".to_owned())).1;
    assert_eq!(deliver(&mut path).await.result, PushResult::Refused);
    path.around.parent = 78;
    let verdict = deliver(&mut path).await;
    let why = verdict.detail.unwrap_or_default();
    assert!(why.contains("does not run in Cline's hub"), "{why}");
    path.around.cline_hub = Some(folder.path().join("none.json"));
    let why = deliver(&mut path).await.detail.unwrap_or_default();
    assert!(why.contains("does not run"), "{why}");
}

#[tokio::test]
async fn what_the_hub_refuses_is_refused_and_a_failed_run_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = || vec![session("s-1", BORN, true)];
    let full = usual(sessions(), "queued");
    let mut path = hub(folder.path(), move |command| match command {
        "run.enqueue" => Err("the queue is full"),
        _ => full(command),
    })
    .await;
    let verdict = deliver(&mut path).await;
    assert_eq!(verdict.result, PushResult::Refused);
    assert!(verdict.detail.unwrap().contains("full"));
    for state in ["failed", "interrupted"] {
        let mut path = hub(folder.path(), usual(sessions(), state)).await;
        let verdict = deliver(&mut path).await;
        assert_eq!(verdict.result, PushResult::Unknown);
        assert!(verdict.detail.unwrap().contains("no model"));
    }
}

#[tokio::test]
async fn the_text_waits_for_the_end_of_a_turn() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let usual = usual(vec![session("s-1", BORN, true)], "running");
    let looks = AtomicUsize::new(0);
    let mut path = hub(folder.path(), move |command| {
        let mut payload = usual(command)?;
        if command == "session.get" && looks.fetch_add(1, Ordering::Relaxed) < 3 {
            payload["session"]["status"] = "running".into();
        }
        if command == "run.enqueue" {
            assert_eq!(looks.load(Ordering::Relaxed), 4, "while a turn ran");
        }
        Ok(payload)
    })
    .await;
    assert_eq!(deliver(&mut path).await, Verdict::handed());
}
