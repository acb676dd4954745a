//! The command line as people and scripts meet it: one JSON document per command, with the keys
//! of the tool of that name; the exit codes 0, 1, 2 and 3; words that say what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use support::home::TestHome;
use support::process::{Finished, Live};
use support::raw::RawClient;
use support::wait_until;

#[test]
fn send_inbox_reply_and_why_follow_a_message() {
    let home = TestHome::new();
    // A hub that a command starts serves the next command too.
    let sent = json_of(&home, "ann", &["send", "bob", "hello", "bob", "--urgent"]);
    assert_eq!(
        (&sent["ok"], &sent["status"]),
        (&json!(true), &json!("queued"))
    );
    assert_eq!(sent["state"], "unknown");
    let id = sent["msg_id"].as_str().unwrap();

    let peek = json_of(&home, "bob", &["inbox", "--peek"]);
    let inbox = json_of(&home, "bob", &["inbox", "--limit", "5"]);
    assert_eq!(
        peek["messages"], inbox["messages"],
        "looking is not reading"
    );
    assert_eq!(
        (&inbox["messages"][0]["msg_id"], &inbox["remaining"]),
        (&json!(id), &json!(0))
    );
    assert_eq!(inbox["messages"][0]["text"], "hello bob");
    assert_eq!(
        (
            &inbox["messages"][0]["from"],
            &inbox["messages"][0]["urgent"]
        ),
        (&json!("ann"), &json!(true))
    );
    assert_eq!(
        json_of(&home, "bob", &["inbox"]),
        json!({"messages": [], "remaining": 0})
    );
    let again = json_of(&home, "bob", &["inbox", "--since", "m-none"]);
    assert_eq!(again["messages"][0]["msg_id"], id);

    let reply = json_of(&home, "bob", &["reply", id, "hi", "ann"]);
    assert_eq!(
        (&reply["ok"], &reply["state"]),
        (&json!(true), &json!("stored"))
    );
    let answer = &json_of(&home, "ann", &["inbox"])["messages"][0];
    assert_eq!(
        (&answer["text"], &answer["reply_to"]),
        (&json!("hi ann"), &json!(id))
    );

    let why = json_of(&home, "ann", &["why", id]);
    assert_eq!(
        (&why["ok"], &why["state"], &why["msg_id"]),
        (&json!(true), &json!("read"), &json!(id))
    );
    assert_eq!((&why["from"], &why["to"]), (&json!("ann"), &json!("bob")));
    let steps: Vec<&str> = why["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap())
        .collect();
    for step in ["accepted", "read", "answered"] {
        assert!(steps.contains(&step), "{steps:?}");
    }
    let words = home.run(&["why", id]).expect_code(0).stdout;
    assert!(
        words.contains("ann") && words.contains("answered") && !words.contains('{'),
        "{words}"
    );
}

#[test]
fn a_text_can_come_from_standard_input() {
    let home = TestHome::new();
    let mut send = Live::start(home.ecorelay(&["--as", "ann", "--json", "send", "bob", "-"]));
    send.write("two\nlines");
    send.close_input();
    assert_eq!(send.json()["ok"], true);
    assert_eq!(send.ended().code(), Some(0));
    let inbox = json_of(&home, "bob", &["inbox"]);
    assert_eq!(
        inbox["messages"][0]["text"].as_str().unwrap().trim_end(),
        "two\nlines"
    );
}

#[test]
fn peers_lists_live_sessions() {
    let home = TestHome::new();
    let _hub = home.hub();
    let _web = RawClient::session(&home.socket(), "web");
    let seen = json_of(&home, "ann", &["peers"]);
    assert_eq!(seen["me"], "ann");
    let web = &seen["peers"][0];
    for key in [
        "name",
        "cwd",
        "git_branch",
        "last_seen",
        "agent",
        "hub",
        "state",
    ] {
        assert!(!web[key].is_null(), "{key}: {seen}");
    }
    let words = home.run(&["peers"]).expect_code(0).stdout;
    assert!(words.contains("web") && words.contains("main"), "{words}");
}

#[test]
fn a_broadcast_waits_for_its_answers() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    let mut broadcast =
        Live::start(home.ecorelay(&["--as", "ann", "--json", "broadcast", "who", "is", "there?"]));
    let ask = web.next_of(&["incoming_ask"]);
    assert_eq!(
        (&ask["from"], &ask["question"]),
        (&json!("ann"), &json!("who is there?"))
    );
    web.send(&json!({"type": "reply", "ask_id": ask["ask_id"], "text": "me"}));
    let document = broadcast.json();
    assert_eq!(
        (&document["ok"], &document["peer_count"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(document["broadcast_id"], ask["broadcast_id"]);
    assert_eq!(
        (
            &document["replies"][0]["from"],
            &document["replies"][0]["text"]
        ),
        (&json!("web"), &json!("me"))
    );
    assert_eq!(broadcast.ended().code(), Some(0));

    let nobody = json_of(
        &home,
        "ann",
        &["broadcast", "anyone?", "--wait", "0", "--scope", "hub"],
    );
    assert_eq!(nobody["peer_count"], 1);
    assert_eq!(nobody["replies"], json!([]));
}

#[test]
fn a_room_is_joined_from_the_terminal() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    web.request(json!({"type": "join_room", "room": "ops"}));
    let mut room = Live::start(home.ecorelay(&["--as", "ann", "--json", "room", "join", "ops"]));
    assert_eq!(
        room.json(),
        json!({"ok": true, "room": "ops", "members": ["ann", "web"]})
    );
    room.write("hello room");
    let said = web.next_of(&["incoming_room_msg"]);
    assert_eq!(
        (&said["from"], &said["text"]),
        (&json!("ann"), &json!("hello room"))
    );
    web.request(json!({"type": "room_msg", "room": "ops", "text": "hello ann", "msg_id": "u1"}));
    let heard = room.json();
    assert_eq!(
        (&heard["from"], &heard["text"], &heard["room"]),
        (&json!("web"), &json!("hello ann"), &json!("ops"))
    );

    let rooms = json_of(&home, "zoe", &["room", "list"]);
    assert_eq!(
        rooms,
        json!({"rooms": [{"name": "ops", "members": ["ann", "web"]}]})
    );
    let said = json_of(&home, "zoe", &["room", "send", "ops", "from", "outside"]);
    assert_eq!((&said["ok"], &said["room"]), (&json!(true), &json!("ops")));
    assert!(said["delivered_count"].as_u64() >= Some(1), "{said}");
    assert_eq!(room.json()["text"], "from outside");
    assert_eq!(
        json_of(&home, "zoe", &["room", "leave", "ops"]),
        json!({"ok": true})
    );

    room.signal(Signal::INT);
    assert_eq!(room.ended().code(), Some(0));
    wait_until("ann to have left", || {
        let rooms = json_of(&home, "zoe", &["room", "list"]);
        (rooms["rooms"][0]["members"] == json!(["web"])).then_some(())
    });
}

#[test]
fn a_group_from_its_making_to_its_end() {
    let home = TestHome::new();
    let made = json_of(&home, "ann", &["group", "create", "team", "bob"]);
    assert_eq!(
        made,
        json!({"ok": true, "group": "team", "members": ["ann", "bob"]})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "invite", "team", "carl"]),
        json!({"ok": true})
    );
    let sent = json_of(&home, "ann", &["group", "send", "team", "hello", "all"]);
    assert_eq!(
        (&sent["ok"], &sent["queued_count"]),
        (&json!(true), &json!(2))
    );
    assert!(
        sent["msg_id"].is_string() && sent["delivered_count"] == 0,
        "{sent}"
    );
    let list = json_of(&home, "bob", &["group", "list"]);
    assert_eq!(
        (&list["ok"], &list["groups"][0]["name"]),
        (&json!(true), &json!("team"))
    );
    let history = json_of(&home, "bob", &["group", "history", "team", "--limit", "50"]);
    assert_eq!(
        (
            &history["ok"],
            &history["group"],
            &history["unread_remaining"]
        ),
        (&json!(true), &json!("team"), &json!(0))
    );
    let texts: Vec<&str> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert!(texts.contains(&"hello all"), "{texts:?}");
    let info = json_of(&home, "bob", &["group", "info", "team"]);
    assert_eq!((&info["ok"], &info["admin"]), (&json!(true), &json!("ann")));
    assert_eq!(info["members"].as_array().unwrap().len(), 3);
    assert_eq!(
        json_of(
            &home,
            "ann",
            &["group", "remove", "team", "carl", "--reason", "gone"]
        ),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "bob", &["group", "leave", "team"]),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "delete", "team"]),
        json!({"ok": true})
    );
    assert_eq!(
        json_of(&home, "ann", &["group", "list"])["groups"],
        json!([])
    );
}

#[test]
fn watch_shows_what_comes_until_it_is_interrupted() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut web = RawClient::session(&home.socket(), "web");
    let mut watch = Live::start(home.ecorelay(&["--as", "ann", "--json", "watch"]));
    wait_until("ann to be there", || {
        let peers = web.request(json!({"type": "list_peers"}));
        (peers["peers"][0]["name"] == "ann").then_some(())
    });
    let sent = web.request(json!({"type": "send", "to": "ann", "text": "look"}));
    let shown = watch.json();
    assert_eq!(
        (&shown["from"], &shown["text"], &shown["kind"]),
        (&json!("web"), &json!("look"), &json!("message"))
    );
    wait_until("the terminal to confirm what it has shown", || {
        let why = web.request(json!({"type": "why", "msg_id": sent["msg_id"]}));
        (why["trace"]["state"] == "delivered").then_some(())
    });
    watch.signal(Signal::INT);
    assert_eq!(watch.ended().code(), Some(0));

    // Looking over another's shoulder.
    let mut watch = Live::start(home.ecorelay(&["--json", "watch", "web"]));
    let shown = wait_until("a copy", || {
        web.request(json!({"type": "send", "to": "web", "text": "note"}));
        support::found_within(std::time::Duration::from_millis(200), || watch.try_line())
    });
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["from"], &shown["text"]),
        (&json!("web"), &json!("note"))
    );
    watch.signal(Signal::TERM);
    watch.ended();
}

#[test]
fn the_hub_is_started_looked_at_restarted_and_stopped() {
    let home = TestHome::new();
    let started = plain_json(&home, &["node", "start"]);
    assert_eq!(
        (&started["ok"], &started["started"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(plain_json(&home, &["node", "start"])["started"], false);
    let _web = RawClient::session(&home.socket(), "web");
    let status = plain_json(&home, &["node", "status"]);
    for key in [
        "hub_id", "peer_id", "version", "uptime_s", "data_dir", "sessions", "hubs", "rooms",
        "groups", "nearby", "warnings",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!(status["data_dir"], home.data().to_str().unwrap());
    assert_eq!(status["sessions"][0]["name"], "web");
    let words = home.run(&["node", "status"]).expect_code(0).stdout;
    assert!(
        words.contains("web") && words.contains(status["hub_id"].as_str().unwrap()),
        "{words}"
    );

    let restarted = plain_json(&home, &["node", "restart"]);
    assert_eq!(restarted["stopped"], true);
    assert_ne!(restarted["pid"], started["pid"]);
    assert_eq!(restarted["hub_id"], started["hub_id"], "its name stays");
    assert_eq!(
        plain_json(&home, &["node", "stop"]),
        json!({"ok": true, "stopped": true})
    );
    assert_eq!(
        plain_json(&home, &["node", "stop"]),
        json!({"ok": true, "stopped": false})
    );
    wait_until("the hub to be gone", || {
        home.hubs().is_empty().then_some(())
    });

    let logs = home.run(&["node", "logs"]).expect_code(0).stdout;
    assert!(logs.contains("the hub is up"), "{logs}");
    assert_eq!(
        home.run(&["node", "logs", "-n", "2"])
            .expect_code(0)
            .stdout
            .lines()
            .count(),
        2
    );
}

#[test]
fn up_starts_the_hub_says_what_is_next_and_leaves_it_running() {
    let home = TestHome::new();
    let words = home.run(&["up", "--detach"]).expect_code(0).stdout;
    assert!(
        words.contains("claude mcp add ecorelay -s user -- "),
        "{words}"
    );
    let mut up = Live::start(home.ecorelay(&["up", "--json"]));
    assert!(up.json()["hub_id"].is_string());
    let _web = RawClient::session(&home.socket(), "web");
    wait_until("web on the live page", || {
        let status = up.json();
        (status["sessions"][0]["name"] == "web").then_some(())
    });
    up.signal(Signal::INT);
    assert_eq!(up.ended().code(), Some(0));
    home.run(&["node", "status"]).expect_code(0);
}

#[test]
fn a_refusal_is_exit_code_1_with_its_code() {
    let home = TestHome::new();
    for (args, code) in [
        (&["reply", "m-none", "x"][..], "unknown_ask"),
        (&["why", "m-none"], "unknown_ask"),
        (&["send", "bob@nowhere", "x"], "peer_not_found"),
        (&["send", "b b", "x"], "bad_args"),
        (&["room", "join", "a/b"], "bad_args"),
        (&["group", "info", "none"], "not_member"),
        (&["group", "delete", "none"], "group_not_found"),
        (&["group", "create", "g", "x@nowhere"], "peer_not_found"),
    ] {
        let finished = home
            .run(&[&["--as", "ann", "--json"], args].concat())
            .expect_code(1);
        let document = finished.json();
        assert_eq!(
            (&document["ok"], &document["code"]),
            (&json!(false), &json!(code)),
            "{args:?}"
        );
        assert!(
            document["message"].as_str().unwrap().len() > 10,
            "{document}"
        );

        let finished = home.run(&[&["--as", "ann"], args].concat()).expect_code(1);
        assert!(
            finished.stderr.starts_with("error: ") && finished.stdout.is_empty(),
            "{finished:?}"
        );
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_a_typo_gets_a_suggestion() {
    let home = TestHome::new();
    for (args, word) in [
        (&["sned", "bob", "x"][..], "send"),
        (&["room", "jion", "x"], "join"),
        (&["group", "histroy", "x"], "history"),
        (&["node", "stauts"], "status"),
        (&["send", "bob", "x", "--urgnet"], "--urgent"),
        (&["send", "bob"], "TEXT"),
        (&["send"], "TO"),
        (&["inbox", "--limit", "0"], "1..=100"),
        (&["inbox", "--limit", "x"], "--limit"),
        (&["group", "history", "g", "--limit", "501"], "1..=500"),
        (&["broadcast", "x", "--scope", "world"], "mesh"),
        (&["--as", "a b", "peers"], "--as"),
        (&["watch", "a b"], "name"),
        (&["completions", "tcsh"], "bash"),
    ] {
        let finished = home.run(args).expect_code(2);
        assert!(
            finished.stderr.contains(word),
            "{args:?} {word}: {finished:?}"
        );
        let finished = home.run(&[args, &["--json"]].concat()).expect_code(2);
        let document = finished.json();
        assert_eq!(
            (&document["ok"], &document["code"]),
            (&json!(false), &json!("bad_args")),
            "{args:?}"
        );
    }
    home.run(&[]).expect_code(2);
    assert!(home.hubs().is_empty(), "nonsense starts no hub");
}

#[test]
fn no_hub_is_exit_code_3() {
    let home = TestHome::new();
    for args in [&["node", "status"][..], &["--json", "node", "status"]] {
        let finished = home.run(args).expect_code(3);
        let words = format!("{}{}", finished.stdout, finished.stderr);
        assert!(words.contains("ecorelay up"), "{words}");
    }
    // A hub that cannot start because of its settings: its last words reach the person.
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("config.toml"), "colour = \"red\"\n").unwrap();
    let document = home.run(&["--json", "peers"]).expect_code(3).json();
    assert_eq!(document["code"], "hub_unreachable");
    assert!(
        document["message"].as_str().unwrap().contains("colour"),
        "{document}"
    );
}

#[test]
fn a_live_session_of_another_cannot_be_acted_for() {
    let home = TestHome::new();
    let _hub = home.hub();
    let _web = RawClient::session(&home.socket(), "web");
    let document = home
        .run(&["--as", "web", "--json", "inbox"])
        .expect_code(1)
        .json();
    assert_eq!(document["code"], "name_taken");
}

#[test]
fn everything_private_is_private_and_no_text_is_logged() {
    let home = TestHome::new();
    let text = "a-very-secret-text";
    let sent = json_of(&home, "ann", &["send", "bob", text]);
    json_of(
        &home,
        "bob",
        &["reply", sent["msg_id"].as_str().unwrap(), text],
    );
    json_of(&home, "ann", &["group", "create", "team", "bob"]);
    json_of(&home, "ann", &["group", "send", "team", text]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.data()), 0o700);
    for entry in std::fs::read_dir(home.data()).unwrap().flatten() {
        let expected = if entry.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry.path()), expected, "{}", entry.path().display());
    }
    for entry in std::fs::read_dir(home.data().join("logs"))
        .unwrap()
        .flatten()
    {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        let log = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!log.contains(text));
    }
}

#[test]
fn doctor_looks_at_everything_and_says_how_to_mend_it() {
    let home = TestHome::new();
    let _hub = home.hub();
    let finished = home.run(&["--json", "doctor"]);
    assert!([0, 1].contains(&finished.code()), "{finished:?}");
    let document = finished.json();
    let findings = document["findings"].as_array().expect("findings");
    assert!(findings.len() >= 8, "{document}");
    for finding in findings {
        assert!(
            finding["check"].is_string()
                && finding["level"].is_string()
                && finding["message"].is_string()
        );
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        assert!(finding["level"] == "ok" || !remedy.is_empty(), "{finding}");
    }
    assert!(home.run(&["doctor"]).stdout.contains("hub"));
}

#[test]
fn a_reference_data_directory_is_taken_over_once() {
    let home = TestHome::new();
    let old = home.path().join("old");
    std::fs::create_dir_all(old.join("mailboxes")).unwrap();
    std::fs::create_dir_all(old.join("groups")).unwrap();
    let message = |n: usize| json!({"msg_id": format!("m-{n}"), "from": "web", "text": format!("text {n}"), "reply_to": null, "ts": 1_700_000_000_000_u64});
    let mailbox = json!({"owner": "bob", "messages": [message(1), message(2), message(3)], "last_read": "m-1"});
    std::fs::write(old.join("mailboxes/bob.json"), mailbox.to_string()).unwrap();
    std::fs::write(old.join("mailboxes/broken.json"), "{\"owner\":").unwrap();
    let old = old.to_str().unwrap();

    let dry = plain_json(&home, &["import", old, "--dry-run"]);
    assert_eq!((&dry["ok"], &dry["dry_run"]), (&json!(true), &json!(true)));
    assert!(home.hubs().is_empty(), "a dry run starts nothing");
    let done = plain_json(&home, &["import", old]);
    assert_eq!(
        (&done["mailboxes"], &done["messages"]["taken"]),
        (&json!(1), &json!(3))
    );
    assert!(
        done["skipped"].to_string().contains("broken.json"),
        "{done}"
    );
    let again = plain_json(&home, &["import", old]);
    assert_eq!(
        (&again["messages"]["taken"], &again["messages"]["known"]),
        (&json!(0), &json!(3))
    );
    let inbox = json_of(&home, "bob", &["inbox"]);
    let texts: Vec<&str> = inbox["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["text 2", "text 3"], "what was read stays read");
    home.run(&["import", home.home().to_str().unwrap()])
        .expect_code(1);
}

#[test]
fn help_version_and_completions_need_no_hub() {
    let home = TestHome::new();
    let help = home.run(&["--help"]).expect_code(0).stdout;
    for command in [
        "up",
        "node",
        "mcp",
        "peers",
        "send",
        "inbox",
        "reply",
        "broadcast",
        "room",
        "group",
        "watch",
        "why",
        "doctor",
        "import",
        "completions",
    ] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command}: {help}"
        );
        home.run(&[command, "--help"]).expect_code(0);
    }
    let version = home.run(&["--version"]).expect_code(0).stdout;
    assert_eq!(
        version.trim(),
        format!("ecorelay {}", env!("CARGO_PKG_VERSION"))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]).expect_code(0).stdout;
        assert!(script.contains("broadcast"), "{shell}");
    }
    assert!(home.hubs().is_empty());
}

/// Runs a command as `name` with `--json`; returns its one document.
fn json_of(home: &TestHome, name: &str, args: &[&str]) -> Value {
    plain_json(home, &[&["--as", name], args].concat())
}

/// Runs a command with `--json`; returns its one document.
fn plain_json(home: &TestHome, args: &[&str]) -> Value {
    let finished: Finished = home.run(&[args, &["--json"]].concat()).expect_code(0);
    assert_eq!(
        finished.stdout.trim_end().lines().count(),
        1,
        "one line: {finished:?}"
    );
    finished.json()
}
