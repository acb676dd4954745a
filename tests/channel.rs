//! The life of a channel process: how it greets its client, what it does when the client or the
//! hub goes away. Raw JSON-RPC lines, because a client library would tidy up too much.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Command;
use support::home::TestHome;
use support::mcp::McpClient;
use support::process::Live;
use support::raw::RawClient;
use support::wait_until;

#[test]
fn every_protocol_version_of_the_clients_is_spoken() {
    let home = TestHome::new();
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let mut channel = Channel::start(home.ecorelay(&["mcp"]));
        let result = channel.initialize(version);
        assert_eq!(result["protocolVersion"], version);
        assert!(result["capabilities"]["tools"].is_object());
        assert!(result["capabilities"]["experimental"]["claude/channel"].is_object());
        assert_eq!(result["serverInfo"]["name"], "ecorelay");
        let tools = channel.ask("tools/list", json!({}));
        assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 19);
    }
}

#[test]
fn discovery_and_unknown_methods_are_refused_by_the_book() {
    let home = TestHome::new();
    let mut channel = Channel::start(home.ecorelay(&["mcp"]));
    // Claude Code asks this first; a server that answers it cannot push.
    let discover = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
    assert_eq!(
        channel.ask("server/discover", discover)["error"]["code"],
        -32601
    );
    channel.initialize("2025-11-25");
    for method in ["prompts/list", "resources/list", "relay/dance"] {
        assert_eq!(
            channel.ask(method, json!({}))["error"]["code"],
            -32601,
            "{method}"
        );
    }
    assert_eq!(channel.ask("ping", json!({}))["result"], json!({}));
}

#[test]
fn a_channel_ends_when_its_client_does() {
    let home = TestHome::new();
    let mut channel = Channel::start(home.ecorelay(&["mcp"]));
    channel.initialize("2025-11-25");
    channel.process.close_input();
    assert_eq!(channel.process.ended().code(), Some(0));
    for signal in [Signal::TERM, Signal::INT] {
        let mut channel = Channel::start(home.ecorelay(&["mcp"]));
        channel.initialize("2025-11-25");
        let sockets = || std::fs::read_dir(home.data().join("push")).map_or(0, Iterator::count);
        wait_until("its socket", || (sockets() == 1).then_some(()));
        channel.process.signal(signal);
        channel.process.ended();
        assert_eq!(sockets(), 0);
    }
    // Its session is gone with it.
    let mut raw = RawClient::connect(&home.socket());
    wait_until("the sessions to be gone", || {
        (raw.request(json!({"type": "list_peers"}))["peers"] == json!([])).then_some(())
    });
}

#[test]
fn a_channel_starts_wherever_it_is() {
    let home = TestHome::new();
    // The folder's name is over a name's 64 characters, its path over the 1,024 of a cwd.
    let mut deep = home.path().to_owned();
    for _ in 0..6 {
        deep.push("Ein sehr langer Ordner! ".repeat(8));
    }
    std::fs::create_dir_all(&deep).unwrap();
    let mut command = home.ecorelay(&["mcp"]);
    command.current_dir(&deep);
    let channel = McpClient::start_with(&home, "deep", command);
    let me = channel.ok("relay_peers", json!({}))["me"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        me.starts_with("ein-sehr-langer-ordner") && me.len() <= 64,
        "{me}"
    );

    // A second one there gets a name of its own.
    let mut command = home.ecorelay(&["mcp"]);
    command.current_dir(&deep);
    let second = McpClient::start_with(&home, "deep-2", command);
    let other = second.ok("relay_peers", json!({}))["me"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(other.ends_with("-2") && other.len() <= 64, "{other}");
}

#[test]
fn a_killed_hub_is_started_again_and_nothing_is_lost_or_shown_twice() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    alice.ok("relay_join", json!({"room": "ops"}));
    for n in 0..3 {
        alice.ok("relay_send", json!({"to": "bob", "text": format!("n{n}")}));
        home.kill_hub();
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(bob.pushed().meta["msg_id"].clone());
    }
    let inbox = wait_until("bob's inbox", || bob.call("relay_inbox", json!({})).ok());
    let texts: Vec<&str> = inbox["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["n0", "n1", "n2"]);
    // Every one was pushed once, in order: ids are not repeated.
    let ids: Vec<&Value> = inbox["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["msg_id"])
        .collect();
    assert_eq!(seen.iter().collect::<Vec<_>>(), ids);
    assert_eq!(bob.pushed_so_far(), []);
    wait_until("the room to be joined again", || {
        (bob.ok("relay_rooms", json!({}))["rooms"][0]["members"] == json!(["alice"])).then_some(())
    });
}

#[test]
#[cfg(unix)]
fn a_command_that_waits_takes_the_messages_of_the_session_it_runs_in() {
    let home = TestHome::new();
    let mut channel = Channel::start(home.ecorelay(&["--as", "bob", "mcp"]));
    // Of the kind that is shown nothing by itself.
    channel.initialize_as("gemini-cli-mcp-client", "2025-06-18");
    // It is answered once the session is known to the hub.
    let call = json!({"name": "relay_peers", "arguments": {}});
    let answer = channel.ask("tools/call", call);
    assert!(answer.to_string().contains(r#"\"me\":\"bob\""#), "{answer}");
    let send = home.run(&["--as", "ann", "send", "bob", "are you there?", "--json"]);
    let sent = send.expect_code(0).json();
    assert_eq!(sent["state"], "stored", "{sent}");
    let waited = home.run(&["wait"]).expect_code(0);
    assert!(
        waited.stdout.starts_with("[ecorelay] "),
        "{}",
        waited.stdout
    );
    assert!(waited.stdout.contains("\nare you there?\n"));
    let id = sent["msg_id"].as_str().unwrap();
    wait_until("the hub to hear of it", || {
        let why = home.run(&["why", id, "--json"]).expect_code(0).json();
        (why["state"] == "delivered").then_some(())
    });
    let waited = home.run(&["wait", "--timeout", "1", "--as", "bob", "--json"]);
    assert_eq!(waited.expect_code(0).json()["text"], Value::Null);
}

#[test]
#[cfg(unix)]
fn the_status_says_by_which_path_messages_reach_a_session_and_why_by_none() {
    let home = TestHome::new();
    let mut channel = Channel::start(home.ecorelay(&["--as", "bob", "mcp"]));
    channel.initialize_as("gemini-cli-mcp-client", "2025-06-18");
    // Answered by the hub, so that there is one and the session is registered.
    channel.ask(
        "tools/call",
        json!({"name": "relay_peers", "arguments": {}}),
    );
    let bob_by = |path: &str, last: &Value| {
        wait_until("the push path", || {
            let status = home.run(&["node", "status", "--json"]).expect_code(0);
            let bob = status.json()["sessions"][0].clone();
            let as_told = bob["push"] == path && bob["last_push"]["result"] == *last;
            as_told.then_some(bob)
        })
    };
    let bob = bob_by("none", &Value::Null);
    let why = bob["push_detail"].as_str().unwrap();
    assert!(why.starts_with("no waiter at this moment"), "{bob}");
    assert!(bob["push_since"].is_u64() && bob["last_push"].is_null());
    let page = home.run(&["node", "status"]).expect_code(0).stdout;
    for words in [
        "PUSH",
        "bob is not woken: no waiter",
        "ecorelay doctor gemini",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }

    let mut waiting = Live::start(home.ecorelay(&["wait"]));
    let bob = bob_by("wait", &Value::Null);
    assert_eq!(bob["push_detail"], Value::Null);
    let peers = home.run(&["peers", "--json", "--as", "ann"]);
    assert_eq!(peers.expect_code(0).json()["peers"][0]["push"], "wait");
    home.run(&["send", "bob", "hello", "--as", "ann"])
        .expect_code(0);
    assert!(waiting.ended().success());
    let bob = bob_by("none", &json!("handed"));
    assert_eq!(bob["last_push"]["path"], "wait", "{bob}");
}

#[test]
fn a_command_that_waits_outside_a_session_acts_for_a_name() {
    let home = TestHome::new();
    let waited = home
        .run(&["wait", "--as", "carol", "--timeout", "1"])
        .expect_code(0);
    assert_eq!(waited.stdout, "", "nothing came");
    assert!(waited.stderr.contains("No message for carol"));
    home.run(&["send", "carol", "one", "--as", "ann"])
        .expect_code(0);
    let waited = home.run(&["wait", "--as", "carol"]).expect_code(0);
    assert!(waited.stdout.contains("one") && waited.stdout.contains("ecorelay reply m-"));
    let waited = home.run(&["wait", "--as", "carol", "--timeout", "1", "--json"]);
    let nothing = json!({"ok": true, "name": "carol", "msg_ids": [], "text": null});
    assert_eq!(waited.expect_code(0).json(), nothing, "it was read");

    let mut waiting = Live::start(home.ecorelay(&["wait", "--as", "carol", "--json"]));
    wait_until("carol to be there", || {
        let peers = home
            .run(&["peers", "--json", "--as", "ann"])
            .expect_code(0)
            .json();
        peers["peers"]
            .as_array()?
            .iter()
            .any(|p| p["name"] == "carol")
            .then_some(())
    });
    home.run(&["send", "carol", "two", "--as", "ann"])
        .expect_code(0);
    let line = waiting.json();
    assert_eq!(
        (&line["text"], &line["from"]),
        (&json!("two"), &json!("ann"))
    );
    assert!(waiting.ended().success());
}

/// A channel process that is spoken to in raw lines.
struct Channel {
    process: Live,
    last_id: u64,
}

impl Channel {
    fn start(command: Command) -> Self {
        Self {
            process: Live::start(command),
            last_id: 0,
        }
    }

    fn initialize(&mut self, version: &str) -> Value {
        self.initialize_as("raw", version)
    }

    fn initialize_as(&mut self, name: &str, version: &str) -> Value {
        let client = json!({"name": name, "version": "1"});
        let answer = self.ask(
            "initialize",
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client}),
        );
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.process.write(&initialized.to_string());
        answer["result"].clone()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.process.write(&request.to_string());
        loop {
            let line = self.process.json();
            if line["id"] == id {
                return line;
            }
        }
    }
}
