//! A model that says what a test wants, on a loopback port, in the API that an assistant speaks:
//! [`MockModel::start`] for Anthropic's, [`MockModel::speaking`] for any ([`Api`]: `ANTHROPIC`,
//! `CHAT`, `PLAIN_CHAT`, `RESPONSES`, `GEMINI`, each in the file of its name).
//!
//! The test gives one function: what is new in the conversation goes in, the [`Reply`] comes
//! out. Every request is kept as a [`Turn`] before it is answered, and [`MockModel::wait_for`]
//! waits for one. A [`Gate`] in that function holds the model back: the session is busy until
//! the test opens it.

use super::DEADLINE;
use super::mock_anthropic::ANTHROPIC;
use super::mock_http::{self, Request, Response};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
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
        /// The tool's name, as the assistant knows it; `space/name` where the API has name spaces.
        name: String,
        /// Its arguments.
        input: Value,
    },
}

impl Reply {
    /// Returns words that end the turn.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns a call of the tool `name`.
    pub(crate) fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::Tool {
            name: name.into(),
            input,
        }
    }
}

/// One request to the model.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Everything after the model's last words: prompts, pushed messages, tool results
    /// (`[tool_result] …`).
    pub(crate) newest: String,
    /// The system prompt.
    pub(crate) system: String,
    /// The names of the tools on offer.
    pub(crate) tools: Vec<String>,
    /// What was answered; nothing while the model still thinks.
    pub(crate) reply: Option<Reply>,
}

/// A conversation as a request tells it.
#[derive(Debug)]
pub(crate) struct Heard {
    /// As [`Turn::newest`].
    pub(crate) newest: String,
    /// As [`Turn::system`].
    pub(crate) system: String,
    /// As [`Turn::tools`].
    pub(crate) tools: Vec<String>,
    /// It is a title, a summary or a probe and no part of the conversation: these words are the
    /// answer, and it is not kept.
    pub(crate) aside: Option<&'static str>,
}

/// How one API is spoken.
#[derive(Debug)]
pub(crate) struct Api {
    /// Reads the conversation from a request for the model's next words; `None` for any other.
    pub(crate) hear: fn(&Request) -> Option<Heard>,
    /// Returns the answer to such a request.
    pub(crate) say: fn(&Request, Reply) -> Response,
    /// Returns the answer to any other request.
    pub(crate) other: fn(&Request) -> Response,
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

impl MockModel {
    /// Starts a model of Anthropic's that answers with `answer`.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::speaking(&ANTHROPIC, answer)
    }

    /// Starts a model that speaks `api` and answers with `answer`.
    pub(crate) fn speaking(
        api: &'static Api,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        Self::start_at(api, listener, answer)
    }

    /// As [`MockModel::speaking`], at a port that is open already, perhaps in another network
    /// namespace.
    pub(crate) fn start_at(
        api: &'static Api,
        listener: TcpListener,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("the port");
        let log = Arc::new(Log::default());
        let answer = Arc::new(answer);
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&shared));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is no matter.
                    let _ =
                        mock_http::serve(stream, |request| respond(api, request, &*answer, &log));
                });
            }
        });
        Self { address, log }
    }

    /// Returns its address, without a path: `http://127.0.0.1:1234`.
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
        self.wait_for_turn(what, from, |turn| wanted(&turn.newest))
    }

    /// Waits until the model has heard `part` and then said its last words in that turn. What a
    /// person types before may still go into the turn.
    pub(crate) fn wait_for_end_of(&self, part: &str) {
        let (asked, _) = self.wait_for(part, 0, |newest| newest.contains(part));
        let what = format!("the end of the turn that heard {part:?}");
        self.wait_for_turn(&what, asked, |turn| {
            matches!(turn.reply, Some(Reply::Text(_)))
        });
    }

    fn wait_for_turn(
        &self,
        what: &str,
        from: usize,
        wanted: impl Fn(&Turn) -> bool,
    ) -> (usize, Turn) {
        let end = Instant::now() + DEADLINE;
        let mut turns = self.log.turns.lock().expect("the log");
        loop {
            let found = turns.iter().enumerate().skip(from);
            if let Some((at, turn)) = found.into_iter().find(|(_, turn)| wanted(turn)) {
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

    /// Returns in how many turns something new was heard that holds `part`.
    pub(crate) fn heard(&self, part: &str) -> usize {
        let turns = self.log.turns.lock().expect("the log");
        turns.iter().filter(|t| t.newest.contains(part)).count()
    }

    /// Returns what the model saw and said, for people.
    pub(crate) fn seen(&self) -> String {
        let turns = self.log.turns.lock().expect("the log");
        let lines = turns.iter().enumerate();
        lines
            .map(|(at, turn)| {
                let said = turn.reply.as_ref();
                let said = said.map_or("nothing yet".to_owned(), |reply| format!("{reply:?}"));
                format!("#{at} saw: {}\n#{at} said: {said}\n", turn.newest)
            })
            .collect()
    }
}

/// Returns the answer to a request.
fn respond(api: &Api, request: &Request, answer: &dyn Fn(&str) -> Reply, log: &Log) -> Response {
    let Some(heard) = (api.hear)(request) else {
        return (api.other)(request);
    };
    if let Some(words) = heard.aside {
        return (api.say)(request, Reply::text(words));
    }
    let at = {
        let mut turns = log.turns.lock().expect("the log");
        turns.push(Turn {
            newest: heard.newest.clone(),
            system: heard.system,
            tools: heard.tools,
            reply: None,
        });
        log.grown.notify_all();
        turns.len() - 1
    };
    let reply = answer(&heard.newest);
    log.turns.lock().expect("the log")[at].reply = Some(reply.clone());
    log.grown.notify_all();
    (api.say)(request, reply)
}

/// Returns the words in a content value: a string, or blocks of text and tool results in the
/// forms that the APIs have.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| match block["type"].as_str() {
                Some("text" | "input_text" | "output_text") => text_of(&block["text"]),
                Some("tool_result") => format!("[tool_result] {}", text_of(&block["content"])),
                Some(other) => format!("[{other}]"),
                None => text_of(&block["text"]),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Returns an id that nothing else in this process has.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}_{:020}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Holds back whoever comes to it until a test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Makes a closed gate.
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("the gate") = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open, or for the deadline: a test that has failed by then does
    /// not need the answer.
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().expect("the gate");
        let closed = |open: &mut bool| !*open;
        let _ = self.0.1.wait_timeout_while(open, DEADLINE, closed);
    }
}
