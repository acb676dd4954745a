//! A short conversation with an app-server of Codex: one that runs (WebSocket over its Unix
//! socket), or one that is started for it and ends with it (lines over its pipes).

use crate::push::talk::{ANSWER_WITHIN, END_WITHIN, TalkError, WebSocket, within};
use ecorelay_adapters::codex::app_server::{self, Request};
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Take};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a server that is started may take for its first answer: the program has 300 MB, and
/// the disk may be slow.
const START_WITHIN: Duration = Duration::from_secs(20);
/// Most of all that a server which was started says, in bytes.
const ALL_BYTES: u64 = 8 * 1024 * 1024;

/// The conversation.
#[derive(Debug)]
pub(super) struct Rpc {
    frames: Frames,
    last: u64,
}

#[derive(Debug)]
enum Frames {
    Socket(Box<WebSocket<Stream>>),
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
    pub(super) async fn connect(socket: &Path) -> Result<Self, TalkError> {
        let begun = async {
            let name = socket.to_fs_name::<GenericFilePath>()?;
            let stream = Stream::connect(name).await?;
            let socket = WebSocket::open("ws://localhost/", stream).await?;
            Self::begin(Frames::Socket(Box::new(socket))).await
        };
        within(ANSWER_WITHIN, begun).await
    }

    /// Starts a server for this conversation.
    pub(super) async fn start(program: &Path, home: Option<&Path>) -> Result<Self, TalkError> {
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
            return Err(TalkError::Closed);
        };
        let begun = Self::begin(Frames::Program(Box::new(Program {
            child,
            input,
            output: BufReader::new(output.take(ALL_BYTES)),
        })));
        within(START_WITHIN, begun).await
    }

    async fn begin(frames: Frames) -> Result<Self, TalkError> {
        let mut rpc = Self { frames, last: 0 };
        rpc.ask(Request::Initialize).await?;
        rpc.frames.send(app_server::initialized()).await?;
        Ok(rpc)
    }

    /// Sends a request and returns the answer.
    pub(super) async fn call(&mut self, request: Request<'_>) -> Result<Value, TalkError> {
        within(ANSWER_WITHIN, self.ask(request)).await
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Value, TalkError> {
        self.last += 1;
        self.frames.send(request.frame(self.last)).await?;
        loop {
            let frame = self.frames.next().await?;
            // Everything else is news of threads, which nobody asked for.
            if let Some(answer) = app_server::answer(&frame, self.last) {
                return answer.map_err(TalkError::Refused);
            }
        }
    }

    /// Ends the conversation, and the server that was started for it.
    pub(super) async fn end(self) {
        match self.frames {
            Frames::Socket(mut socket) => socket.close().await,
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
    async fn send(&mut self, frame: String) -> Result<(), TalkError> {
        match self {
            Self::Socket(socket) => socket.send(frame).await,
            Self::Program(program) => {
                let input = &mut program.input;
                input.write_all(frame.as_bytes()).await?;
                input.write_all(b"\n").await?;
                Ok(input.flush().await?)
            }
        }
    }

    async fn next(&mut self) -> Result<String, TalkError> {
        match self {
            Self::Socket(socket) => socket.next().await,
            Self::Program(program) => {
                let output = &mut program.output;
                let mut line = Vec::new();
                if output.read_until(b'\n', &mut line).await? == 0 {
                    return Err(TalkError::Closed);
                }
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
        }
    }
}
