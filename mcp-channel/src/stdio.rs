//! The MCP transport over a byte stream in and out: one JSON-RPC message per line.
//!
//! It stands before rmcp because a channel must outlive any line: what cannot be read is
//! answered here, with its id where one can be seen, and never reaches the service.
//! Two threads do the blocking reading and writing, so that standard streams of any kind work
//! and keep their blocking mode, which they may share with other processes.

use crate::envelope::{self, Incoming};
use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot};

/// Longest line that is read, in bytes. A tool call with the longest text needs 3 MiB.
pub(crate) const LINE_BYTES: usize = 8 * 1024 * 1024;
/// Lines read ahead.
const LINES: usize = 8;
/// Messages that wait to be written.
const OUT: usize = 64;
/// Requests that may be open at once; more are refused.
const OPEN_REQUESTS: usize = 256;
const READ_BYTES: usize = 16 * 1024;
/// Stack of the two threads: they do nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// What the reading thread hands over.
enum Input {
    Line(Vec<u8>),
    /// A line over [`LINE_BYTES`]: its first and last bytes.
    TooLong(Vec<u8>, Vec<u8>),
}

struct Output {
    bytes: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

/// The transport.
pub(crate) struct LineTransport {
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
    /// Answers given here, not yet on their way.
    answers: VecDeque<Vec<u8>>,
    open: HashSet<RequestId>,
    ended: Arc<Notify>,
}

impl LineTransport {
    /// Returns a transport over these streams, and what tells that one of them has ended.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<(Self, Arc<Notify>)> {
        let (input_tx, input) = mpsc::channel(LINES);
        let (output, output_rx) = mpsc::channel(OUT);
        let ended = Arc::new(Notify::new());
        let (reader_ended, writer_ended) = (ended.clone(), ended.clone());
        thread("mcp-in", move || {
            read_lines(reader, &input_tx);
            reader_ended.notify_one();
        })?;
        thread("mcp-out", move || {
            write_lines(writer, output_rx);
            writer_ended.notify_one();
        })?;
        let transport = Self {
            input,
            output,
            answers: VecDeque::new(),
            open: HashSet::new(),
            ended: ended.clone(),
        };
        Ok((transport, ended))
    }

    /// Takes one line in: returns the message in it, or notes what is to be answered.
    fn take(&mut self, input: Input) -> Option<ClientJsonRpcMessage> {
        let incoming = match input {
            Input::Line(line) => envelope::read(&line),
            Input::TooLong(head, tail) => envelope::too_long(&head, &tail),
        };
        let message = match incoming {
            Incoming::Message(message) => *message,
            Incoming::Answer(bytes) => {
                self.answers.push_back(bytes);
                return None;
            }
            Incoming::Nothing => return None,
        };
        match &message {
            JsonRpcMessage::Request(request) => {
                if self.open.len() >= OPEN_REQUESTS {
                    self.answers.push_back(envelope::too_many(&request.id));
                    return None;
                }
                self.open.insert(request.id.clone());
            }
            // rmcp gives no answer to a request that was cancelled.
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.open.remove(id);
                }
            }
            _ => {}
        }
        Some(message)
    }
}

impl Transport<RoleServer> for LineTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        match &item {
            JsonRpcMessage::Response(response) => {
                self.open.remove(&response.id);
            }
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    self.open.remove(id);
                }
            }
            _ => {}
        }
        let bytes = serde_json::to_vec(&item).map(envelope::line);
        let output = self.output.clone();
        async move {
            let (written, done) = oneshot::channel();
            let bytes = bytes?;
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            output
                .send(Output { bytes, written })
                .await
                .map_err(|_| gone(()))?;
            done.await.map_err(|_| gone(()))?
        }
    }

    // Cancel safe: nothing is taken from a queue before it can be kept or handed on.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            while !self.answers.is_empty() {
                let room = self.output.reserve().await.ok()?;
                if let Some(bytes) = self.answers.pop_front() {
                    let (written, _) = oneshot::channel();
                    room.send(Output { bytes, written });
                }
            }
            let input = self.input.recv().await?;
            if let Some(message) = self.take(input) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.input.close();
        self.ended.notify_one();
        Ok(())
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(STACK_BYTES)
        .spawn(body)
        .map(drop)
}

/// Reads lines until the stream ends or nobody takes them any more.
fn read_lines(mut reader: impl Read, lines: &mpsc::Sender<Input>) {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                for input in cutter.cut(&buffer[..count]) {
                    if lines.blocking_send(input).is_err() {
                        return;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn write_lines(mut writer: impl Write, mut output: mpsc::Receiver<Output>) {
    while let Some(Output { bytes, written }) = output.blocking_recv() {
        let result = writer.write_all(&bytes).and_then(|()| writer.flush());
        let failed = result.is_err();
        // Nobody waits for the end of an answer given by the transport itself.
        let _ = written.send(result);
        if failed {
            return;
        }
    }
}

/// Cuts what is read into lines. Of a line over the limit only both ends are kept.
#[derive(Default)]
struct Cutter {
    line: Vec<u8>,
    /// The head of a line that is too long; its tail is in `line`.
    head: Option<Vec<u8>>,
}

impl Cutter {
    fn cut(&mut self, mut bytes: &[u8]) -> Vec<Input> {
        let mut cut = Vec::new();
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.grow(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            match self.head.take() {
                Some(head) => cut.push(Input::TooLong(head, line)),
                None if line.iter().all(u8::is_ascii_whitespace) => {}
                None => cut.push(Input::Line(line)),
            }
        }
        self.grow(bytes);
        cut
    }

    fn grow(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
        if self.head.is_none() && self.line.len() > LINE_BYTES {
            self.head = Some(self.line[..envelope::EDGE_BYTES].to_vec());
        }
        if self.head.is_some() && self.line.len() > 2 * envelope::EDGE_BYTES {
            let tail = self.line.len() - envelope::EDGE_BYTES;
            self.line = self.line[tail..].to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn lines_are_cut_whatever_the_reads_are() {
        let mut cutter = Cutter::default();
        let mut lines = Vec::new();
        for byte in "{\"é\":1}\r\n\n  \n[2]\n".bytes() {
            lines.extend(cutter.cut(&[byte]).into_iter().map(|input| match input {
                Input::Line(line) => String::from_utf8(line).unwrap(),
                Input::TooLong(..) => panic!(),
            }));
        }
        assert_eq!(lines, ["{\"é\":1}\r", "[2]"]);
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut cutter = Cutter::default();
        let chunk = [b'x'; 64 * 1024];
        for _ in 0..3 * LINE_BYTES / chunk.len() {
            assert!(cutter.cut(&chunk).is_empty());
            assert!(cutter.line.len() <= LINE_BYTES + chunk.len());
        }
        assert!(cutter.line.len() <= 2 * envelope::EDGE_BYTES);
        let cut = cutter.cut(b"end\n{}\n");
        assert!(
            matches!(&cut[0], Input::TooLong(head, tail) if head.len() == envelope::EDGE_BYTES && tail.ends_with(b"end"))
        );
        assert!(matches!(&cut[1], Input::Line(line) if line == b"{}"));
    }
}
