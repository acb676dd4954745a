//! A short conversation with an app-server of Codex: one that runs (WebSocket over its Unix
//! socket), or one that is started for it and ends with it (lines over its pipes).

use ecorelay_adapters::codex::app_server::{self, Request};
use futures_util::{SinkExt as _, StreamExt as _};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use serde_json::Value;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Take};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long a running server may take for one answer; it takes some milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a server that is started may take for its first answer: the program has 300 MB, and
/// the disk may be slow.
const START_WITHIN: Duration = Duration::from_secs(20);
/// How long a server that was started may take to end.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Most of one frame, in bytes. The answers asked for have some KiB.
const FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Most of all that a server which was started says, in bytes.
const ALL_BYTES: u64 = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RpcError {
    #[error("it cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("its socket: {0}")]
    Socket(Box<tungstenite::Error>),
    #[error("it closed the connection")]
    Closed,
    #[error("it gave no answer in time")]
    Late,
    #[error("it says: {0}")]
    Refused(String),
}

impl From<tungstenite::Error> for RpcError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// The conversation.
#[derive(Debug)]
pub(super) struct Rpc {
    frames: Frames,
    last: u64,
}

#[derive(Debug)]
enum Frames {
    Socket(Box<WebSocketStream<Stream>>),
    Program(Box<Program>),
}

/// A server that was started for one conversation.
#[derive(Debug)]
struct Program {
    /// Killed when it is dropped.
    child: Child,
    input: ChildStdin,
    output: BufReader<Take<ChildStdout>>,
}

impl Rpc {
    /// Begins a conversation with the server that listens at `socket`.
    pub(super) async fn connect(socket: &Path) -> Result<Self, RpcError> {
        let begun = async {
            let name = socket.to_fs_name::<GenericFilePath>()?;
            let stream = Stream::connect(name).await?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(FRAME_BYTES))
                .max_frame_size(Some(FRAME_BYTES));
            let request = "ws://localhost/";
            let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
            Self::begin(Frames::Socket(Box::new(socket))).await
        };
        timeout(ANSWER_WITHIN, begun)
            .await
            .unwrap_or(Err(RpcError::Late))
    }

    /// Starts a server for this conversation.
    pub(super) async fn start(program: &Path, home: Option<&Path>) -> Result<Self, RpcError> {
        let mut command = Command::new(program);
        command
            .arg("app-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(home) = home {
            command.env("CODEX_HOME", home);
        }
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RpcError::Closed);
        };
        let begun = Self::begin(Frames::Program(Box::new(Program {
            child,
            input,
            output: BufReader::new(output.take(ALL_BYTES)),
        })));
        timeout(START_WITHIN, begun)
            .await
            .unwrap_or(Err(RpcError::Late))
    }

    async fn begin(frames: Frames) -> Result<Self, RpcError> {
        let mut rpc = Self { frames, last: 0 };
        rpc.ask(Request::Initialize).await?;
        rpc.frames.send(app_server::initialized()).await?;
        Ok(rpc)
    }

    /// Sends a request and returns the answer.
    pub(super) async fn call(&mut self, request: Request<'_>) -> Result<Value, RpcError> {
        timeout(ANSWER_WITHIN, self.ask(request))
            .await
            .unwrap_or(Err(RpcError::Late))
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Value, RpcError> {
        self.last += 1;
        self.frames.send(request.frame(self.last)).await?;
        loop {
            let frame = self.frames.next().await?;
            // Everything else is news of threads, which nobody asked for.
            if let Some(answer) = app_server::answer(&frame, self.last) {
                return answer.map_err(RpcError::Refused);
            }
        }
    }

    /// Ends the conversation, and the server that was started for it.
    pub(super) async fn end(self) {
        match self.frames {
            Frames::Socket(mut socket) => {
                // It notices in any case.
                let _ = timeout(END_WITHIN, socket.close()).await;
            }
            Frames::Program(program) => {
                let Program {
                    mut child, input, ..
                } = *program;
                drop(input);
                // What does not end by itself is killed when it is dropped.
                let _ = timeout(END_WITHIN, child.wait()).await;
            }
        }
    }
}

impl Frames {
    async fn send(&mut self, frame: String) -> Result<(), RpcError> {
        match self {
            Self::Socket(socket) => Ok(socket.send(Message::text(frame)).await?),
            Self::Program(program) => {
                let input = &mut program.input;
                input.write_all(frame.as_bytes()).await?;
                input.write_all(b"\n").await?;
                Ok(input.flush().await?)
            }
        }
    }

    async fn next(&mut self) -> Result<String, RpcError> {
        match self {
            Self::Socket(socket) => loop {
                match socket.next().await.ok_or(RpcError::Closed)?? {
                    Message::Text(text) => return Ok(text.as_str().to_owned()),
                    Message::Close(_) => return Err(RpcError::Closed),
                    _ => {}
                }
            },
            Self::Program(program) => {
                let output = &mut program.output;
                let mut line = Vec::new();
                if output.read_until(b'\n', &mut line).await? == 0 {
                    return Err(RpcError::Closed);
                }
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
        }
    }
}
