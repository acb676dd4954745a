//! What an MCP client sees of a channel, hub or no hub.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::client::Client;
use common::options;
use serde_json::{Value, json};

#[test]
fn each_known_version_is_agreed_on_and_others_get_the_newest() {
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2031-01-01", "2025-11-25"),
        ("nonsense", "2025-11-25"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut client = Client::start(options(dir.path()));
        let result = client.initialize("test", asked)["result"].clone();
        assert_eq!(result["protocolVersion"], agreed, "{asked}");
        assert_eq!(result["serverInfo"]["name"], "ecorelay");
        assert_eq!(
            result["capabilities"],
            json!({"tools": {}, "experimental": {"claude/channel": {}}})
        );
        assert!(result["instructions"].as_str().unwrap().len() > 200);
        client.notify("notifications/initialized");
        assert_eq!(client.request("ping", json!({}))["result"], json!({}));
        let list = client.request("tools/list", json!({}));
        let keys: Vec<_> = list["result"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["tools"]);
        client.close_and_wait();
    }
}

#[test]
fn discovery_before_initialize_is_no_method_and_the_handshake_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(options(dir.path()));
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2.1.330"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    for params in [json!({"_meta": meta}), json!({})] {
        let answer = client.request("server/discover", params);
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    let result = client.initialize("claude-code", "2025-11-25");
    assert_eq!(result["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn what_is_not_offered_is_no_method() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::initialized(options(dir.path()), "test");
    for method in [
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "completion/complete",
        "logging/setLevel",
        "tasks/get",
        "skills/list",
        "server/discover",
        "no/such",
    ] {
        let params = json!({"uri": "x:y", "name": "x", "level": "info", "taskId": "t",
            "ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "x", "value": "y"}});
        let answer = client.request(method, params);
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
}

#[test]
fn the_tools_are_listed_in_order_with_their_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::initialized(options(dir.path()), "test");
    let list = client.request("tools/list", json!({}))["result"]["tools"].clone();
    let lines: Vec<String> = list.as_array().unwrap().iter().map(outline).collect();
    assert_eq!(
        lines,
        [
            "relay_peers()",
            "relay_reply(ask_id: string, text: string)",
            "relay_broadcast(question: string, exclude_self?: boolean, scope?: string)",
            "relay_rename(new_name: string)",
            "relay_send(to: string, text: string, reply_to?: string, urgent?: boolean)",
            "relay_inbox(limit?: integer 1..100, since_id?: string)",
            "relay_join(room: string)",
            "relay_leave(room: string)",
            "relay_room(room: string, text: string)",
            "relay_rooms()",
            "relay_group_create(name: string, members: array)",
            "relay_group_invite(group: string, peer: string)",
            "relay_group_remove(group: string, peer: string, reason: string)",
            "relay_group_leave(group: string)",
            "relay_group_send(group: string, text: string)",
            "relay_group_history(group: string, limit?: integer 1..500)",
            "relay_group_list()",
            "relay_group_info(group: string)",
            "relay_group_delete(group: string)",
        ]
    );
    for tool in list.as_array().unwrap() {
        assert!(!tool["description"].as_str().unwrap().is_empty());
        for hint in ["readOnlyHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{tool}");
        }
    }
}

/// One tool as `name(argument: type, optional?: type range)`; required ones first.
fn outline(tool: &Value) -> String {
    let schema = &tool["inputSchema"];
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().map(|name| name.as_str().unwrap()).collect())
        .unwrap_or_default();
    let properties = schema["properties"].as_object().unwrap();
    let typed = |name: &str| {
        let property = &properties[name];
        let range = match property.get("maximum") {
            Some(most) => format!(" {}..{most}", property["minimum"]),
            None => String::new(),
        };
        format!("{}{range}", property["type"].as_str().unwrap())
    };
    let args: Vec<String> = required
        .iter()
        .map(|name| format!("{name}: {}", typed(name)))
        .chain(
            properties
                .keys()
                .filter(|name| !required.contains(&name.as_str()))
                .map(|name| format!("{name}?: {}", typed(name))),
        )
        .collect();
    format!("{}({})", tool["name"].as_str().unwrap(), args.join(", "))
}

#[test]
fn bad_arguments_are_answered_at_once_without_a_hub() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::initialized(options(dir.path()), "test");
    for (tool, args, word) in [
        (
            "relay_send",
            json!({"to": "a b", "text": "x"}),
            "\\\"to\\\"",
        ),
        ("relay_inbox", json!({"limit": 101}), "1 to 100"),
        (
            "relay_group_history",
            json!({"group": "g", "limit": 0}),
            "1 to 500",
        ),
        (
            "relay_group_remove",
            json!({"group": "g", "peer": "p", "reason": ""}),
            "reason",
        ),
        ("relay_rename", json!({}), "new_name"),
        ("relay_dance", json!({}), "tools/list"),
    ] {
        let (text, failed) = client.tool(tool, args);
        assert!(
            failed && text.starts_with(r#"{"ok":false,"code":"bad_args","message":""#),
            "{text}"
        );
        assert!(text.contains(word), "{text}");
    }
    let answer = client.request(
        "tools/call",
        json!({"name": "relay_peers", "arguments": [1]}),
    );
    assert!(answer["result"]["isError"] == true, "{answer}");
    let keys: Vec<_> = answer["result"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["content", "isError"]);
    let answer = client.request("tools/call", json!({"name": 7}));
    assert_eq!(answer["error"]["code"], -32602);
}

#[test]
fn no_line_kills_the_channel() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(options(dir.path()));
    client.send_raw(b"nonsense\n\n\r\n{\"a\":\n");
    assert_eq!(client.next()["error"]["code"], -32700);
    assert_eq!(client.next()["error"]["code"], -32700);
    // Before initialize, where a stray notification or answer once ended a server.
    client.send_raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/stray\"}\n");
    client.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n");
    client.initialize("test", "2025-11-25");
    client.notify("notifications/initialized");
    client.send_raw(b"\"\xff\xfe\"\n");
    assert_eq!(client.next()["error"]["code"], -32700);
    client.send_raw(format!("{}\n", "[".repeat(100_000)).as_bytes());
    assert_eq!(client.next()["error"]["code"], -32700);
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"deep\",\"method\":\"tools/call\",\"params\":{}1{}}}\n",
        "{\"a\":".repeat(100_000),
        "}".repeat(100_000)
    );
    client.send_raw(deep.as_bytes());
    assert_eq!(client.next()["id"], "deep");
    let (text, failed) = client.tool(
        "relay_send",
        json!({"to": "a", "text": "x".repeat(5 << 20)}),
    );
    assert!(
        failed && text.contains("too_large"),
        "{}",
        &text[..200.min(text.len())]
    );
    let too_long = client.begin("tools/call", json!({"x": "y".repeat(9 << 20)}));
    assert_eq!(client.answer(too_long)["error"]["code"], -32600);
    let id = client.begin("ping", json!({}));
    assert_eq!(client.answer(id)["result"], json!({}));
    client.close_and_wait();
}

#[test]
fn a_character_cut_between_two_reads_survives() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::initialized(options(dir.path()), "test");
    let line = "{\"jsonrpc\":\"2.0\",\"id\":\"é世\",\"method\":\"ping\"}\n".as_bytes();
    for byte in line {
        client.send_raw(&[*byte]);
    }
    assert_eq!(client.next()["id"], "é世");
}
