//! Google's Gemini API as far as Gemini CLI uses it: `streamGenerateContent`, `generateContent`
//! and `countTokens`, with function calls.

use super::mock_http::{Request, Response};
use super::mock_model::{Api, Heard, Reply, text_of, unique};
use serde_json::{Value, json};

/// The Gemini API.
pub(crate) static GEMINI: Api = Api { hear, say, other };

fn hear(request: &Request) -> Option<Heard> {
    let path = &request.path;
    if !path.ends_with(":generateContent") && !is_streamed(request) {
        return None;
    }
    let body = &request.body;
    let contents = body["contents"].as_array().map(Vec::as_slice);
    let contents = contents.unwrap_or_default();
    let after = contents
        .iter()
        .rposition(|content| content["role"] == "model")
        .map_or(0, |at| at + 1);
    let newest = contents[after..].iter().map(words);
    let groups = body["tools"].as_array().into_iter().flatten();
    let tools = groups.flat_map(|g| g["functionDeclarations"].as_array().into_iter().flatten());
    let tools: Vec<String> = tools.map(|tool| text_of(&tool["name"])).collect();
    let as_json = body["generationConfig"]["responseMimeType"] == "application/json";
    let aside = match (tools.is_empty(), as_json) {
        (_, true) => Some("{}"),
        (true, false) => Some("Aside."),
        (false, false) => None,
    };
    Some(Heard {
        newest: newest.collect::<Vec<_>>().join("\n"),
        system: words(&body["systemInstruction"]),
        tools,
        aside,
    })
}

fn is_streamed(request: &Request) -> bool {
    request.path.ends_with(":streamGenerateContent")
}

/// Returns what one content says.
fn words(content: &Value) -> String {
    let parts = content["parts"].as_array().into_iter().flatten();
    let texts = parts.map(|part| match &part["functionResponse"] {
        Value::Null => text_of(&part["text"]),
        response => format!("[tool_result] {}", answer_of(&response["response"])),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Returns the text of a tool's result; the whole of it where it has no text of its own.
fn answer_of(response: &Value) -> String {
    let output = text_of(&response["output"]);
    if output.is_empty() {
        response.to_string()
    } else {
        output
    }
}

fn other(request: &Request) -> Response {
    if request.path.ends_with(":countTokens") {
        return Response::json(&json!({"totalTokens": 100}));
    }
    Response::not_found(
        &json!({"error": {"code": 404, "message": "not in this mock", "status": "NOT_FOUND"}}),
    )
}

fn say(request: &Request, reply: Reply) -> Response {
    let part = match reply {
        Reply::Text(text) => json!({"text": text}),
        Reply::Tool { name, input } => json!({"functionCall": {"name": name, "args": input}}),
    };
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110},
        "modelVersion": "mock-model",
        "responseId": unique("r"),
    });
    if is_streamed(request) {
        Response::events(&[(None, answer.to_string())])
    } else {
        Response::json(&answer)
    }
}
