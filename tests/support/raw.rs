//! A client of the local protocol that writes raw JSON lines: knows nothing, checks nothing,
//! so that a test sees exactly what stands on the wire.

use super::DEADLINE;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One connection to a hub. A thread reads the lines, so that every wait has a deadline.
pub(crate) struct RawClient {
    writer: Writer,
    lines: Receiver<String>,
    /// Lines that came while an answer was waited for.
    aside: VecDeque<Value>,
    answers_probes: Arc<AtomicBool>,
    confirms_pushes: Arc<AtomicBool>,
    requests: u64,
}

impl RawClient {
    /// Connects to the hub that listens at `socket`.
    pub(crate) fn connect(socket: &Path) -> Self {
        super::wait_until("a hub at the socket", || Self::try_connect(socket))
    }

    /// As [`RawClient::connect`], but tries only once.
    pub(crate) fn try_connect(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        let reader = stream.try_clone().expect("a second handle of the socket");
        let writer = Writer(Arc::new(Mutex::new(stream)));
        let answer = writer.clone();
        let answers_probes = Arc::new(AtomicBool::new(true));
        let confirms_pushes = Arc::new(AtomicBool::new(false));
        let (probes, confirms) = (Arc::clone(&answers_probes), Arc::clone(&confirms_pushes));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let Ok(line) = line else { break };
                if line.starts_with("{\"type\":\"ping\"") {
                    if probes.load(Ordering::Relaxed) {
                        answer.write(line.replacen("ping", "pong", 1) + "\n");
                    }
                    continue;
                }
                if confirms.load(Ordering::Relaxed)
                    && let Some(confirmation) = confirmation(&line)
                {
                    answer.write(format!("{confirmation}\n"));
                }
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Some(Self {
            writer,
            lines,
            aside: VecDeque::new(),
            answers_probes,
            confirms_pushes,
            requests: 0,
        })
    }

    /// Connects and registers as a version "5" client.
    pub(crate) fn session(socket: &Path, name: &str) -> Self {
        let mut client = Self::connect(socket);
        let answer = client.register(name);
        assert_eq!(answer, json!({"type": "ack"}), "register {name}");
        client
    }

    /// Registers in version "5" and returns the answer.
    pub(crate) fn register(&mut self, name: &str) -> Value {
        self.send(
            &json!({"type": "register", "name": name, "cwd": "/w", "git_branch": "main", "protocol_version": "5"}),
        );
        self.next_of(&["ack", "err"])
    }

    /// Connects and registers in version "6" with further keys; returns the answer too.
    pub(crate) fn session_6(socket: &Path, name: &str, more: Value) -> (Self, Value) {
        let mut client = Self::connect(socket);
        let mut line = json!({"type": "register", "name": name, "cwd": "/w", "git_branch": "main", "protocol_version": "6"});
        merge(&mut line, more);
        let answer = client.request(line);
        (client, answer)
    }

    /// From now on the hub's probes are not answered: the session plays dead.
    pub(crate) fn play_dead(&self) {
        self.answers_probes.store(false, Ordering::Relaxed);
    }

    /// From now on every pushed message is confirmed, as a version "6" channel does when its
    /// assistant has taken it.
    pub(crate) fn confirm_pushes(&self) {
        self.confirms_pushes.store(true, Ordering::Relaxed);
    }

    /// Writes one line.
    pub(crate) fn send(&mut self, line: &Value) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        assert!(self.writer.write(bytes), "the hub takes no more lines");
    }

    /// As [`RawClient::send`]; `false` when the connection is broken.
    pub(crate) fn try_send(&mut self, line: &Value) -> bool {
        self.writer.write(format!("{line}\n"))
    }

    /// Sends a request with a fresh `req_id` and returns its answer. What else comes meanwhile
    /// is kept for [`RawClient::next`].
    pub(crate) fn request(&mut self, line: Value) -> Value {
        match self.try_request(line.clone()) {
            Some(answer) => answer,
            None => panic!("the hub closed the connection instead of answering {line}"),
        }
    }

    /// As [`RawClient::request`]; `None` when the connection breaks first.
    pub(crate) fn try_request(&mut self, mut line: Value) -> Option<Value> {
        self.requests += 1;
        let req_id = format!("r{}", self.requests);
        line["req_id"] = json!(req_id);
        if !self.try_send(&line) {
            return None;
        }
        let end = Instant::now() + DEADLINE;
        loop {
            let came = self.line_before(end)?;
            if came["req_id"] == json!(req_id) {
                return Some(came);
            }
            self.aside.push_back(came);
        }
    }

    /// Returns the next line that is not the hub's probe.
    pub(crate) fn next(&mut self) -> Value {
        if let Some(line) = self.aside.pop_front() {
            return line;
        }
        match self.line_before(Instant::now() + DEADLINE) {
            Some(line) => line,
            None => panic!("the hub closed the connection"),
        }
    }

    /// Returns the next line of one of these types; others are kept.
    pub(crate) fn next_of(&mut self, types: &[&str]) -> Value {
        match self.try_next_of(types) {
            Some(line) => line,
            None => panic!("the hub closed the connection before a line of {types:?}"),
        }
    }

    /// As [`RawClient::next_of`]; `None` when the connection breaks first.
    pub(crate) fn try_next_of(&mut self, types: &[&str]) -> Option<Value> {
        let wanted = |line: &Value| types.iter().any(|t| line["type"] == **t);
        if let Some(at) = self.aside.iter().position(wanted) {
            return self.aside.remove(at);
        }
        let end = Instant::now() + DEADLINE;
        loop {
            match self.line_before(end)? {
                line if wanted(&line) => return Some(line),
                line => self.aside.push_back(line),
            }
        }
    }

    /// Forgets the lines that were kept.
    pub(crate) fn forget(&mut self) {
        self.aside.clear();
    }

    /// Returns the next line as it stands on the wire, without its newline.
    pub(crate) fn next_text(&mut self) -> String {
        assert!(self.aside.is_empty(), "lines were kept: {:?}", self.aside);
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(e) => panic!("no line from the hub: {e}"),
        }
    }

    /// Returns what came and was not asked for yet, after everything the hub has written so far
    /// has arrived: a ping is answered behind it.
    pub(crate) fn drain(&mut self) -> Vec<Value> {
        self.request(json!({"type": "ping"}));
        self.aside.drain(..).collect()
    }

    /// As [`RawClient::drain`]; `None` when the connection breaks first.
    pub(crate) fn try_drain(&mut self) -> Option<Vec<Value>> {
        self.try_request(json!({"type": "ping"}))?;
        Some(self.aside.drain(..).collect())
    }

    /// Waits until the hub closes the connection; returns the lines that came before.
    pub(crate) fn until_closed(&mut self) -> Vec<Value> {
        let end = Instant::now() + DEADLINE;
        while let Some(line) = self.line_before(end) {
            self.aside.push_back(line);
        }
        self.aside.drain(..).collect()
    }

    /// Returns the next line, or `None` when the connection is closed.
    fn line_before(&mut self, end: Instant) -> Option<Value> {
        let left = end.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left.max(Duration::from_millis(1))) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(value) => Some(value),
                Err(e) => panic!("not a JSON line ({e}): {line}"),
            },
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!(
                    "no line from the hub within {DEADLINE:?}; kept: {:?}",
                    self.aside
                )
            }
        }
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        // The reading thread holds a handle of its own: without this the hub saw no end.
        self.writer.shut();
    }
}

/// The writing end. The test and the thread that reads both write: a line at a time.
#[derive(Clone)]
struct Writer(Arc<Mutex<UnixStream>>);

impl Writer {
    /// Writes whole lines; `false` when the connection is broken.
    fn write(&self, lines: impl AsRef<[u8]>) -> bool {
        let mut stream = self.0.lock().expect("a writer that did not panic");
        stream.write_all(lines.as_ref()).is_ok()
    }

    fn shut(&self) {
        let stream = self.0.lock().expect("a writer that did not panic");
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Returns the line that confirms a push; `None` for any other line.
fn confirmation(line: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).ok()?;
    let pushed = line["type"].as_str()?.starts_with("incoming_");
    let id = line.get("msg_id").or_else(|| line.get("ask_id"))?;
    pushed.then(|| json!({"type": "pushed", "msg_ids": [id], "result": "handed", "path": "test"}))
}

/// Adds the keys of `more` to the object `line`.
pub(crate) fn merge(line: &mut Value, more: Value) {
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
}
