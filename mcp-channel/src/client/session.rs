//! One connection to a hub: requests matched with their answers, pushes in a bounded queue,
//! and the hub's probes answered at once, however busy the rest of the program is.
//!
//! One task owns the connection; [`HubClient`] is a cloneable handle to it.

use super::connect::{HubStream, connect};
use super::error::ClientError;
use super::start::{StartHub, ensure_hub};
use ecorelay_config::DataDir;
use ecorelay_protocol::limits::{QUEUE_BYTES, QUEUE_LINES};
use ecorelay_protocol::{ErrorCode, Framed, HubLine, LineFramer, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes that may wait to be written before new requests have to wait.
const OUT_BYTES: usize = 256 * 1024;
/// Bytes that may wait to be written before the connection is given up: the hub does not read.
const OUT_BYTES_MOST: usize = QUEUE_BYTES;
/// Requests that may wait for the connection's task.
const COMMANDS: usize = 64;
/// How long the last lines may take when nobody holds the client any more.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 16 * 1024;

/// A handle to one connection. When all handles are gone, the connection is closed.
#[derive(Debug, Clone)]
pub struct HubClient {
    commands: mpsc::Sender<Command>,
}

/// What the hub sends by itself: messages, notices, status changes. Bounded: what comes faster
/// than it is taken is told to the hub as refused.
#[derive(Debug)]
pub struct Pushes {
    lines: mpsc::Receiver<(HubLine, usize)>,
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Command {
    Request {
        line: Map<String, Value>,
        answer: oneshot::Sender<HubLine>,
    },
    Tell(Map<String, Value>),
    Close,
}

impl HubClient {
    /// Returns a client of the running hub of this data directory; starts nothing.
    ///
    /// # Errors
    /// [`ClientError::HubUnreachable`] with the reason.
    pub async fn connect(dir: &DataDir) -> Result<(Self, Pushes), ClientError> {
        let stream = connect(dir).await.map_err(|error| {
            ClientError::HubUnreachable(format!("The hub cannot be reached: {error}."))
        })?;
        Ok(Self::over(stream))
    }

    /// Returns a client of the hub of this data directory, starting one where none runs.
    ///
    /// # Errors
    /// As [`ensure_hub`].
    pub async fn connect_or_start(
        dir: &DataDir,
        how: &StartHub,
    ) -> Result<(Self, Pushes), ClientError> {
        Ok(Self::over(ensure_hub(dir, how).await?))
    }

    /// Returns a client over a connection made before. Needs a tokio runtime.
    pub fn over(stream: HubStream) -> (Self, Pushes) {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (push_tx, push_rx) = mpsc::channel(QUEUE_LINES);
        let bytes = Arc::new(AtomicUsize::new(0));
        let connection = Connection {
            out: Outgoing::default(),
            pending: HashMap::new(),
            last_id: 0,
            pushes: push_tx,
            push_bytes: bytes.clone(),
        };
        tokio::spawn(connection.run(stream, inbox));
        let pushes = Pushes {
            lines: push_rx,
            bytes,
        };
        (Self { commands }, pushes)
    }

    /// Sends a request (a JSON object with its `type`; the `req_id` is added) and returns the
    /// hub's answer, which may take up to 30 seconds.
    ///
    /// # Errors
    /// The hub's refusal, or why there is no answer.
    pub async fn request(&self, line: &Value) -> Result<HubLine, ClientError> {
        self.request_within(line, ANSWER_WITHIN).await
    }

    /// Like [`HubClient::request`], with another deadline.
    ///
    /// # Errors
    /// The hub's refusal, or why there is no answer.
    pub async fn request_within(
        &self,
        line: &Value,
        within: Duration,
    ) -> Result<HubLine, ClientError> {
        let (answer, answered) = oneshot::channel();
        let request = Command::Request {
            line: object(line),
            answer,
        };
        let wait = async {
            if self.commands.send(request).await.is_err() {
                return Err(ClientError::Lost { sent: false });
            }
            match answered.await {
                Ok(HubLine::Err { code, message, .. }) => {
                    Err(ClientError::Refused(Refusal::new(code, message)))
                }
                Ok(line) => Ok(line),
                Err(_) => Err(ClientError::Lost { sent: true }),
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .unwrap_or(Err(ClientError::NoAnswer(within.as_secs())))
    }

    /// Sends a line that has no answer.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn tell(&self, line: &Value) -> Result<(), ClientError> {
        self.commands
            .send(Command::Tell(object(line)))
            .await
            .map_err(|_| ClientError::Lost { sent: false })
    }

    /// Closes the connection; other handles find it lost.
    pub async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.commands.send(Command::Close).await;
    }

    /// Returns once the connection has ended.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }
}

fn object(line: &Value) -> Map<String, Value> {
    line.as_object().cloned().unwrap_or_default()
}

impl Pushes {
    /// Returns the next line the hub sent by itself, `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<HubLine> {
        let (line, bytes) = self.lines.recv().await?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(line)
    }
}

/// Lines on their way to the hub.
#[derive(Default)]
struct Outgoing {
    lines: VecDeque<Vec<u8>>,
    /// How much of the first line is written.
    written: usize,
    bytes: usize,
}

impl Outgoing {
    fn push(&mut self, line: &Value) {
        let bytes = encoded(line);
        self.bytes += bytes.len();
        self.lines.push_back(bytes);
    }

    /// Puts a line before all others that are not yet on their way.
    fn push_first(&mut self, line: &Value) {
        let bytes = encoded(line);
        self.bytes += bytes.len();
        let at = usize::from(self.written > 0);
        self.lines.insert(at.min(self.lines.len()), bytes);
    }

    fn front(&self) -> &[u8] {
        self.lines
            .front()
            .map_or(&[][..], |line| &line[self.written..])
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        self.bytes -= written;
        if self.front().is_empty() {
            self.lines.pop_front();
            self.written = 0;
        }
    }
}

fn encoded(line: &Value) -> Vec<u8> {
    let mut bytes = line.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The state of the task that owns the connection.
struct Connection {
    out: Outgoing,
    pending: HashMap<String, oneshot::Sender<HubLine>>,
    last_id: u64,
    pushes: mpsc::Sender<(HubLine, usize)>,
    push_bytes: Arc<AtomicUsize>,
}

impl Connection {
    async fn run(mut self, stream: HubStream, mut commands: mpsc::Receiver<Command>) {
        let (mut from_hub, mut to_hub) = (&stream, &stream);
        let mut framer = LineFramer::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                read = from_hub.read(&mut buffer) => {
                    let Ok(count @ 1..) = read else { return };
                    framer.push(&buffer[..count]);
                    while let Some(framed) = framer.next_line() {
                        if self.on_framed(framed).is_break() {
                            return;
                        }
                    }
                }
                written = to_hub.write(self.out.front()), if !self.out.lines.is_empty() => {
                    let Ok(count @ 1..) = written else { return };
                    self.out.advance(count);
                }
                command = commands.recv(), if self.out.bytes < OUT_BYTES => match command {
                    Some(Command::Request { line, answer }) => self.on_request(line, answer),
                    Some(Command::Tell(line)) => self.out.push(&Value::Object(line)),
                    Some(Command::Close) => return,
                    None => break,
                },
            }
            if self.out.bytes > OUT_BYTES_MOST {
                return;
            }
        }
        let last_lines = async {
            while !self.out.lines.is_empty() {
                let count = to_hub.write(self.out.front()).await?;
                if count == 0 {
                    break;
                }
                self.out.advance(count);
            }
            io::Result::Ok(())
        };
        // The caller is gone; a hub that does not take its last words is not waited for.
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, last_lines).await;
    }

    fn on_request(&mut self, mut line: Map<String, Value>, answer: oneshot::Sender<HubLine>) {
        // Requests whose caller has stopped waiting.
        self.pending.retain(|_, answer| !answer.is_closed());
        self.last_id += 1;
        let req_id = format!("c{}", self.last_id);
        line.insert("req_id".into(), req_id.as_str().into());
        self.out.push(&Value::Object(line));
        self.pending.insert(req_id, answer);
    }

    fn on_framed(&mut self, framed: Framed) -> std::ops::ControlFlow<()> {
        let (line, size) = match framed {
            Framed::Line(bytes) => match serde_json::from_slice::<HubLine>(&bytes) {
                Ok(line) => (line, bytes.len()),
                Err(_) => {
                    self.on_strange_line(req_id_of(&bytes));
                    return std::ops::ControlFlow::Continue(());
                }
            },
            Framed::TooLong(req_id) => {
                self.on_strange_line(req_id);
                return std::ops::ControlFlow::Continue(());
            }
            Framed::Hopeless => return std::ops::ControlFlow::Break(()),
        };
        if let HubLine::Ping { req_id } = &line {
            self.out
                .push_first(&json!({"type": "pong", "req_id": req_id}));
            return std::ops::ControlFlow::Continue(());
        }
        // The steps of one pairing are many lines for one request: they come like pushes.
        if let Some(req_id) = line
            .req_id()
            .filter(|_| !matches!(line, HubLine::Pair { .. }))
        {
            if let Some(answer) = self.pending.remove(req_id) {
                // An error means that the caller has stopped waiting.
                let _ = answer.send(line);
            }
            return std::ops::ControlFlow::Continue(());
        }
        match line {
            // Answers to lines without a req_id, which nobody waits for.
            HubLine::Ack { .. } | HubLine::Err { .. } => std::ops::ControlFlow::Continue(()),
            line => self.on_push(line, size),
        }
    }

    /// Answers the request of a line that cannot be read, so that its caller need not wait.
    fn on_strange_line(&mut self, req_id: Option<String>) {
        if let Some(answer) = req_id.and_then(|id| self.pending.remove(&id)) {
            let _ = answer.send(HubLine::Err {
                code: ErrorCode::Unexpected,
                message: "The hub's answer could not be read; hub and client may be of different versions: `ecorelay node restart`.".into(),
                req_id: None,
                ask_id: None,
            });
        }
    }

    fn on_push(&mut self, line: HubLine, size: usize) -> std::ops::ControlFlow<()> {
        let room = self.push_bytes.load(Ordering::Relaxed) + size <= QUEUE_BYTES;
        let refused = if room {
            self.push_bytes.fetch_add(size, Ordering::Relaxed);
            match self.pushes.try_send((line, size)) {
                Ok(()) => return std::ops::ControlFlow::Continue(()),
                Err(error) => {
                    self.push_bytes.fetch_sub(size, Ordering::Relaxed);
                    error.into_inner().0
                }
            }
        } else {
            line
        };
        match refused {
            // This one must not be missed: without a connection the name is taken anew.
            HubLine::Evicted { .. } => return std::ops::ControlFlow::Break(()),
            line => {
                if let Some(id) = pushed_id(&line) {
                    self.out.push(&json!({
                        "type": "pushed", "msg_ids": [id], "result": "refused", "path": "none",
                        "detail": "messages came faster than the session could take them",
                    }));
                }
            }
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Returns the id under which a push is confirmed.
pub(crate) fn pushed_id(line: &HubLine) -> Option<&str> {
    match line {
        HubLine::IncomingMessage { received, .. }
        | HubLine::IncomingReply { received, .. }
        | HubLine::IncomingGroupMsg { received, .. } => Some(&received.msg_id),
        HubLine::IncomingAsk { ask_id, .. } => Some(ask_id),
        HubLine::IncomingRoomMsg { msg_id, .. } | HubLine::Notice { msg_id, .. } => Some(msg_id),
        _ => None,
    }
}

fn req_id_of(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        req_id: Option<String>,
    }
    serde_json::from_slice::<Head>(line).ok()?.req_id
}
