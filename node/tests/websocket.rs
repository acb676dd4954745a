//! The WebSocket endpoint: who is let in, and lines in frames.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_config::Config;
use ecorelay_node::Node;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::{Home, config, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async, client_async_with_config};

type Socket = WebSocketStream<TcpStream>;

/// Starts a node with the endpoint on a port that was free a moment ago.
async fn start(home: &Home) -> (Node, u16, String) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let config = Config {
        ws_port: port,
        ..config()
    };
    let builder = home.builder().config(config).websocket(true);
    let node = soon("the node", builder.start()).await.unwrap();
    assert_eq!(node.websocket().unwrap().port(), port);
    let token = std::fs::read_to_string(home.dir().ws_token()).unwrap();
    (node, port, token.trim().to_owned())
}

async fn connect(port: u16) -> Socket {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let limits = WebSocketConfig::default().max_frame_size(None);
    let url = format!("ws://127.0.0.1:{port}/any/path");
    let connected = client_async_with_config(url, stream, Some(limits));
    soon("the upgrade", connected).await.unwrap().0
}

async fn send(socket: &mut Socket, text: String) {
    soon("room", socket.send(Message::text(text)))
        .await
        .unwrap();
}

async fn line(socket: &mut Socket) -> Value {
    match soon("a frame", socket.next()).await.unwrap().unwrap() {
        Message::Text(text) => {
            assert!(text.ends_with('\n'));
            serde_json::from_str(&text).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// Returns the code and the reason with which the hub closes.
async fn farewell(socket: &mut Socket) -> (u16, String) {
    loop {
        match soon("a close frame", socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => {
                return (frame.code.into(), frame.reason.to_string());
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Sends a raw HTTP request and returns the status line.
async fn http(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_session_with_the_token_talks_to_one_on_the_socket() {
    let home = Home::new();
    let (_node, port, token) = start(&home).await;
    let mut socket = connect(port).await;
    // What follows the token at once is not lost, and a frame may hold several lines.
    send(&mut socket, json!({ "auth": token }).to_string()).await;
    let register = json!({"type":"register","name":"web","protocol_version":"5"});
    let ping = json!({"type":"ping","req_id":"p"});
    send(&mut socket, format!("{register}\n{ping}\n")).await;
    assert_eq!(line(&mut socket).await["type"], "ack");
    assert_eq!(line(&mut socket).await["type"], "pong");
    let mut alice = home.registered("alice", "5").await;
    let text = "世".repeat(300_000);
    alice
        .send(json!({ "type": "send", "to": "web", "text": text }))
        .await;
    assert!(line(&mut socket).await["text"] == text.as_str());
    assert_eq!(alice.line_of("send_ack").await["status"], "delivered");
    let reply = json!({"type":"send","to":"alice","text":"back"}).to_string();
    socket
        .send(Message::Binary(reply.into_bytes().into()))
        .await
        .unwrap();
    assert_eq!(alice.line_of("incoming_message").await["from"], "web");
}

#[tokio::test]
async fn a_wrong_first_frame_is_refused_and_the_hub_lives() {
    let home = Home::new();
    let (_node, port, token) = start(&home).await;
    let long = json!({ "auth": token, "x": "y".repeat(1_024) }).to_string();
    let wrong = json!({ "auth": "0".repeat(64) }).to_string();
    for first in ["null", "[]", "7", "\"x\"", "{}", "nonsense", &long, &wrong] {
        let mut socket = connect(port).await;
        send(&mut socket, first.to_owned()).await;
        let expected = (4003, "auth_failed".to_owned());
        assert_eq!(farewell(&mut socket).await, expected, "{first}");
    }
    assert!(home.client().await.is_answered().await);
}

#[tokio::test]
async fn a_client_that_shows_no_token_is_closed() {
    let home = Home::new();
    let (_node, port, _) = start(&home).await;
    let mut socket = connect(port).await;
    assert_eq!(
        farewell(&mut socket).await,
        (4003, "auth_timeout".to_owned())
    );
}

#[tokio::test]
async fn web_pages_and_plain_requests_are_refused() {
    let home = Home::new();
    let (_node, port, _) = start(&home).await;
    let url = format!("ws://127.0.0.1:{port}/");
    let mut request = url.into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Origin", "https://example.org".parse().unwrap());
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let refused = soon("a refusal", client_async(request, stream)).await;
    assert!(refused.unwrap_err().to_string().contains("403"));

    let host = "Host: 127.0.0.1\r\n";
    let plain = http(port, &format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
    assert!(plain.contains("426"), "{plain}");
    let post = http(port, &format!("POST / HTTP/1.1\r\n{host}\r\n")).await;
    assert!(post.contains("400"), "{post}");
    let endless = http(port, &format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9_000))).await;
    assert!(endless.contains("431"), "{endless}");
}

#[tokio::test]
async fn a_frame_that_is_too_large_closes_with_1009() {
    let home = Home::new();
    let (_node, port, token) = start(&home).await;
    let mut socket = connect(port).await;
    send(&mut socket, json!({ "auth": token }).to_string()).await;
    // The hub closes while this is still being written, so writing it may fail.
    let large = Message::text("x".repeat(4 * 1024 * 1024 + 1));
    let _ = soon("an end", socket.feed(large)).await;
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), socket.flush()).await;
    assert_eq!(farewell(&mut socket).await.0, 1009);
    assert!(home.client().await.is_answered().await);
}

#[tokio::test]
async fn a_client_that_closes_is_answered_with_a_close() {
    let home = Home::new();
    let (_node, port, token) = start(&home).await;
    let mut socket = connect(port).await;
    send(&mut socket, json!({ "auth": token }).to_string()).await;
    send(&mut socket, json!({"type":"ping"}).to_string()).await;
    assert_eq!(line(&mut socket).await["type"], "pong");
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    soon("room", socket.close(Some(normal))).await.unwrap();
    assert_eq!(farewell(&mut socket).await.0, 1000);
    assert!(soon("the end", socket.next()).await.is_none());
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_warning() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        ws_port: taken.local_addr().unwrap().port(),
        ..config()
    };
    let builder = home.builder().config(config).websocket(true);
    let node = soon("the node", builder.start()).await.unwrap();
    assert_eq!(node.websocket(), None);
    let status = soon("the status", node.status()).await.unwrap();
    assert_eq!(status["warnings"][0]["code"], "ws_port_taken", "{status}");
    assert!(status["warnings"][0]["remedy"].as_str().unwrap().len() > 20);
    assert_eq!(status["ws"], Value::Null);
}
