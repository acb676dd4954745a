//! The words of Codex's app-server, one JSON object per WebSocket text frame: JSON-RPC without
//! its version field. Only the few requests that a push needs. Tried with 0.169.0; the queue is
//! one of its experimental parts, which a client has to ask for.

use serde_json::{Value, json};
use std::path::PathBuf;

/// Most of a foreign error text that is repeated, in characters.
const WHY_CHARS: usize = 200;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Says who is there and asks for the experimental parts.
    Initialize,
    /// Asks how a thread is.
    Read {
        /// Its id.
        thread: &'a str,
    },
    /// Puts a text at the end of a thread's queue.
    Queue {
        /// The thread's id.
        thread: &'a str,
        /// Names the message in the thread's log.
        message: &'a str,
        /// What the model is to see.
        text: &'a str,
    },
    /// Asks what stands in a thread's queue.
    List {
        /// The thread's id.
        thread: &'a str,
    },
}

impl Request<'_> {
    /// Returns the frame of the request with this number.
    pub fn frame(self, id: u64) -> String {
        let (method, params) = match self {
            Self::Initialize => (
                "initialize",
                json!({
                    "clientInfo": {"name": "ecorelay", "title": "EcoRelay", "version": env!("CARGO_PKG_VERSION")},
                    "capabilities": {"experimentalApi": true},
                }),
            ),
            Self::Read { thread } => (
                "thread/read",
                json!({"threadId": thread, "includeTurns": false}),
            ),
            Self::Queue {
                thread,
                message,
                text,
            } => (
                "thread/queue/add",
                json!({
                    "threadId": thread, "clientUserMessageId": message,
                    "input": [{"type": "text", "text": text}],
                }),
            ),
            Self::List { thread } => ("thread/queue/list", json!({"threadId": thread})),
        };
        json!({"id": id, "method": method, "params": params}).to_string()
    }
}

/// Returns the frame that follows the answer to [`Request::Initialize`].
pub fn initialized() -> String {
    json!({"method": "initialized"}).to_string()
}

/// Returns the answer to the request with this number, or the server's words for a refusal;
/// nothing where the frame is about something else.
pub fn answer(frame: &str, id: u64) -> Option<Result<Value, String>> {
    let mut frame: Value = serde_json::from_str(frame).ok()?;
    if frame["id"].as_u64() != Some(id) || frame.get("method").is_some() {
        return None;
    }
    if let Some(error) = frame.get("error") {
        let why = error["message"].as_str().unwrap_or("it gives no reason");
        return Some(Err(ecorelay_protocol::visible(why)
            .chars()
            .take(WHY_CHARS)
            .collect()));
    }
    Some(Ok(frame["result"].take()))
}

/// How a thread is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Whether this server has it in memory: only such a thread takes from its queue.
    pub loaded: bool,
    /// The folder in which it works.
    pub cwd: Option<PathBuf>,
    /// Another thread has started it, for a part of its own work.
    pub is_part: bool,
    /// Where it is written.
    pub log: Option<PathBuf>,
}

impl Thread {
    /// Reads the answer to [`Request::Read`].
    pub fn of(answer: &Value) -> Self {
        let thread = &answer["thread"];
        let status = thread["status"]["type"].as_str().unwrap_or_default();
        let text = |key: &str| {
            let text = thread[key].as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            loaded: !status.is_empty() && status != "notLoaded",
            cwd: text("cwd").map(PathBuf::from),
            is_part: !thread["parentThreadId"].is_null(),
            log: text("path").map(PathBuf::from),
        }
    }
}

/// Reads the answer to [`Request::List`]: whether the message stands in the queue. True where
/// the answer is only a part of it.
pub fn holds(answer: &Value, message: &str) -> bool {
    let mut queued = answer["data"].as_array().into_iter().flatten();
    !answer["nextCursor"].is_null() || queued.any(|one| one["clientUserMessageId"] == message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_queued_text_names_its_thread_and_its_message() {
        let frame = Request::Queue {
            thread: "t",
            message: "m-1",
            text: "a \"b\"\nc",
        }
        .frame(4);
        let frame: Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(frame["id"], 4);
        assert_eq!(frame["params"]["input"][0]["text"], "a \"b\"\nc");
        assert_eq!(frame["params"]["clientUserMessageId"], "m-1");
        assert!(frame.get("jsonrpc").is_none());
    }

    #[test]
    fn only_the_answer_to_the_own_request_counts() {
        assert_eq!(answer(r#"{"id":1,"result":{}}"#, 2), None);
        assert_eq!(
            answer(r#"{"method":"thread/started","params":{}}"#, 1),
            None
        );
        // A request of the server's may have the same number.
        assert_eq!(answer(r#"{"id":1,"method":"x","params":{}}"#, 1), None);
        assert_eq!(answer("nonsense", 1), None);
        assert_eq!(
            answer(r#"{"id":1,"result":{"a":2}}"#, 1),
            Some(Ok(json!({"a": 2})))
        );
        let refused = answer(r#"{"id":1,"error":{"code":-1,"message":"no\u001b[2J"}}"#, 1);
        let why = refused.unwrap().unwrap_err();
        assert!(why.starts_with("no") && !why.contains('\u{1b}'), "{why:?}");
    }

    #[test]
    fn a_thread_says_whether_the_server_has_it() {
        let of = |status: Value| {
            Thread::of(&json!({"thread": {"status": status, "path": "/l", "parentThreadId": null}}))
        };
        let idle = of(json!({"type": "idle"}));
        assert!(idle.loaded && idle.log == Some("/l".into()) && idle.cwd.is_none());
        assert!(!idle.is_part);
        assert!(Thread::of(&json!({"thread": {"parentThreadId": "t"}})).is_part);
        assert!(of(json!({"type": "active", "activeFlags": ["waitingOnApproval"]})).loaded);
        assert!(!of(json!({"type": "notLoaded"})).loaded);
        assert!(!Thread::of(&json!(null)).loaded);
    }

    #[test]
    fn a_queue_holds_a_message_until_the_last_page_lacks_it() {
        let page =
            |next: Value| json!({"data": [{"clientUserMessageId": "a"}], "nextCursor": next});
        assert!(holds(&page(Value::Null), "a"));
        assert!(!holds(&page(Value::Null), "b"));
        assert!(holds(&page("more".into()), "b"), "not seen to be gone");
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_sends_is_a_panic(text in ".*", id in 0_u64..3) {
            if let Some(Ok(value)) = answer(&text, id) {
                Thread::of(&value);
                holds(&value, "m");
            }
        }
    }
}
