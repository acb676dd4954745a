//! Reading one line of JSON-RPC: into a message for rmcp, or into the answer it gets at once.

use rmcp::model::{ClientJsonRpcMessage, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// How much of the head and tail of an overlong line is kept to find its id.
pub(crate) const EDGE_BYTES: usize = 4_096;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const SERVER_BUSY: i32 = -32_000;

/// What a line is.
pub(crate) enum Incoming {
    /// A message for the service.
    Message(Box<ClientJsonRpcMessage>),
    /// To be answered with this line.
    Answer(Vec<u8>),
    /// A notification that says nothing to us.
    Nothing,
}

/// The outside of a message.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
}

/// Returns what a line is.
pub(crate) fn read(line: &[u8]) -> Incoming {
    // Some clients begin with a byte order mark.
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    match parse(line) {
        Err(first) => match mended(line).as_deref().map(parse) {
            Some(Ok(incoming)) => incoming,
            _ => Incoming::Answer(first),
        },
        Ok(incoming) => incoming,
    }
}

/// Returns the line without the half characters that JavaScript can write and no text can
/// hold, if it may have some.
fn mended(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let suspect = text.contains("\\ud") || text.contains("\\uD");
    suspect.then(|| ecorelay_protocol::replace_lone_surrogates(text).into_bytes())
}

/// Returns what a line is, or the answer to one that cannot be read.
fn parse(line: &[u8]) -> Result<Incoming, Vec<u8>> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|error| {
        if error.is_data() {
            let message = "The line is JSON, but not a JSON-RPC message; batches are not taken.";
            error_line(None, INVALID_REQUEST, message)
        } else {
            error_line(
                None,
                PARSE_ERROR,
                &format!("The line is not JSON: {error}."),
            )
        }
    })?;
    // A client that asks which modern revisions there are would get one by which no server can
    // send anything by itself, and the channel would be mute: there is no such method here.
    if envelope.method.as_deref() == Some("server/discover") {
        return Ok(match envelope.id {
            Some(id) => Incoming::Answer(error_line(
                Some(id),
                METHOD_NOT_FOUND,
                "There is no method \"server/discover\"; begin with \"initialize\".",
            )),
            None => Incoming::Nothing,
        });
    }
    match serde_json::from_slice(line) {
        Ok(message) => Ok(Incoming::Message(Box::new(message))),
        Err(error) => match (envelope.id, envelope.method) {
            // Nobody waits for the answer to a notification.
            (None, Some(_)) => Ok(Incoming::Nothing),
            (id, _) => {
                let message = format!("The request cannot be read: {error}.");
                Err(error_line(id, INVALID_REQUEST, &message))
            }
        },
    }
}

/// Returns the answer to a line over the limit, of which both ends are known.
pub(crate) fn too_long(head: &[u8], tail: &[u8]) -> Incoming {
    let message = format!(
        "The line is longer than {} MiB.",
        crate::stdio::LINE_BYTES / (1024 * 1024)
    );
    let id = id_in_head(head).or_else(|| id_in_tail(tail));
    Incoming::Answer(error_line(id, INVALID_REQUEST, &message))
}

/// Returns the answer to a request that is one too many.
pub(crate) fn too_many(id: &RequestId) -> Vec<u8> {
    let message = "Too many requests are open; wait for some of them.";
    error_line(serde_json::to_value(id).ok(), SERVER_BUSY, message)
}

/// Returns `bytes` as a line.
pub(crate) fn line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b'\n');
    bytes
}

fn error_line(id: Option<Value>, code: i32, message: &str) -> Vec<u8> {
    let answer = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
    line(answer.to_string().into_bytes())
}

/// Returns the id where it stands before the parameters.
fn id_in_head(head: &[u8]) -> Option<Value> {
    let head = String::from_utf8_lossy(head);
    let before = head.split("\"params\"").next()?;
    id_value(before.split_once("\"id\"")?.1)
}

/// Returns the id where it stands behind the parameters, as the reference client writes it: no
/// bracket closes after it but the message's own.
fn id_in_tail(tail: &[u8]) -> Option<Value> {
    let tail = String::from_utf8_lossy(tail);
    let after = tail.rsplit_once("\"id\"")?.1;
    let own = after.trim_end().strip_suffix('}')?;
    if own.contains(['{', '}', '[', ']']) {
        return None;
    }
    id_value(after)
}

fn id_value(after_key: &str) -> Option<Value> {
    let text = after_key.trim_start().strip_prefix(':')?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let id = values.next()?.ok()?;
    (id.is_string() || id.is_number()).then_some(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn answer(incoming: Incoming) -> Value {
        match incoming {
            Incoming::Answer(bytes) => serde_json::from_slice(&bytes).unwrap(),
            _ => panic!("no answer"),
        }
    }

    fn code_and_id(line: &[u8]) -> (i64, Value) {
        let answer = answer(read(line));
        assert_eq!(answer["jsonrpc"], "2.0");
        (
            answer["error"]["code"].as_i64().unwrap(),
            answer["id"].clone(),
        )
    }

    #[test]
    fn what_is_not_json_is_answered() {
        for line in [&b"nonsense"[..], b"{", b"{\"id\":\"\xc3\x28\"}"] {
            assert_eq!(code_and_id(line), (-32_700, Value::Null));
        }
    }

    #[test]
    fn json_that_is_no_message_is_answered_with_its_id() {
        assert_eq!(code_and_id(b"[]"), (-32_600, Value::Null));
        assert_eq!(code_and_id(b"7"), (-32_600, Value::Null));
        assert_eq!(code_and_id(b"{}"), (-32_600, Value::Null));
        assert_eq!(
            code_and_id(b"{\"id\":1,\"x\":\"\xff\"}"),
            (-32_600, json!(1))
        );
        assert_eq!(code_and_id(b"{\"id\":7}"), (-32_600, json!(7)));
        assert_eq!(
            code_and_id(b"{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"ping\"}"),
            (-32_600, json!("a"))
        );
    }

    #[test]
    fn deep_nesting_is_answered_with_its_id() {
        for depth in [200, 100_000] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let line = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{{\"name\":\"x\",\"arguments\":{{\"a\":{open}{close}}}}}}}"
            );
            assert_eq!(code_and_id(line.as_bytes()), (-32_600, json!(9)), "{depth}");
        }
    }

    #[test]
    fn half_characters_are_replaced() {
        let line = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"relay_send","arguments":{"text":"\ud800 \ud83d\ude00"}}}"#;
        let Incoming::Message(message) = read(line) else {
            panic!("not read")
        };
        let text = serde_json::to_value(message).unwrap()["params"]["arguments"]["text"].clone();
        assert_eq!(text, "\u{fffd} 😀");
    }

    #[test]
    fn discovery_is_no_method_here() {
        let line = b"{\"jsonrpc\":\"2.0\",\"id\":\"d-1\",\"method\":\"server/discover\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}";
        assert_eq!(code_and_id(line), (-32_601, json!("d-1")));
    }

    #[test]
    fn a_notification_is_never_answered() {
        let line = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":5}";
        assert!(!matches!(read(line), Incoming::Answer(_)));
        assert!(matches!(
            read(b"{\"jsonrpc\":\"2.0\",\"method\":\"server/discover\"}"),
            Incoming::Nothing
        ));
    }

    #[test]
    fn the_id_of_an_overlong_line_is_found_at_either_end() {
        let id = |head: &str, tail: &str| {
            answer(too_long(head.as_bytes(), tail.as_bytes()))["id"].clone()
        };
        let head = "{\"method\":\"tools/call\",\"params\":{\"_meta\":{\"id\":3},\"x\":\"";
        assert_eq!(id(head, "xx\"},\"jsonrpc\":\"2.0\",\"id\":12}"), json!(12));
        assert_eq!(
            id(
                "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"x\",\"params\":{",
                "}}"
            ),
            json!("a")
        );
        assert_eq!(id(head, "xx\",\"id\":5}}"), Value::Null);
        assert_eq!(id("\"id", "\"id\""), Value::Null);
    }
}
