//! The WebSocket endpoint on 127.0.0.1, for plugins that cannot open local sockets.
//!
//! A web page can reach it, so an upgrade with an `Origin` header is refused, and nothing but
//! `{"auth":"TOKEN"}` is listened to before the token was shown.

use super::connection::{CLOSE_TIME, Link};
use super::{AcceptFailures, Door, Outgoing};
use ecorelay_hub::Origin;
use ecorelay_protocol::{LineFramer, limits};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// How long a client has for the upgrade, and then for the token.
const AUTH_TIME: Duration = Duration::from_secs(5);
/// Longest first frame, in characters.
const AUTH_CHARS: usize = 1_024;
/// Clients that have not shown the token yet; more are closed at once.
const STRANGERS: usize = 32;
/// Longest head of an upgrade request, in bytes.
const HEAD_BYTES: usize = 8 * 1024;
/// How long a client may leave its socket full before it is closed.
const STUCK_TIME: Duration = Duration::from_secs(60);
/// The close code for a token that is wrong or late.
const UNAUTHORISED: u16 = 4_003;

type Socket = WebSocketStream<TcpStream>;

/// The bound endpoint.
#[derive(Debug)]
pub(crate) struct WebSocketListener {
    listener: TcpListener,
    address: SocketAddr,
    token: Arc<str>,
}

impl WebSocketListener {
    /// Binds the endpoint to a port of 127.0.0.1.
    pub(crate) async fn bind(port: u16, token: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            token: token.into(),
        })
    }

    /// Returns the address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients in, for ever.
    pub(crate) async fn run(self, door: Door) {
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let mut failures = AcceptFailures::default();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    failures.note(&error).await;
                    continue;
                }
            };
            let Ok(stranger) = Arc::clone(&strangers).try_acquire_owned() else {
                continue;
            };
            let Some(place) = door.enter() else {
                continue;
            };
            let (token, hub) = (Arc::clone(&self.token), door.hub.clone());
            tokio::spawn(async move {
                let socket = welcome(stream, &token).await;
                drop(stranger);
                if let Some(socket) = socket {
                    let queue = Arc::new(Outgoing::default());
                    let connected = hub.connected(Origin::WebSocket, Arc::clone(&queue)).await;
                    if let Ok(conn) = connected {
                        serve(socket, &Link::new(conn, queue, hub)).await;
                    }
                }
                drop(place);
            });
        }
    }
}

/// Upgrades a connection and waits for the token.
async fn welcome(stream: TcpStream, token: &str) -> Option<Socket> {
    let mut socket = timeout(AUTH_TIME, upgrade(stream)).await.ok()?.ok()??;
    let reason = match timeout(AUTH_TIME, first_frame(&mut socket)).await {
        Ok(Some(text)) if is_token(&text, token) => return Some(socket),
        Ok(_) => "auth_failed",
        Err(_) => "auth_timeout",
    };
    let frame = CloseFrame {
        code: UNAUTHORISED.into(),
        reason: Utf8Bytes::from_static(reason),
    };
    let _ = timeout(CLOSE_TIME, socket.close(Some(frame))).await;
    None
}

async fn first_frame(socket: &mut Socket) -> Option<Utf8Bytes> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

/// Returns whether the first frame shows the token. Takes as long for a wrong one as for the
/// right one.
fn is_token(frame: &str, token: &str) -> bool {
    if frame.chars().count() > AUTH_CHARS {
        return false;
    }
    let Ok(frame) = serde_json::from_str::<serde_json::Value>(frame) else {
        return false;
    };
    let shown = frame.get("auth").and_then(|auth| auth.as_str());
    let (shown, token) = (shown.unwrap_or_default().as_bytes(), token.as_bytes());
    let same = shown.len() == token.len() && !token.is_empty();
    let differences = shown.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    same & (std::hint::black_box(differences) == 0)
}

/// Reads the upgrade request and answers it; returns `None` when it was refused.
async fn upgrade(mut stream: TcpStream) -> io::Result<Option<Socket>> {
    let mut head = Vec::new();
    let refusal = loop {
        if head.len() > HEAD_BYTES {
            break "431 Request Header Fields Too Large";
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        match Request::try_parse(&head) {
            Ok(None) => {}
            Ok(Some((_, request))) if request.headers().contains_key("origin") => {
                break "403 Forbidden";
            }
            Ok(Some((end, request))) => {
                let Ok(response) = create_response(&request) else {
                    break "426 Upgrade Required";
                };
                let mut answer = Vec::new();
                write_response(&mut answer, &response).map_err(io::Error::other)?;
                stream.write_all(&answer).await?;
                let rest = head.split_off(end);
                let socket =
                    Socket::from_partially_read(stream, rest, Role::Server, Some(settings())).await;
                return Ok(Some(socket));
            }
            Err(_) => break "400 Bad Request",
        }
    };
    let answer = format!(
        "HTTP/1.1 {refusal}\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(None)
}

fn settings() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(32 * 1024)
        .max_message_size(Some(limits::LINE_BYTES))
        .max_frame_size(Some(limits::LINE_BYTES))
}

/// Serves one client until either side ends it.
async fn serve(socket: Socket, link: &Link) {
    let (sink, stream) = socket.split();
    let farewell = Mutex::new(None);
    let read = async {
        if let Some(code) = read_all(stream, link).await {
            *farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
            link.queue.finish();
        }
        link.say_gone().await;
        // The writer goes on until the hub ends the connection.
        std::future::pending::<()>().await;
    };
    let write = async {
        if let Err(error) = write_all(sink, link, &farewell).await {
            tracing::debug!(conn = link.conn.0, %error, "writing ended");
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
        () = link.overdue() => {}
    }
    link.end().await;
}

/// Reads until the client or the hub is gone; returns the close code that a bad frame deserves.
async fn read_all(mut stream: SplitStream<Socket>, link: &Link) -> Option<CloseCode> {
    let mut framer = LineFramer::default();
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Text(text)) => framer.push(text.as_bytes()),
            Ok(Message::Binary(bytes)) => framer.push(&bytes),
            Ok(Message::Close(_)) => return None,
            Ok(_) => continue,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                return Some(CloseCode::Size);
            }
            Err(Error::Utf8(_)) => return Some(CloseCode::Invalid),
            Err(Error::Protocol(_)) => return Some(CloseCode::Protocol),
            Err(_) => return None,
        }
        // A frame holds whole lines; the last one may lack its newline.
        framer.push(b"\n");
        if link.hand_over(&mut framer).await.is_err() {
            return None;
        }
    }
    None
}

async fn write_all(
    mut sink: SplitSink<Socket, Message>,
    link: &Link,
    farewell: &Mutex<Option<CloseCode>>,
) -> Result<(), Error> {
    let late = |_| Error::Io(io::ErrorKind::TimedOut.into());
    let mut batch = Vec::new();
    while link.next_lines(&mut batch).await {
        let write = async {
            for line in &batch {
                let text = String::from_utf8_lossy(&line.bytes).into_owned();
                sink.feed(Message::text(text)).await?;
            }
            sink.flush().await
        };
        timeout(STUCK_TIME, write).await.map_err(late)??;
        link.written(&batch).await;
    }
    let code = farewell
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let frame = code.map(|code| CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    });
    match sink.send(Message::Close(frame)).await {
        // The client closed first: what it still gets is the answer to that.
        Err(Error::Protocol(ProtocolError::SendAfterClosing)) => sink.flush().await,
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        assert!(is_token(r#"{"auth":"abc"}"#, "abc"));
        let long = format!(r#"{{"auth":"abc","x":"{}"}}"#, "y".repeat(AUTH_CHARS));
        for frame in [
            "null",
            "[]",
            "\"abc\"",
            "{}",
            "abc",
            "",
            r#"{"auth":null}"#,
            r#"{"auth":"ab"}"#,
            r#"{"auth":"abcd"}"#,
            r#"{"auth":"abd"}"#,
            &long,
        ] {
            assert!(!is_token(frame, "abc"), "{frame}");
        }
        assert!(!is_token(r#"{"auth":""}"#, ""));
    }
}
