//! The push into Codex against servers made up for each test: what they say is all that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::push::test_parcel::parcel;
use ecorelay_protocol::PushResult;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::net::UnixListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

const THREAD: &str = "01a20524-e130-7cc1-8c69-2e0b37676f5a";

fn path(home: &Path) -> CodexPath {
    CodexPath {
        around: Surroundings {
            codex_home: Some(home.to_owned()),
            ..Surroundings::default()
        },
        session: watch::channel(Some(THREAD.to_owned())).1,
    }
}

/// Starts a server at the control socket of `home`; `answer` gives the answer to each request.
fn serve(home: &Path, answer: impl Fn(&Value) -> String + Send + 'static) {
    let folder = home.join("app-server-control");
    std::fs::create_dir(&folder).unwrap();
    let listener = UnixListener::bind(folder.join("app-server-control.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = accept_async(stream).await else {
                continue;
            };
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                let request: Value = serde_json::from_str(&text).unwrap();
                if request.get("id").is_some() {
                    socket.send(Message::text(answer(&request))).await.unwrap();
                }
            }
        }
    });
}

fn result(request: &Value, result: Value) -> String {
    json!({"id": request["id"], "result": result}).to_string()
}

/// Answers as a server that has the thread; a text that is queued stands in `log` at once.
fn takes(log: &Path) -> impl Fn(&Value) -> String + Send + 'static {
    let log = log.to_owned();
    move |request| match request["method"].as_str() {
        Some("thread/read") => {
            let thread = json!({"status": {"type": "active", "activeFlags": []}, "path": log});
            result(request, json!({"thread": thread}))
        }
        Some("thread/queue/add") => {
            assert!(
                request["params"]["input"][0]["text"]
                    .as_str()
                    .unwrap()
                    .contains("hello")
            );
            let id = request["params"]["clientUserMessageId"].as_str().unwrap();
            std::fs::write(&log, format!("{{\"client_id\":\"{id}\"}}\n")).unwrap();
            result(request, json!({}))
        }
        _ => result(request, json!({})),
    }
}

#[tokio::test]
async fn a_text_is_handed_when_the_thread_has_written_it_down() {
    let home = tempfile::tempdir().unwrap();
    serve(home.path(), takes(&home.path().join("rollout.jsonl")));
    let verdict = path(home.path()).deliver_to_app_server(&parcel()).await;
    assert_eq!(verdict.result, PushResult::Handed, "{verdict:?}");
}

#[tokio::test]
async fn a_server_without_the_thread_is_not_asked_to_queue_anything() {
    let home = tempfile::tempdir().unwrap();
    serve(home.path(), |request| {
        assert_ne!(request["method"], "thread/queue/add");
        result(
            request,
            json!({"thread": {"status": {"type": "notLoaded"}}}),
        )
    });
    let verdict = path(home.path()).deliver_to_app_server(&parcel()).await;
    assert_eq!(verdict.result, PushResult::Refused);
}

#[tokio::test]
async fn a_server_that_refuses_is_quoted() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("rollout.jsonl");
    let takes = takes(&log);
    serve(home.path(), move |request| {
        match request["method"].as_str() {
            Some("thread/queue/add") => {
                json!({"id": request["id"], "error": {"code": -1, "message": "no room"}})
                    .to_string()
            }
            _ => takes(request),
        }
    });
    let verdict = path(home.path()).deliver_to_app_server(&parcel()).await;
    assert_eq!(verdict.result, PushResult::Refused);
    assert!(verdict.detail.unwrap().contains("no room"));
}

#[tokio::test]
async fn a_server_that_talks_nonsense_or_is_gone_refuses() {
    let home = tempfile::tempdir().unwrap();
    let verdict = path(home.path()).deliver_to_app_server(&parcel()).await;
    assert_eq!(verdict.result, PushResult::Refused, "nobody listens");
    serve(home.path(), |request| match request["method"].as_str() {
        Some("initialize") => result(request, Value::Null),
        _ => result(request, json!(["?"])),
    });
    let verdict = path(home.path()).deliver_to_app_server(&parcel()).await;
    assert_eq!(verdict.result, PushResult::Refused);
}

#[tokio::test]
async fn a_program_takes_the_text_on_its_input_and_not_as_an_argument() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("codex");
    let script = format!(
        "#!/bin/sh\necho \"$*\" > {0}/args\nread a; echo '{{\"id\":1,\"result\":{{}}}}'\nread b; read c; echo \"$c\" > {0}/log\necho '{{\"id\":2,\"result\":{{}}}}'\nread d\n",
        home.path().display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let server = Server::Program {
        program,
        home: None,
    };
    let rpc = server.open().await.unwrap();
    let log = Some(home.path().join("log"));
    let verdict = queue(rpc, server, THREAD.into(), log, &parcel()).await;
    assert_eq!(verdict.result, PushResult::Handed, "{verdict:?}");
    let args = std::fs::read_to_string(home.path().join("args")).unwrap();
    assert_eq!(args.trim(), "app-server");
}

#[tokio::test]
async fn a_thread_that_is_not_known_refuses() {
    let home = tempfile::tempdir().unwrap();
    let mut path = path(home.path());
    path.session = watch::channel(None).1;
    for verdict in [
        path.deliver_to_app_server(&parcel()).await,
        path.deliver_to_queue(&parcel()).await,
    ] {
        assert_eq!(verdict.result, PushResult::Refused);
    }
}
