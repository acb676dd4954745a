//! The chat completions API of OpenAI, streamed and whole, with tool calls: OpenCode, Copilot
//! CLI, Cline and Aider speak it.

use super::mock_http::{Request, Response};
use super::mock_model::{Api, Heard, Reply, text_of, unique};
use serde_json::{Value, json};

/// Chat completions for assistants with tools: a request without tools is a title or a summary.
pub(crate) static CHAT: Api = Api { hear, say, other };

/// Chat completions for assistants that have no tools (Aider): every request counts.
pub(crate) static PLAIN_CHAT: Api = Api {
    hear: hear_plain,
    say,
    other,
};

/// The models on the list.
const MODELS: [&str; 3] = ["mock-model", "gpt-4o", "gpt-4.1"];

fn hear(request: &Request) -> Option<Heard> {
    let heard = hear_plain(request)?;
    Some(Heard {
        aside: heard.tools.is_empty().then_some("Aside."),
        ..heard
    })
}

fn hear_plain(request: &Request) -> Option<Heard> {
    if request.method != "POST" || !request.path.ends_with("/chat/completions") {
        return None;
    }
    let names = request.body["tools"].as_array().into_iter().flatten();
    let messages = request.body["messages"].as_array();
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    let is_system = |m: &&Value| m["role"] == "system" || m["role"] == "developer";
    let after = messages
        .iter()
        .rposition(|message| message["role"] == "assistant")
        .map_or(0, |at| at + 1);
    let newest = messages[after..].iter().filter(|m| !is_system(m));
    Some(Heard {
        newest: newest.map(words).collect::<Vec<_>>().join("\n"),
        system: messages.iter().filter(is_system).map(words).collect(),
        tools: names.map(|t| text_of(&t["function"]["name"])).collect(),
        aside: None,
    })
}

/// Returns what one message says.
fn words(message: &Value) -> String {
    let text = text_of(&message["content"]);
    if message["role"] == "tool" {
        return format!("[tool_result] {text}");
    }
    text
}

fn other(request: &Request) -> Response {
    if request.method == "GET" && request.path.ends_with("/models") {
        let list =
            MODELS.map(|id| json!({"id": id, "object": "model", "created": 1, "owned_by": "mock"}));
        return Response::json(&json!({"object": "list", "data": list}));
    }
    Response::not_found(&json!({"error": {"message": "not in this mock", "type": "not_found"}}))
}

fn say(request: &Request, reply: Reply) -> Response {
    let (message, stop) = match reply {
        Reply::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Reply::Tool { name, input } => {
            let call = json!({"index": 0, "id": unique("call"), "type": "function",
                "function": {"name": name, "arguments": input.to_string()}});
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
            (message, "tool_calls")
        }
    };
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    let mut whole =
        json!({"id": unique("chatcmpl"), "created": 1_700_000_000, "model": request.body["model"]});
    if request.body["stream"] != true {
        whole["object"] = json!("chat.completion");
        whole["choices"] = json!([{"index": 0, "message": message, "finish_reason": stop}]);
        whole["usage"] = usage;
        return Response::json(&whole);
    }
    whole["object"] = json!("chat.completion.chunk");
    let chunk = |delta: Value, stop: Value| {
        let mut chunk = whole.clone();
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": stop}]);
        (None, chunk.to_string())
    };
    let mut delta = message;
    if let Some(delta) = delta.as_object_mut() {
        delta.remove("role");
    }
    let mut last = whole.clone();
    last["choices"] = json!([]);
    last["usage"] = usage;
    Response::events(&[
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(delta, Value::Null),
        chunk(json!({}), json!(stop)),
        (None, last.to_string()),
        (None, "[DONE]".into()),
    ])
}
