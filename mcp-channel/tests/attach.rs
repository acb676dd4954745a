//! Plugins, hooks, waiters and terminals that attach to the channel and take messages.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::client::Client;
use common::hub::{Asked, FakeHub};
use common::{DEADLINE, options};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The process id of the assistant in these tests.
const CLIENT: u32 = 4_242;

fn message(id: &str, text: &str) -> Value {
    json!({"type": "incoming_message", "msg_id": id, "from": "api@desk", "text": text,
        "ts": "2026-11-22T10:00:00.000Z", "reply_to": null,
        "header": format!("[ecorelay] HEAD {id}"), "kind": "message"})
}

/// A channel between a client that is called `name` and a hub.
fn channel(dir: &Path, name: &str) -> (FakeHub, Client, Asked) {
    let hub = FakeHub::start(dir);
    let mut options = options(dir);
    options.around.parent = CLIENT;
    options.around.peer_id = None;
    let client = Client::initialized(options, name);
    let registered = hub.asked_for("register");
    (hub, client, registered)
}

fn socket(dir: &Path) -> PathBuf {
    dir.join(format!("push/{CLIENT}-{}.sock", std::process::id()))
}

/// One who attaches.
struct Attacher {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Attacher {
    fn connect(dir: &Path) -> Self {
        let end = Instant::now() + DEADLINE;
        let stream = loop {
            match UnixStream::connect(socket(dir)) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < end => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    fn attach(dir: &Path, kind: &str, session: Value) -> Self {
        let mut attacher = Self::connect(dir);
        attacher.say(
            json!({"type": "attach", "version": 1, "kind": kind, "agent": "test",
            "session": session, "name": null, "program_version": null}),
        );
        let answer = attacher.next();
        assert_eq!(answer["type"], "attached", "{answer}");
        attacher
    }

    fn say(&mut self, line: Value) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the channel has closed");
        serde_json::from_str(&line).unwrap()
    }

    /// Returns the next push, which is confirmed.
    fn take_push(&mut self) -> Value {
        let push = self.next();
        assert_eq!(push["type"], "push", "{push}");
        self.say(json!({"type": "pushed", "id": push["id"], "result": "handed"}));
        push
    }

    fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.lines
            .read_to_end(&mut rest)
            .is_ok_and(|_| rest.is_empty())
    }
}

fn pushed(hub: &FakeHub) -> (String, String, String, Value) {
    let line = hub.asked_for("pushed").line;
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (
        text("result"),
        text("path"),
        text("detail"),
        line["msg_ids"].clone(),
    )
}

#[test]
fn a_plugin_takes_a_message_and_its_word_reaches_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "copilot-cli");
    let mut plugin = Attacher::attach(dir.path(), "plugin", json!("s-1"));
    registered.push(&message("m-1", "hello"));
    let push = plugin.next();
    assert_eq!(
        push,
        json!({"type": "push", "id": 1, "msg_ids": ["m-1"], "urgent": false,
            "text": "[ecorelay] HEAD m-1\n<<<peer-text\nhello\npeer-text>>>"})
    );
    assert!(hub.idle(), "nothing is known before the plugin says it");
    plugin.say(json!({"type": "pushed", "id": 1, "result": "unknown", "detail": "no receipt"}));
    let (result, path, detail, ids) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("unknown", "plugin"));
    assert_eq!((detail.as_str(), ids), ("no receipt", json!(["m-1"])));
}

#[test]
fn what_waits_is_handed_to_who_attaches_and_the_hub_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "copilot-cli");
    for id in ["m-1", "m-2"] {
        registered.push(&message(id, "hello"));
        let (result, path, detail, ids) = pushed(&hub);
        assert_eq!((result.as_str(), path.as_str()), ("refused", "plugin"));
        assert!(detail.contains("no plugin"), "{detail}");
        assert_eq!(ids, json!([id]));
    }
    let mut plugin = Attacher::attach(dir.path(), "plugin", Value::Null);
    let push = plugin.take_push();
    assert_eq!(push["msg_ids"], json!(["m-1", "m-2"]));
    let (result, path, _, ids) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("handed", "plugin"));
    assert_eq!(ids, json!(["m-1", "m-2"]));
}

#[test]
fn what_was_read_in_the_inbox_is_not_handed_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut client, mut registered) = channel(dir.path(), "copilot-cli");
    for id in ["m-1", "m-2"] {
        registered.push(&message(id, "hello"));
        pushed(&hub);
    }
    let call = client.begin_tool("relay_inbox", json!({"limit": 1}));
    let entry = json!({"msg_id": "m-1", "from": "api@desk", "text": "hello", "reply_to": null,
        "ts": "2026-11-22T10:00:00.000Z"});
    let answer = json!({"type": "inbox_result", "messages": [entry], "remaining": 1});
    hub.asked_for("inbox").answer(answer);
    client.tool_answer(call);
    let mut hook = Attacher::attach(dir.path(), "hook", Value::Null);
    hook.say(json!({"type": "take"}));
    assert_eq!(hook.take_push()["msg_ids"], json!(["m-2"]));
    let (result, path, ..) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("handed", "hook"));
    hook.say(json!({"type": "take"}));
    assert_eq!(hook.next(), json!({"type": "nothing"}));
}

#[test]
fn a_burst_of_40_is_one_notice_whoever_takes_it() {
    for kind in ["plugin", "terminal", "wait", "hook"] {
        let dir = tempfile::tempdir().unwrap();
        let (hub, _client, mut registered) = channel(dir.path(), "copilot-cli");
        for n in 0..40 {
            registered.push(&message(&format!("m-{n}"), "hello"));
        }
        for _ in 0..40 {
            assert_eq!(pushed(&hub).0, "refused");
        }
        let mut attacher = Attacher::attach(dir.path(), kind, Value::Null);
        if kind == "hook" {
            attacher.say(json!({"type": "take"}));
        }
        let push = attacher.take_push();
        assert_eq!(push["msg_ids"].as_array().unwrap().len(), 10, "{kind}");
        let text = push["text"].as_str().unwrap();
        assert!(
            text.ends_with("and 30 more in your inbox: call relay_inbox"),
            "{kind}: {text}"
        );
        let (result, path, _, ids) = pushed(&hub);
        assert_eq!((result.as_str(), path.as_str()), ("handed", kind));
        assert_eq!(ids.as_array().unwrap().len(), 10);
    }
}

#[test]
fn a_burst_into_a_busy_session_waits_for_its_plugin_and_blocks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut client, mut registered) = channel(dir.path(), "copilot-cli");
    let mut plugin = Attacher::attach(dir.path(), "plugin", Value::Null);
    registered.push(&message("m-0", "hello"));
    let first = plugin.next();
    for n in 1..40 {
        registered.push(&message(&format!("m-{n}"), "hello"));
    }
    // The plugin holds the first text; the rest is gathered, and tools work as ever.
    for _ in 0..29 {
        assert_eq!(pushed(&hub).2, "batched; in the inbox");
    }
    let call = client.begin_tool("relay_rooms", json!({}));
    hub.asked_for("list_rooms")
        .answer(json!({"type": "rooms_list", "rooms": []}));
    client.tool_answer(call);
    plugin.say(json!({"type": "pushed", "id": first["id"], "result": "handed"}));
    let push = plugin.take_push();
    assert_eq!(push["msg_ids"].as_array().unwrap().len(), 10);
    let text = push["text"].as_str().unwrap();
    assert!(
        text.ends_with("and 29 more in your inbox: call relay_inbox"),
        "{text}"
    );
    for wanted in [1, 10] {
        let (result, _, _, ids) = pushed(&hub);
        assert_eq!(
            (result.as_str(), ids.as_array().unwrap().len()),
            ("handed", wanted)
        );
    }
}

#[test]
fn who_dies_mid_push_leaves_the_message_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "copilot-cli");
    for kind in ["plugin", "hook", "wait"] {
        let id = format!("m-{kind}");
        let mut dying = Attacher::attach(dir.path(), kind, Value::Null);
        registered.push(&message(&id, "hello"));
        if kind == "hook" {
            pushed(&hub);
            dying.say(json!({"type": "take"}));
        }
        assert_eq!(dying.next()["msg_ids"], json!([id]));
        drop(dying);
        if kind != "hook" {
            let (result, path, detail, _) = pushed(&hub);
            assert_eq!((result.as_str(), path.as_str()), ("refused", kind));
            assert!(detail.contains("went away"), "{detail}");
        }
        let mut next = Attacher::attach(dir.path(), "plugin", Value::Null);
        assert_eq!(next.take_push()["msg_ids"], json!([id]));
        assert_eq!(pushed(&hub).0, "handed");
        drop(next);
    }
}

#[test]
fn what_a_session_has_taken_goes_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "@cline/core");
    let mut dying = Attacher::attach(dir.path(), "plugin", Value::Null);
    registered.push(&message("m-1", "hello"));
    let push = dying.next();
    dying.say(json!({"type": "taken", "id": 99}));
    dying.say(json!({"type": "taken", "id": push["id"]}));
    drop(dying);
    let (result, path, ..) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("unknown", "plugin"));
    let mut next = Attacher::attach(dir.path(), "plugin", Value::Null);
    registered.push(&message("m-2", "more"));
    assert_eq!(next.take_push()["msg_ids"], json!(["m-2"]));
}

#[test]
fn a_plugin_that_refuses_keeps_nothing_from_a_hook() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "gemini-cli-mcp-client");
    let mut waiter = Attacher::attach(dir.path(), "wait", Value::Null);
    registered.push(&message("m-1", "hello"));
    let push = waiter.next();
    waiter.say(json!({"type": "pushed", "id": push["id"], "result": "refused", "detail": "woken"}));
    assert_eq!(pushed(&hub).2, "woken");
    let mut hook = Attacher::attach(dir.path(), "hook", Value::Null);
    hook.say(json!({"type": "take"}));
    assert_eq!(hook.take_push()["msg_ids"], json!(["m-1"]));
    assert_eq!(pushed(&hub).1, "hook");
}

#[test]
fn a_newer_waiter_takes_the_place_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "gemini-cli-mcp-client");
    let mut old = Attacher::attach(dir.path(), "wait", Value::Null);
    let mut new = Attacher::attach(dir.path(), "wait", Value::Null);
    assert!(old.is_closed());
    registered.push(&message("m-1", "hello"));
    new.take_push();
    assert_eq!(pushed(&hub).1, "wait");
}

#[test]
fn a_hook_that_waits_is_sent_away_where_the_session_has_an_inbox_socket() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut options = options(dir.path());
    options.around.parent = CLIENT;
    options.around.inbox_socket = Some(dir.path().join("inbox.sock"));
    let _client = Client::initialized(options, "claude-code");
    hub.asked_for("register");
    let mut hook = Attacher::connect(dir.path());
    hook.say(json!({"type": "attach", "version": 1, "kind": "wait", "agent": "claude-code"}));
    let answer = hook.next();
    assert_eq!(answer["type"], "refused", "{answer}");
    assert!(hook.is_closed());
    // A person's `ecorelay wait` is no such hook.
    let mut person = Attacher::connect(dir.path());
    person.say(json!({"type": "attach", "version": 1, "kind": "wait"}));
    assert_eq!(person.next()["type"], "attached");
}

#[test]
fn while_no_hook_waits_a_message_is_kept_for_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({"enabledPlugins": {"ecorelay@ecorelay": true}});
    std::fs::write(dir.path().join("settings.json"), settings.to_string()).unwrap();
    let hub = FakeHub::start(dir.path());
    let mut options = options(dir.path());
    options.around.parent = CLIENT;
    options.around.claude_dirs = vec![dir.path().into()];
    let _client = Client::initialized(options, "claude-code");
    let mut registered = hub.asked_for("register");
    registered.push(&message("m-1", "hello"));
    // No notification, which might be dropped unseen.
    let (result, path, ..) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("refused", "wait"));
    let mut hook = Attacher::attach(dir.path(), "wait", json!("s-1"));
    assert_eq!(hook.take_push()["msg_ids"], json!(["m-1"]));
    let (result, path, ..) = pushed(&hub);
    assert_eq!((result.as_str(), path.as_str()), ("handed", "wait"));
}

#[test]
fn peers_see_what_the_session_does_also_after_the_hub_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, registered) = channel(dir.path(), "copilot-cli");
    let mut plugin = Attacher::attach(dir.path(), "plugin", Value::Null);
    for (said, seen) in [("busy", "busy"), ("dialog", "waiting"), ("idle", "idle")] {
        plugin.say(json!({"type": "state", "state": said}));
        while hub.asked_for("state").line["state"] != seen {}
    }
    registered.cut();
    assert_eq!(hub.asked_for("register").line["state"], "idle");
}

/// Waits until the hub is told that messages go by `path`, with the registration perhaps;
/// returns the reason with it.
fn told_of_path(hub: &FakeHub, registered: Option<&Asked>, path: &str) -> Value {
    let mut line = registered.map_or(Value::Null, |asked| asked.line.clone());
    loop {
        if line["push"] == path {
            return line["push_detail"].clone();
        }
        line = hub.asked().line;
    }
}

#[test]
fn the_hub_is_told_by_which_path_the_session_is_reached_and_why_by_none() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, registered) = channel(dir.path(), "copilot-cli");
    assert_eq!(
        told_of_path(&hub, Some(&registered), "none"),
        "no plugin is attached at this moment"
    );
    let plugin = Attacher::attach(dir.path(), "plugin", Value::Null);
    assert_eq!(told_of_path(&hub, None, "plugin"), Value::Null);
    // A hub that comes back is told with the registration.
    registered.cut();
    assert_eq!(hub.asked_for("register").line["push"], "plugin");
    drop(plugin);
    told_of_path(&hub, None, "none");
}

#[test]
fn a_path_that_refuses_is_none_until_it_takes_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(dir.path());
    let mut options = options(dir.path());
    let inbox = dir.path().join("inbox.sock");
    options.around.inbox_socket = Some(inbox.clone());
    let _client = Client::initialized(options, "claude-code");
    let mut registered = hub.asked_for("register");
    registered.push(&message("m-1", "hello"));
    let why = told_of_path(&hub, None, "none");
    assert!(why.as_str().unwrap().contains("inbox socket"), "{why}");
    let _session = std::os::unix::net::UnixListener::bind(&inbox).unwrap();
    registered.push(&message("m-2", "again"));
    assert_eq!(told_of_path(&hub, None, "inbox-socket"), Value::Null);
}

#[test]
fn each_session_of_one_process_is_a_peer_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut client, mut first) = channel(dir.path(), "opencode");
    let mut one = Attacher::attach(dir.path(), "plugin", json!("ses-1"));
    let mut two = Attacher::attach(dir.path(), "plugin", json!("ses-2"));
    let mut second = hub.asked_for("register");
    assert_ne!(first.line["session_key"], second.line["session_key"]);
    assert_eq!(second.line["agent"], "opencode");
    second.push(&message("m-2", "for two"));
    first.push(&message("m-1", "for one"));
    assert_eq!(one.take_push()["msg_ids"], json!(["m-1"]));
    assert_eq!(two.take_push()["msg_ids"], json!(["m-2"]));

    let arguments = json!({"new_name": "billing", "_ecorelay_session": "ses-2"});
    let call = client.begin_tool("relay_rename", arguments);
    let mut rename = hub.asked_for("rename");
    rename.push(&json!({"type": "ack", "req_id": rename.line["req_id"]}));
    assert_eq!(
        client.tool_answer(call),
        ("{\"ok\":true,\"name\":\"billing\"}".into(), false)
    );
    two.say(json!({"type": "name?"}));
    assert_eq!(two.next(), json!({"type": "name", "name": "billing"}));
    one.say(json!({"type": "name?"}));
    assert_ne!(one.next()["name"], "billing");

    // A session that is over goes away; its id is a new one afterwards.
    two.say(json!({"type": "end"}));
    assert!(two.is_closed());
    let again = Attacher::attach(dir.path(), "plugin", json!("ses-2"));
    assert_ne!(
        hub.asked_for("register").line["session_key"],
        second.line["session_key"]
    );
    drop(again);
}

#[test]
fn a_session_of_its_own_channel_is_not_taken_by_the_plugin_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (_hub, _client, _registered) = channel(dir.path(), "@cline/core");
    let one = Attacher::attach(dir.path(), "plugin", json!("s-1"));
    let attach = json!({"type": "attach", "version": 1, "kind": "plugin", "session": "s-2"});
    let mut other = Attacher::connect(dir.path());
    other.say(attach.clone());
    assert_eq!(other.next()["type"], "refused");
    assert!(other.is_closed());
    // After /clear the same assistant has another session, and its plugin starts anew.
    drop(one);
    let end = Instant::now() + DEADLINE;
    loop {
        let mut next = Attacher::connect(dir.path());
        next.say(attach.clone());
        if next.next()["type"] == "attached" {
            return;
        }
        assert!(Instant::now() < end);
    }
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, _client, mut registered) = channel(dir.path(), "copilot-cli");
    for line in [
        "nonsense",
        "{\"type\":\"take\"}",
        "{\"type\":\"attach\",\"version\":2,\"kind\":\"hook\"}",
    ] {
        let mut attacher = Attacher::connect(dir.path());
        attacher
            .stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        assert_eq!(attacher.next()["type"], "refused", "{line}");
        assert!(attacher.is_closed());
    }
    let mut endless = Attacher::attach(dir.path(), "plugin", Value::Null);
    // The channel hangs up before it has read everything.
    let _ = endless.stream.write_all(&[b'x'; 256 * 1024]);
    let mut rest = Vec::new();
    let _ = endless.lines.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let mut plugin = Attacher::attach(dir.path(), "plugin", Value::Null);
    plugin.say(json!({"type": "of a later version"}));
    plugin.say(json!({"type": "pushed", "id": 99, "result": "handed"}));
    registered.push(&message("m-1", "hello"));
    plugin.take_push();
    assert_eq!(pushed(&hub).0, "handed");
}

#[test]
fn the_socket_goes_away_with_its_channel() {
    let dir = tempfile::tempdir().unwrap();
    let (_hub, client, _registered) = channel(dir.path(), "copilot-cli");
    drop(Attacher::connect(dir.path()));
    assert!(socket(dir.path()).exists());
    client.close_and_wait();
    assert!(!socket(dir.path()).exists());
}
