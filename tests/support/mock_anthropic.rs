//! Anthropic's Messages API as far as Claude Code uses it: streamed and whole answers, tool
//! calls, token counts, the model list.

use super::mock_http::{Request, Response};
use super::mock_model::{Api, Heard, Reply, text_of, unique};
use serde_json::{Value, json};

/// The Messages API.
pub(crate) static ANTHROPIC: Api = Api { hear, say, other };

fn hear(request: &Request) -> Option<Heard> {
    if (request.method.as_str(), request.path.as_str()) != ("POST", "/v1/messages") {
        return None;
    }
    let body = &request.body;
    let names = body["tools"].as_array().into_iter().flatten();
    let tools: Vec<String> = names.map(|tool| text_of(&tool["name"])).collect();
    Some(Heard {
        newest: newest(&body["messages"]),
        system: text_of(&body["system"]),
        // Titles, summaries and probes come with no tools, or with two to answer in a form.
        aside: (tools.len() <= 2).then_some("Aside."),
        tools,
    })
}

fn other(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("HEAD", _) => Response::empty(),
        ("GET", "/v1/models") => Response::json(&json!({"data": [], "has_more": false})),
        ("POST", "/v1/messages/count_tokens") => Response::json(&json!({"input_tokens": 1000})),
        _ => Response::not_found(
            &json!({"type": "error", "error": {"type": "not_found_error", "message": "not in this mock"}}),
        ),
    }
}

fn say(request: &Request, reply: Reply) -> Response {
    let (block, stop) = content(reply);
    let usage = json!({"input_tokens": 100, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let mut message = json!({"id": unique("msg"), "type": "message", "role": "assistant", "model": request.body["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
    if request.body["stream"] != true {
        message["content"] = json!([block]);
        message["stop_reason"] = json!(stop);
        return Response::json(&message);
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
    let named: Vec<_> = events
        .iter()
        .map(|event| (event["type"].as_str(), event.to_string()))
        .collect();
    Response::events(&named)
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
