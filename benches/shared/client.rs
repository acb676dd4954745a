//! A client that writes raw lines and reads raw lines. It looks at no more of a line than it must
//! and never waits without a deadline.

use super::Outcome;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for a line, and for a socket that is to take one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// How long to wait between two looks for a socket: short against every start that is measured.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// Room for the acknowledgements of many messages in flight.
const BUFFER: usize = 64 * 1024;

/// One end of a stream of lines.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    line: Vec<u8>,
}

impl Client {
    /// Returns a client on a stream.
    pub(crate) fn on(stream: UnixStream) -> Outcome<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self {
            writer: stream.try_clone()?,
            reader: BufReader::with_capacity(BUFFER, stream),
            line: Vec::new(),
        })
    }

    /// Connects once.
    pub(crate) fn connect(socket: &Path) -> Outcome<Self> {
        Self::on(UnixStream::connect(socket)?)
    }

    /// Connects as soon as somebody listens; `gone` says why nobody ever will.
    pub(crate) fn connect_when_there(
        socket: &Path,
        mut gone: impl FnMut() -> Option<String>,
    ) -> Outcome<Self> {
        let end = Instant::now() + DEADLINE;
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Self::on(stream),
                Err(error) if Instant::now() > end => return Err(error.into()),
                Err(_) => {}
            }
            if let Some(why) = gone() {
                return Err(why.into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Registers a session.
    pub(crate) fn register(&mut self, name: &str) -> Outcome<()> {
        self.write(&format!(
            "{{\"type\":\"register\",\"name\":\"{name}\",\"cwd\":\"/bench\",\"git_branch\":\"main\",\"protocol_version\":\"6\",\"agent\":\"bench\",\"req_id\":\"register\"}}\n"
        ))?;
        self.expect("ack").map(drop)
    }

    /// Writes lines.
    pub(crate) fn write(&mut self, lines: &str) -> Outcome<()> {
        Ok(self.writer.write_all(lines.as_bytes())?)
    }

    /// Reads one line as it comes.
    pub(crate) fn read(&mut self) -> Outcome<&[u8]> {
        self.line.clear();
        if self.reader.read_until(b'\n', &mut self.line)? == 0 {
            return Err("the other side closed the connection".into());
        }
        Ok(&self.line)
    }

    /// Reads on until a line of this type. The hub's probes are answered, its notices are passed
    /// over; anything else is an error.
    pub(crate) fn expect(&mut self, kind: &str) -> Outcome<&[u8]> {
        loop {
            self.read()?;
            if is(&self.line, kind) {
                return Ok(&self.line);
            }
            if is(&self.line, "ping") {
                let pong = String::from_utf8_lossy(&self.line).replacen("ping", "pong", 1);
                self.write(&pong)?;
            } else if !is(&self.line, "notice") && !is(&self.line, "status_changed") {
                let came = String::from_utf8_lossy(&self.line);
                return Err(format!("a line of type {kind} was due, not {came:.300}").into());
            }
        }
    }

    /// Returns what a key of the line that was read last has for its value, a text.
    pub(crate) fn text(&self, key: &str) -> Outcome<String> {
        let line: Value = serde_json::from_slice(&self.line)?;
        let value = line.get(key).and_then(Value::as_str);
        Ok(value
            .ok_or_else(|| format!("a line without {key}: {line}"))?
            .to_owned())
    }

    /// Returns whether more lines can be read without waiting.
    pub(crate) fn has_more(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// Closes both directions.
    pub(crate) fn close(&self) -> Outcome<()> {
        Ok(self.writer.shutdown(std::net::Shutdown::Both)?)
    }

    /// Says that a push has reached the session.
    pub(crate) fn confirm(&mut self, id: &str) -> Outcome<()> {
        self.write(&format!(
            "{{\"type\":\"pushed\",\"msg_ids\":[\"{id}\"],\"result\":\"handed\",\"path\":\"bench\"}}\n"
        ))
    }
}

/// Returns whether a line of the hub has this type, which stands first in it.
fn is(line: &[u8], kind: &str) -> bool {
    line.strip_prefix(b"{\"type\":\"")
        .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
        .is_some_and(|rest| rest.starts_with(b"\""))
}

/// Returns a fresh message id, as channels make them.
pub(crate) fn message_id() -> String {
    format!("m-{}", uuid::Uuid::now_v7())
}

/// Returns a `send` line.
pub(crate) fn send_line(to: &str, id: &str, text: &str) -> String {
    format!(
        "{{\"type\":\"send\",\"to\":\"{to}\",\"text\":\"{text}\",\"msg_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
    )
}
