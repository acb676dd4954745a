//! The Responses API of OpenAI, streamed, as Codex uses it: function calls with a name space,
//! the search for deferred tools, and the newest models' code mode.
//!
//! What a [`Reply::Tool`] becomes is told by its name: `space/name` is a call in that name space,
//! `tool_search` a search, and `functions/exec` code (its input has the key `code`).

use super::mock_http::{Request, Response};
use super::mock_model::{Api, Heard, Reply, text_of, unique};
use serde_json::{Value, json};

/// The Responses API.
pub(crate) static RESPONSES: Api = Api { hear, say, other };

/// What stands in the request for a title; it carries tools like any other.
const TITLE: &str = "Do not answer the request.";

/// The kinds of items that the model has made.
const OF_THE_MODEL: [&str; 5] = [
    "function_call",
    "custom_tool_call",
    "reasoning",
    "local_shell_call",
    "tool_search_call",
];

fn hear(request: &Request) -> Option<Heard> {
    if request.method != "POST" || !request.path.ends_with("/responses") {
        return None;
    }
    let body = &request.body;
    let items = body["input"].as_array().map(Vec::as_slice);
    let items = items.unwrap_or_default();
    let after = items
        .iter()
        .rposition(is_of_the_model)
        .map_or(0, |at| at + 1);
    let newest = items[after..].iter().filter(|item| !is_system(item));
    let newest = newest.map(words).collect::<Vec<_>>().join("\n");
    let mut tools = names(&body["tools"]);
    // In code mode the tools travel as an item of the conversation.
    for item in items.iter().filter(|i| i["type"] == "additional_tools") {
        tools.extend(names(&item["tools"]));
    }
    let aside = tools.is_empty() || newest.contains(TITLE);
    let developer = items.iter().filter(|item| is_system(item)).map(words);
    Some(Heard {
        newest,
        system: text_of(&body["instructions"]) + &developer.collect::<String>(),
        tools,
        aside: aside.then_some("Aside."),
    })
}

fn is_of_the_model(item: &Value) -> bool {
    let kind = item["type"].as_str().unwrap_or_default();
    OF_THE_MODEL.contains(&kind) || item["role"] == "assistant"
}

fn is_system(item: &Value) -> bool {
    item["role"] == "system" || item["role"] == "developer"
}

/// Returns what one item says.
fn words(item: &Value) -> String {
    match item["type"].as_str() {
        None | Some("message") => text_of(&item["content"]),
        Some("function_call_output" | "custom_tool_call_output") => {
            let output = &item["output"];
            match text_of(output) {
                text if text.is_empty() => format!("[tool_result] {output}"),
                text => format!("[tool_result] {text}"),
            }
        }
        Some("tool_search_output") => format!("[tool_result] {}", item["tools"]),
        Some(other) => format!("[{other}]"),
    }
}

/// Returns the names of tools; those in a name space as `space/name`.
fn names(tools: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for tool in tools.as_array().into_iter().flatten() {
        match tool["tools"].as_array() {
            Some(inner) => names.extend(
                inner
                    .iter()
                    .map(|t| format!("{}/{}", text_of(&tool["name"]), text_of(&t["name"]))),
            ),
            None if tool["name"].is_string() => names.push(text_of(&tool["name"])),
            None => names.push(text_of(&tool["type"])),
        }
    }
    names
}

fn other(request: &Request) -> Response {
    if request.method == "GET" && request.path.ends_with("/models") {
        return Response::json(&json!({"object": "list", "data": [], "models": []}));
    }
    Response::not_found(&json!({"error": {"message": "not in this mock", "type": "not_found"}}))
}

fn say(request: &Request, reply: Reply) -> Response {
    let item = item(reply);
    let id = unique("resp");
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110});
    let whole = json!({"id": id, "object": "response", "status": "completed", "output": [item], "usage": usage});
    if request.body["stream"] != true {
        return Response::json(&whole);
    }
    let mut begun = item.clone();
    if begun["type"] == "message" {
        begun["content"] = json!([]);
    }
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": id, "object": "response", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
    ];
    if item["type"] == "message" {
        events.push(
            json!({"type": "response.output_text.delta", "item_id": item["id"], "output_index": 0,
                "content_index": 0, "delta": item["content"][0]["text"]}),
        );
    }
    events.extend([
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": whole}),
    ]);
    let named: Vec<_> = events
        .iter()
        .map(|event| (event["type"].as_str(), event.to_string()))
        .collect();
    Response::events(&named)
}

/// Returns the item that a reply is.
fn item(reply: Reply) -> Value {
    let (name, input) = match reply {
        Reply::Text(text) => {
            return json!({"type": "message", "id": unique("msg"), "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}]});
        }
        Reply::Tool { name, input } => (name, input),
    };
    let call = unique("call");
    match name.as_str() {
        "tool_search" => {
            json!({"type": "tool_search_call", "id": unique("ts"), "call_id": call, "execution": "client",
                "status": "completed", "arguments": input})
        }
        "functions/exec" => {
            json!({"type": "custom_tool_call", "id": unique("ctc"), "call_id": call, "status": "completed",
                "name": "exec", "namespace": "functions", "input": input["code"]})
        }
        _ => {
            let mut item = json!({"type": "function_call", "id": unique("fc"), "call_id": call,
                "name": name, "arguments": input.to_string(), "status": "completed"});
            if let Some((space, name)) = name.split_once('/') {
                item["namespace"] = json!(space);
                item["name"] = json!(name);
            }
            item
        }
    }
}
