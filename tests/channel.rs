//! The life of a channel process: how it greets its client, what it does when the client or the
//! hub goes away. Raw JSON-RPC lines, because a client library would tidy up too much.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use support::home::TestHome;
use support::mcp::McpClient;
use support::process::ended_within;
use support::raw::RawClient;
use support::{DEADLINE, wait_until};

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
    channel.input = None;
    let status = ended_within(&mut channel.process, DEADLINE).expect("the end after EOF");
    assert_eq!(status.code(), Some(0));
    for signal in [Signal::TERM, Signal::INT] {
        let mut channel = Channel::start(home.ecorelay(&["mcp"]));
        channel.initialize("2025-11-25");
        kill_process(Pid::from_child(&channel.process), signal).unwrap();
        assert!(
            ended_within(&mut channel.process, DEADLINE).is_some(),
            "{signal:?}"
        );
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
        for hub in home.hubs() {
            hub.kill(Signal::KILL);
        }
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

/// A channel process that is spoken to in raw lines.
struct Channel {
    process: Child,
    input: Option<ChildStdin>,
    output: Receiver<Value>,
    last_id: u64,
}

impl Channel {
    fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("only JSON on standard output");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = process.stdin.take();
        Self {
            process,
            input,
            output,
            last_id: 0,
        }
    }

    fn initialize(&mut self, version: &str) -> Value {
        let answer = self.ask(
            "initialize",
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}),
        );
        self.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        self.write(
            &json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}),
        );
        loop {
            let line = self.output.recv_timeout(DEADLINE).expect("an answer");
            if line["id"] == self.last_id {
                return line;
            }
        }
    }

    fn write(&mut self, line: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
