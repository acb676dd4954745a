//! A model that says what a test wants: the Anthropic Messages API on a loopback port, as far
//! as Claude Code uses it (streamed and whole answers, tool calls, token counts, the model list).
//!
//! The test gives one function: what is new in the conversation goes in, the [`Reply`] comes
//! out. Every request is kept, and [`MockModel::wait_for`] waits for one.

use super::DEADLINE;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// What the model answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Words; the turn ends.
    Text(String),
    /// A tool call; its result comes back as the next turn.
    Tool {
        /// The tool's name, as the assistant knows it.
        name: String,
        /// Its arguments.
        input: Value,
    },
}

/// One request to the model.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Everything after the model's last words: prompts, pushed messages, tool results.
    pub(crate) newest: String,
    /// The system prompt.
    pub(crate) system: String,
    /// The names of the tools on offer.
    pub(crate) tools: Vec<String>,
    /// What was answered.
    pub(crate) reply: String,
}

/// The mock model; it serves until the test process ends.
#[derive(Clone)]
pub(crate) struct MockModel {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    turns: Mutex<Vec<Turn>>,
    grown: Condvar,
}

type Answer = dyn Fn(&str) -> Reply + Send + Sync;

impl MockModel {
    /// Starts a model that answers with `answer`.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        Self::start_at(listener, answer)
    }

    /// As [`MockModel::start`], at a port that is open already, perhaps in another network
    /// namespace.
    pub(crate) fn start_at(
        listener: TcpListener,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("the port");
        let log = Arc::new(Log::default());
        let answer: Arc<Answer> = Arc::new(answer);
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&shared));
                // A client that goes away in the middle is no matter.
                std::thread::spawn(move || drop(serve(stream, &*answer, &log)));
            }
        });
        Self { address, log }
    }

    /// Returns the address for `ANTHROPIC_BASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the first turn, from number `from` on, whose newest part `wanted` accepts, and
    /// its number; waits for it.
    pub(crate) fn wait_for(
        &self,
        what: &str,
        from: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> (usize, Turn) {
        let end = Instant::now() + DEADLINE;
        let mut turns = self.log.turns.lock().expect("the log");
        loop {
            let found = turns.iter().enumerate().skip(from);
            if let Some((at, turn)) = found.into_iter().find(|(_, t)| wanted(&t.newest)) {
                return (at, turn.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(turns);
                panic!(
                    "the model waited in vain for {what}; it saw:\n{}",
                    self.seen()
                );
            }
            turns = self.log.grown.wait_timeout(turns, left).expect("the log").0;
        }
    }

    /// Returns how many turns there were.
    pub(crate) fn turns(&self) -> usize {
        self.log.turns.lock().expect("the log").len()
    }

    /// Returns what the model saw and said, for people.
    pub(crate) fn seen(&self) -> String {
        let turns = self.log.turns.lock().expect("the log");
        let lines = turns.iter().enumerate();
        lines
            .map(|(at, turn)| format!("#{at} saw: {}\n#{at} said: {}\n", turn.newest, turn.reply))
            .collect()
    }
}

/// Serves the one request of a connection.
fn serve(stream: TcpStream, answer: &Answer, log: &Log) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let body = read_body(&mut reader)?;
    let path = target.split('?').next().unwrap_or_default();
    match (method.as_str(), path) {
        ("HEAD", _) => respond(&mut writer, "200 OK", "text/plain", b""),
        ("GET", "/v1/models") => json_answer(&mut writer, &json!({"data": [], "has_more": false})),
        ("POST", "/v1/messages/count_tokens") => {
            json_answer(&mut writer, &json!({"input_tokens": 1000}))
        }
        ("POST", "/v1/messages") => {
            let request: Value = serde_json::from_slice(&body).unwrap_or_default();
            messages(&mut writer, &request, answer, log)
        }
        _ => {
            let error = json!({"type": "error", "error": {"type": "not_found_error", "message": "not in this mock"}});
            respond(
                &mut writer,
                "404 Not Found",
                "application/json",
                error.to_string().as_bytes(),
            )
        }
    }
}

/// Reads the headers and the body: of a known length, in chunks, or none.
fn read_body(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.contains("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2]; // with its line end
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// Answers a request for the model's next words.
fn messages(
    writer: &mut TcpStream,
    request: &Value,
    answer: &Answer,
    log: &Log,
) -> std::io::Result<()> {
    let names = request["tools"].as_array().into_iter().flatten();
    let tools: Vec<String> = names.map(|tool| text_of(&tool["name"])).collect();
    let newest = newest(&request["messages"]);
    // Titles, summaries and probes come without tools: they are no part of the conversation.
    let reply = if tools.len() > 2 {
        answer(&newest)
    } else {
        Reply::Text("Aside.".into())
    };
    if tools.len() > 2 {
        let turn = Turn {
            newest,
            system: text_of(&request["system"]),
            tools,
            reply: format!("{reply:?}"),
        };
        log.turns.lock().expect("the log").push(turn);
        log.grown.notify_all();
    }
    let (block, stop) = content(reply);
    let usage = json!({"input_tokens": 100, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let mut message = json!({"id": unique("msg"), "type": "message", "role": "assistant", "model": request["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
    if request["stream"] != true {
        message["content"] = json!([block]);
        message["stop_reason"] = json!(stop);
        return json_answer(writer, &message);
    }
    let (empty, delta) = if block["type"] == "text" {
        (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": block["text"]}),
        )
    } else {
        let mut empty = block.clone();
        empty["input"] = json!({});
        (
            empty,
            json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}),
        )
    };
    let events = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": empty}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", text_of(&event["type"])))
        .collect();
    respond(writer, "200 OK", "text/event-stream", stream.as_bytes())
}

/// Returns the content block of a reply and why the turn stops.
fn content(reply: Reply) -> (Value, &'static str) {
    match reply {
        Reply::Text(text) => (json!({"type": "text", "text": text}), "end_turn"),
        Reply::Tool { name, input } => (
            json!({"type": "tool_use", "id": unique("toolu"), "name": name, "input": input}),
            "tool_use",
        ),
    }
}

/// Returns the text of everything after the model's last words.
fn newest(messages: &Value) -> String {
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    let after = messages
        .iter()
        .rposition(|message| message["role"] == "assistant")
        .map_or(0, |at| at + 1);
    let texts = messages[after..].iter().map(|m| text_of(&m["content"]));
    texts.collect::<Vec<_>>().join("\n")
}

/// Returns the words in a content value: a string, or blocks of text and tool results.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| match block["type"].as_str() {
                Some("text") => text_of(&block["text"]),
                Some("tool_result") => format!("[tool_result] {}", text_of(&block["content"])),
                Some(other) => format!("[{other}]"),
                None => String::new(),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}_{:020}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn json_answer(writer: &mut TcpStream, value: &Value) -> std::io::Result<()> {
    respond(
        writer,
        "200 OK",
        "application/json",
        value.to_string().as_bytes(),
    )
}

fn respond(
    writer: &mut TcpStream,
    status: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    writer.write_all(head.as_bytes())?;
    writer.write_all(body)?;
    writer.flush()
}
