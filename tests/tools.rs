//! Every tool, as an assistant calls it: through `ecorelay mcp`, with what it gives when it
//! succeeds and with every refusal it can give.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::home::TestHome;
use support::mcp::McpClient;
use support::raw::RawClient;
use support::wait_until;

/// The tools that change nothing at all.
const READ_ONLY: [&str; 4] = [
    "relay_peers",
    "relay_rooms",
    "relay_group_list",
    "relay_group_info",
];

/// The longest text, in UTF-16 units.
const TEXT_LIMIT: usize = 524_288;

#[test]
fn the_19_tools_are_listed_with_truthful_hints_and_few_words() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let tools = alice.tools();
    let names: BTreeSet<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    let expected = "relay_peers relay_send relay_inbox relay_reply relay_broadcast relay_rename \
        relay_join relay_leave relay_room relay_rooms relay_group_create relay_group_invite \
        relay_group_remove relay_group_leave relay_group_send relay_group_history \
        relay_group_list relay_group_info relay_group_delete";
    assert_eq!(names, expected.split_whitespace().collect());
    assert_eq!(tools.len(), 19);
    for tool in &tools {
        let hints = tool.annotations.as_ref().expect("annotations");
        let reads = READ_ONLY.contains(&tool.name.as_ref());
        assert_eq!(hints.read_only_hint, Some(reads), "{}", tool.name);
        // Claude Code cuts a description after 2,048 characters.
        let words = tool.description.as_deref().unwrap_or_default();
        assert!((10..2_048).contains(&words.len()), "{}", tool.name);
        assert_eq!(tool.input_schema["type"], "object");
    }
    let info = alice.info();
    let instructions = info.instructions.as_deref().unwrap_or_default();
    assert!((200..2_048).contains(&instructions.len()));
    let channel = info
        .capabilities
        .experimental
        .as_ref()
        .expect("experimental");
    assert!(channel.contains_key("claude/channel"));
}

#[test]
fn peers_shows_who_is_there_and_who_i_am() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    assert_eq!(alice.ok("relay_peers", json!({}))["peers"], json!([]));
    let _bob = McpClient::start(&home, "bob");
    let seen = wait_for_peer(&alice, "bob");
    assert_eq!(seen["me"], "alice");
    let bob = &seen["peers"][0];
    assert_eq!(bob["name"], "bob");
    assert_eq!(bob["cwd"], home.home().to_str().unwrap());
    assert!(bob["git_branch"].is_string() && bob["last_seen"].as_u64() > Some(1_700_000_000_000));
    assert!(bob["agent"].is_string() && bob["hub"].is_string() && bob["state"].is_string());
}

#[test]
fn a_message_is_pushed_fetched_once_and_answered() {
    let home = TestHome::new();
    let mut alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    wait_for_peer(&alice, "bob");
    let sent = alice.ok(
        "relay_send",
        json!({"to": "bob", "text": "hello <b>\n世界", "urgent": true, "reply_to": "m-0"}),
    );
    assert_eq!(sent["ok"], true);
    let id = sent["msg_id"].as_str().expect("msg_id");
    assert!(
        ["delivered", "queued"].contains(&sent["status"].as_str().unwrap()),
        "{sent}"
    );

    let push = bob.pushed();
    let meta = &push.meta;
    assert_eq!(
        (&meta["from"], &meta["msg_id"], &meta["kind"]),
        (&json!("alice"), &json!(id), &json!("message"))
    );
    assert_eq!(
        (&meta["urgent"], &meta["reply_to"]),
        (&json!("true"), &json!("m-0"))
    );
    assert!(
        meta["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')),
        "{meta}"
    );
    assert_meta(meta);
    let first = push.content.lines().next().unwrap();
    assert!(
        first.starts_with("[ecorelay] message from alice (") && first.contains(id),
        "{first}"
    );
    assert!(
        push.content
            .contains("<<<peer-text\nhello <b>\n世界\npeer-text>>>"),
        "{push:?}"
    );

    let inbox = bob.ok("relay_inbox", json!({}));
    assert_eq!(inbox["remaining"], 0);
    let message = &inbox["messages"][0];
    assert_eq!(
        (&message["msg_id"], &message["from"]),
        (&json!(id), &json!("alice"))
    );
    assert_eq!(message["text"], "hello <b>\n世界");
    assert_eq!(
        (&message["urgent"], &message["reply_to"]),
        (&json!(true), &json!("m-0"))
    );
    assert_eq!(bob.ok("relay_inbox", json!({}))["messages"], json!([]));

    let answer = bob.ok("relay_reply", json!({"ask_id": id, "text": "hi back"}));
    assert_eq!(answer["ok"], true);
    let push = alice.pushed();
    assert_eq!(push.meta["from"], "bob");
    assert_eq!(push.meta["reply_to"], id);
    assert!(push.content.contains("hi back"));
}

#[test]
fn a_message_to_oneself_arrives() {
    let home = TestHome::new();
    let mut alice = McpClient::start(&home, "alice");
    alice.ok("relay_send", json!({"to": "alice", "text": "note"}));
    assert_eq!(alice.pushed().meta["from"], "alice");
}

#[test]
fn mail_waits_for_one_who_is_away_and_for_one_who_never_was() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let backend = McpClient::start(&home, "backend");
    wait_for_peer(&alice, "backend");
    backend.close();
    let gone = |seen: &Value| seen["peers"] == json!([]);
    wait_until("backend to be gone", || {
        gone(&alice.ok("relay_peers", json!({}))).then_some(())
    });
    let sent = alice.ok("relay_send", json!({"to": "backend", "text": "for later"}));
    assert_eq!(
        (&sent["status"], &sent["state"]),
        (&json!("queued"), &json!("stored"))
    );
    assert!(
        sent["detail"]
            .as_str()
            .is_some_and(|d| d.contains("backend")),
        "{sent}"
    );

    let typo = alice.ok("relay_send", json!({"to": "bakend", "text": "lost?"}));
    assert_eq!(
        (&typo["status"], &typo["state"]),
        (&json!("queued"), &json!("unknown"))
    );
    assert!(
        typo["detail"]
            .as_str()
            .is_some_and(|d| d.contains("\"backend\"")),
        "{typo}"
    );

    let backend = McpClient::start(&home, "backend");
    let inbox = backend.ok("relay_inbox", json!({}));
    assert_eq!(inbox["messages"][0]["text"], "for later");
    let first_owner = McpClient::start(&home, "bakend");
    let inbox = first_owner.ok("relay_inbox", json!({}));
    assert_eq!(inbox["messages"][0]["text"], "lost?");
}

#[test]
fn send_says_what_is_wrong() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let long_name = "x".repeat(65);
    for arguments in [
        json!({}),
        json!({"to": "bob"}),
        json!({"text": "hi"}),
        json!({"to": 5, "text": "hi"}),
        json!({"to": "bob", "text": ["hi"]}),
        json!({"to": "bob", "text": null}),
        json!({"to": "", "text": "hi"}),
        json!({"to": "a b", "text": "hi"}),
        json!({"to": ".", "text": "hi"}),
        json!({"to": long_name, "text": "hi"}),
        json!({"to": "bob@", "text": "hi"}),
        json!({"to": "bob", "text": "hi", "reply_to": 9}),
        json!({"to": "bob", "text": "hi", "reply_to": "x".repeat(257)}),
        json!({"to": "bob", "text": "hi", "urgent": "true"}),
    ] {
        alice.refused("relay_send", arguments, "bad_args");
    }
    let message = alice.refused(
        "relay_send",
        json!({"to": "bob@desk", "text": "hi"}),
        "peer_not_found",
    );
    assert!(message.contains("bob@desk"), "{message}");
    let text = "x".repeat(TEXT_LIMIT + 1);
    alice.refused(
        "relay_send",
        json!({"to": "bob", "text": text}),
        "too_large",
    );
    let text = "x".repeat(TEXT_LIMIT);
    alice.ok("relay_send", json!({"to": "bob", "text": text}));
    alice.ok("relay_send", json!({"to": "bob", "text": "", "unknown": 1}));
}

#[test]
fn a_mailbox_full_of_unread_mail_refuses_and_says_since_when() {
    let home = TestHome::new();
    configure(&home, "[limits]\nmailbox_unread = 3\n");
    let alice = McpClient::start(&home, "alice");
    RawClient::session(&home.socket(), "bob");
    for n in 0..3 {
        alice.ok("relay_send", json!({"to": "bob", "text": format!("{n}")}));
    }
    let message = alice.refused(
        "relay_send",
        json!({"to": "bob", "text": "x"}),
        "mailbox_error",
    );
    assert!(message.contains("bob"), "{message}");
    let bob = McpClient::start(&home, "bob");
    assert_eq!(
        bob.ok("relay_inbox", json!({}))["messages"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    wait_until("room in the mailbox", || {
        alice
            .call("relay_send", json!({"to": "bob", "text": "y"}))
            .ok()
    });
}

#[test]
fn the_inbox_is_read_page_by_page_and_again() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    RawClient::session(&home.socket(), "bob");
    let mut ids = Vec::new();
    for n in 0..25 {
        let sent = alice.ok("relay_send", json!({"to": "bob", "text": format!("{n}")}));
        ids.push(sent["msg_id"].as_str().unwrap().to_owned());
    }
    let bob = McpClient::start(&home, "bob");
    let page = bob.ok("relay_inbox", json!({"limit": 7}));
    assert_eq!(texts(&page), numbers(0..7));
    assert_eq!(page["remaining"], 18);
    let page = bob.ok("relay_inbox", json!({}));
    assert_eq!(
        texts(&page),
        numbers(7..25),
        "20 are the default, 18 are left"
    );
    assert_eq!(page["remaining"], 0);
    let page = bob.ok("relay_inbox", json!({"since_id": ids[9], "limit": 3}));
    assert_eq!(texts(&page), numbers(10..13));
    assert_eq!(
        bob.ok("relay_inbox", json!({}))["messages"],
        json!([]),
        "read stays read"
    );

    for arguments in [
        json!({"limit": 0}),
        json!({"limit": 101}),
        json!({"limit": -1}),
        json!({"limit": "3"}),
        json!({"limit": 1e300}),
        json!({"since_id": ""}),
        json!({"since_id": 5}),
    ] {
        bob.refused("relay_inbox", arguments, "bad_args");
    }
}

#[test]
fn reply_needs_an_id_it_knows() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let bob = McpClient::start(&home, "bob");
    let message = alice.refused(
        "relay_reply",
        json!({"ask_id": "m-nowhere", "text": "hi"}),
        "unknown_ask",
    );
    assert!(message.contains("relay_inbox"), "{message}");
    let sent = alice.ok("relay_send", json!({"to": "bob", "text": "for bob only"}));
    // Only the recipient can answer it.
    let id = &sent["msg_id"];
    alice.refused(
        "relay_reply",
        json!({"ask_id": id, "text": "hi"}),
        "unknown_ask",
    );
    for arguments in [
        json!({}),
        json!({"ask_id": id}),
        json!({"text": "hi"}),
        json!({"ask_id": 5, "text": "hi"}),
        json!({"ask_id": "", "text": "hi"}),
        json!({"ask_id": "x".repeat(257), "text": "hi"}),
        json!({"ask_id": id, "text": 5}),
    ] {
        bob.refused("relay_reply", arguments, "bad_args");
    }
    let text = "x".repeat(TEXT_LIMIT + 1);
    bob.refused(
        "relay_reply",
        json!({"ask_id": id, "text": text}),
        "too_large",
    );
    bob.ok("relay_reply", json!({"ask_id": id, "text": "one"}));
    bob.ok("relay_reply", json!({"ask_id": id, "text": "two"}));
    assert_eq!(texts(&alice.ok("relay_inbox", json!({}))), ["one", "two"]);
}

#[test]
fn answers_to_a_broadcast_come_back_also_to_an_asker_who_went_away() {
    let home = TestHome::new();
    let mut alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    let mut carol = McpClient::start(&home, "carol");
    wait_for_peer(&alice, "bob");
    wait_for_peer(&alice, "carol");
    let asked = alice.ok(
        "relay_broadcast",
        json!({"question": "who has the lock?", "scope": "hub"}),
    );
    assert_eq!(
        (&asked["ok"], &asked["peer_count"]),
        (&json!(true), &json!(2))
    );
    let broadcast = asked["broadcast_id"].as_str().expect("broadcast_id");
    let mut asks = Vec::new();
    for peer in [&mut bob, &mut carol] {
        let push = peer.pushed();
        assert_eq!(
            (&push.meta["kind"], &push.meta["from"]),
            (&json!("ask"), &json!("alice"))
        );
        assert_eq!(push.meta["broadcast_id"], broadcast);
        assert_eq!(push.meta["thread_id"], broadcast);
        assert!(push.content.contains("who has the lock?"));
        assert_meta(&push.meta);
        asks.push(push.meta["ask_id"].as_str().expect("ask_id").to_owned());
    }
    bob.ok("relay_reply", json!({"ask_id": asks[0], "text": "not me"}));
    let push = alice.pushed();
    assert_eq!(
        (&push.meta["kind"], &push.meta["from"]),
        (&json!("reply"), &json!("bob"))
    );
    assert_eq!(
        (&push.meta["ask_id"], &push.meta["broadcast_id"]),
        (&json!(asks[0]), &json!(broadcast))
    );
    assert!(push.content.contains("not me"));
    assert_meta(&push.meta);

    alice.close();
    wait_until("alice to be gone", || {
        let seen = bob.ok("relay_peers", json!({}));
        (seen["peers"].as_array().unwrap().len() == 1).then_some(())
    });
    carol.ok("relay_reply", json!({"ask_id": asks[1], "text": "me!"}));
    // It waits for her, and is shown when she is back.
    let mut alice = McpClient::start(&home, "alice");
    let push = alice.pushed_where("the answer", |push| push.meta["kind"] == "reply");
    assert_eq!(
        (&push.meta["from"], &push.meta["ask_id"]),
        (&json!("carol"), &json!(asks[1]))
    );
    assert!(push.content.contains("me!"));

    let asked = alice.ok(
        "relay_broadcast",
        json!({"question": "all?", "exclude_self": false}),
    );
    assert_eq!(asked["peer_count"], 3);
}

#[test]
fn broadcast_says_what_is_wrong_and_has_a_budget() {
    let home = TestHome::new();
    configure(&home, "[limits]\nbroadcasts_per_minute = 2\n");
    let alice = McpClient::start(&home, "alice");
    for arguments in [
        json!({}),
        json!({"question": 5}),
        json!({"question": "x", "exclude_self": "yes"}),
        json!({"question": "x", "scope": "world"}),
        json!({"question": "x", "scope": 1}),
    ] {
        alice.refused("relay_broadcast", arguments, "bad_args");
    }
    let text = "x".repeat(TEXT_LIMIT + 1);
    alice.refused("relay_broadcast", json!({"question": text}), "too_large");
    for _ in 0..2 {
        assert_eq!(
            alice.ok("relay_broadcast", json!({"question": "?"}))["peer_count"],
            0
        );
    }
    alice.refused("relay_broadcast", json!({"question": "?"}), "rate_limited");
}

#[test]
fn rename_changes_me_and_refuses_what_is_taken_or_no_name() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let bob = McpClient::start(&home, "bob");
    let renamed = alice.ok("relay_rename", json!({"new_name": " anna "}));
    assert_eq!(renamed, json!({"ok": true, "name": "anna"}));
    assert_eq!(alice.ok("relay_peers", json!({}))["me"], "anna");
    wait_for_peer(&bob, "anna");
    assert_eq!(
        alice.ok("relay_rename", json!({"new_name": "anna"}))["name"],
        "anna"
    );
    alice.refused("relay_rename", json!({"new_name": "bob"}), "name_taken");
    for arguments in [
        json!({}),
        json!({"new_name": 5}),
        json!({"new_name": ""}),
        json!({"new_name": "a@b"}),
        json!({"new_name": ".."}),
        json!({"new_name": "x".repeat(65)}),
    ] {
        alice.refused("relay_rename", arguments, "bad_args");
    }
}

#[test]
fn a_room_lives_as_long_as_someone_is_in_it() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    let joined = alice.ok("relay_join", json!({"room": " ops "}));
    assert_eq!(
        joined,
        json!({"ok": true, "room": "ops", "members": ["alice"]})
    );
    assert_eq!(
        bob.ok("relay_join", json!({"room": "ops"}))["members"],
        json!(["alice", "bob"])
    );
    assert_eq!(
        bob.ok("relay_join", json!({"room": "ops"}))["members"],
        json!(["alice", "bob"])
    );
    assert_eq!(
        alice.ok("relay_rooms", json!({})),
        json!({"rooms": [{"name": "ops", "members": ["alice", "bob"]}]})
    );
    let said = alice.ok("relay_room", json!({"room": "ops", "text": "deploying"}));
    assert_eq!((&said["ok"], &said["room"]), (&json!(true), &json!("ops")));
    assert!(said["delivered_count"].is_u64());
    let push = bob.pushed();
    assert_eq!(
        (&push.meta["kind"], &push.meta["room"]),
        (&json!("room"), &json!("ops"))
    );
    assert_eq!(push.meta["from"], "alice");
    assert!(push.content.contains("deploying"));
    assert_meta(&push.meta);
    assert_eq!(
        bob.ok("relay_inbox", json!({}))["messages"],
        json!([]),
        "a room leaves nothing behind"
    );

    assert_eq!(
        alice.ok("relay_leave", json!({"room": "ops"})),
        json!({"ok": true})
    );
    assert_eq!(
        alice.ok("relay_leave", json!({"room": "ops"})),
        json!({"ok": true})
    );
    // Who is not in it may speak all the same.
    alice.ok("relay_room", json!({"room": "ops", "text": "bye"}));
    assert!(bob.pushed().content.contains("bye"));
    bob.ok("relay_leave", json!({"room": "ops"}));
    assert_eq!(alice.ok("relay_rooms", json!({})), json!({"rooms": []}));
    assert_eq!(
        alice.ok("relay_room", json!({"room": "ops", "text": "?"}))["delivered_count"],
        0
    );
}

#[test]
fn rooms_say_what_is_wrong() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    for tool in ["relay_join", "relay_leave"] {
        for arguments in [
            json!({}),
            json!({"room": 5}),
            json!({"room": ""}),
            json!({"room": "a b"}),
        ] {
            alice.refused(tool, arguments, "bad_args");
        }
    }
    for arguments in [
        json!({"room": "ops"}),
        json!({"text": "x"}),
        json!({"room": "a/b", "text": "x"}),
        json!({"room": "ops", "text": false}),
    ] {
        alice.refused("relay_room", arguments, "bad_args");
    }
    let text = "x".repeat(TEXT_LIMIT + 1);
    alice.refused(
        "relay_room",
        json!({"room": "ops", "text": text}),
        "too_large",
    );
}

#[test]
fn a_group_keeps_its_history_for_members_who_are_away() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    wait_for_peer(&alice, "bob");
    let made = alice.ok(
        "relay_group_create",
        json!({"name": "team", "members": ["bob", "carol"]}),
    );
    assert_eq!(
        made,
        json!({"ok": true, "group": "team", "members": ["alice", "bob", "carol"]})
    );
    let push = bob.pushed();
    assert_eq!(push.meta["group"], "team", "the members are told: {push:?}");
    assert_meta(&push.meta);

    let sent = alice.ok(
        "relay_group_send",
        json!({"group": "team", "text": "first"}),
    );
    assert_eq!(sent["ok"], true);
    assert!(sent["msg_id"].is_string(), "{sent}");
    let reached =
        sent["delivered_count"].as_u64().unwrap() + sent["queued_count"].as_u64().unwrap();
    assert_eq!(reached, 2);
    let push = bob.pushed_where("the text", |push| push.content.contains("first"));
    assert_eq!(
        (&push.meta["kind"], &push.meta["from"]),
        (&json!("group"), &json!("alice"))
    );
    assert_eq!(push.meta["group"], "team");
    assert_meta(&push.meta);

    // Carol comes later and finds it.
    let carol = McpClient::start(&home, "carol");
    assert_eq!(
        carol.ok("relay_group_list", json!({})),
        json!({"ok": true, "groups": [{"name": "team", "unread_count": 1}]})
    );
    alice.ok(
        "relay_group_send",
        json!({"group": "team", "text": "second"}),
    );
    let page = carol.ok("relay_group_history", json!({"group": "team", "limit": 1}));
    assert_eq!(
        (&page["ok"], &page["group"]),
        (&json!(true), &json!("team"))
    );
    assert_eq!(
        (texts(&page), &page["unread_remaining"]),
        (vec!["first".to_owned()], &json!(1))
    );
    let entry = &page["messages"][0];
    assert_eq!(
        (&entry["from"], &entry["type"]),
        (&json!("alice"), &json!("message"))
    );
    assert!(entry["id"].is_u64() && entry["ts"].is_string());
    wait_until("the cursor to move", || {
        let info = carol.ok("relay_group_info", json!({"group": "team"}));
        (info["unread_count"] == 1).then_some(())
    });
    let page = carol.ok("relay_group_history", json!({"group": "team"}));
    assert_eq!(
        (texts(&page), &page["unread_remaining"]),
        (vec!["second".to_owned()], &json!(0))
    );

    let info = bob.ok("relay_group_info", json!({"group": "team"}));
    assert_eq!(
        (&info["ok"], &info["admin"]),
        (&json!(true), &json!("alice"))
    );
    let members = info["members"].as_array().unwrap();
    let online: Vec<(&str, bool)> = members
        .iter()
        .map(|m| (m["name"].as_str().unwrap(), m["online"] == true))
        .collect();
    assert_eq!(online, [("alice", true), ("bob", true), ("carol", true)]);
    assert!(members[1]["last_read"].is_u64() && members[0].get("last_read").is_none());
}

#[test]
fn the_admin_invites_removes_and_deletes_and_everyone_is_told() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let mut bob = McpClient::start(&home, "bob");
    let mut carol = McpClient::start(&home, "carol");
    alice.ok("relay_group_create", json!({"name": "team", "members": []}));
    assert_eq!(
        alice.ok(
            "relay_group_invite",
            json!({"group": "team", "peer": "bob"})
        ),
        json!({"ok": true})
    );
    assert!(bob.pushed().content.contains("invited"));
    alice.ok(
        "relay_group_invite",
        json!({"group": "team", "peer": "carol"}),
    );
    assert!(carol.pushed().content.contains("invited"));
    assert_eq!(
        carol.ok("relay_group_leave", json!({"group": "team"})),
        json!({"ok": true})
    );
    carol.refused(
        "relay_group_send",
        json!({"group": "team", "text": "x"}),
        "not_member",
    );
    assert_eq!(
        alice.ok(
            "relay_group_remove",
            json!({"group": "team", "peer": "bob", "reason": "moved on"})
        ),
        json!({"ok": true})
    );
    bob.pushed_where("why it was removed", |push| {
        push.content.contains("moved on")
    });
    let history = alice.ok("relay_group_history", json!({"group": "team"}));
    let system = |text: &str| {
        let entries = history["messages"].as_array().unwrap();
        entries
            .iter()
            .any(|e| e["type"] == "system" && e["text"] == text)
    };
    assert!(
        system("carol left") && system("alice removed bob: moved on"),
        "{history}"
    );

    alice.ok(
        "relay_group_invite",
        json!({"group": "team", "peer": "bob"}),
    );
    assert_eq!(
        alice.ok("relay_group_delete", json!({"group": "team"})),
        json!({"ok": true})
    );
    bob.pushed_where("that it was deleted", |push| {
        push.content.contains("deleted group team")
    });
    assert_eq!(bob.ok("relay_group_list", json!({}))["groups"], json!([]));
}

#[test]
fn groups_say_what_is_wrong() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    let bob = McpClient::start(&home, "bob");
    let carol = McpClient::start(&home, "carol");
    alice.ok(
        "relay_group_create",
        json!({"name": "team", "members": ["bob"]}),
    );
    let too_many: Vec<String> = (0..256).map(|n| format!("p{n}")).collect();
    let long = "x".repeat(65);
    for arguments in [
        json!({"name": "team", "members": []}),
        json!({"name": "g"}),
        json!({"members": []}),
        json!({"name": "", "members": []}),
        json!({"name": long, "members": []}),
        json!({"name": "g", "members": "bob"}),
        json!({"name": "g", "members": [5]}),
        json!({"name": "g", "members": ["a b"]}),
        json!({"name": "g", "members": too_many}),
    ] {
        alice.refused("relay_group_create", arguments, "bad_args");
    }
    alice.refused(
        "relay_group_create",
        json!({"name": "g", "members": ["x@desk"]}),
        "peer_not_found",
    );

    let team = |more: Value| {
        let mut arguments = json!({"group": "team"});
        support::raw::merge(&mut arguments, more);
        arguments
    };
    for (tool, arguments, code) in [
        (
            "relay_group_invite",
            team(json!({"peer": "bob"})),
            "bad_args",
        ),
        (
            "relay_group_invite",
            team(json!({"peer": "b b"})),
            "bad_args",
        ),
        ("relay_group_invite", team(json!({})), "bad_args"),
        (
            "relay_group_invite",
            json!({"group": "none", "peer": "bob"}),
            "group_not_found",
        ),
        (
            "relay_group_remove",
            team(json!({"peer": "alice", "reason": "x"})),
            "bad_args",
        ),
        (
            "relay_group_remove",
            team(json!({"peer": "bob", "reason": ""})),
            "bad_args",
        ),
        (
            "relay_group_remove",
            team(json!({"peer": "bob", "reason": "x".repeat(257)})),
            "bad_args",
        ),
        (
            "relay_group_remove",
            team(json!({"peer": "bob"})),
            "bad_args",
        ),
        (
            "relay_group_remove",
            team(json!({"peer": "carol", "reason": "x"})),
            "not_member",
        ),
        (
            "relay_group_remove",
            json!({"group": "none", "peer": "bob", "reason": "x"}),
            "group_not_found",
        ),
        ("relay_group_leave", team(json!({})), "bad_args"),
        ("relay_group_leave", json!({"group": "none"}), "not_member"),
        ("relay_group_send", team(json!({})), "bad_args"),
        (
            "relay_group_send",
            json!({"group": long, "text": "x"}),
            "bad_args",
        ),
        (
            "relay_group_send",
            json!({"group": "none", "text": "x"}),
            "not_member",
        ),
        ("relay_group_history", team(json!({"limit": 0})), "bad_args"),
        (
            "relay_group_history",
            team(json!({"limit": 501})),
            "bad_args",
        ),
        (
            "relay_group_history",
            team(json!({"limit": "5"})),
            "bad_args",
        ),
        (
            "relay_group_history",
            json!({"group": "none"}),
            "not_member",
        ),
        ("relay_group_info", json!({"group": "none"}), "not_member"),
        ("relay_group_info", json!({}), "bad_args"),
        (
            "relay_group_delete",
            json!({"group": "none"}),
            "group_not_found",
        ),
        ("relay_group_delete", json!({"group": 5}), "bad_args"),
    ] {
        alice.refused(tool, arguments, code);
    }
    let text = "x".repeat(TEXT_LIMIT + 1);
    alice.refused("relay_group_send", team(json!({"text": text})), "too_large");
    for (tool, more) in [
        ("relay_group_invite", json!({"peer": "carol"})),
        (
            "relay_group_remove",
            json!({"peer": "alice", "reason": "mine now"}),
        ),
        ("relay_group_delete", json!({})),
    ] {
        bob.refused(tool, team(more.clone()), "not_admin");
        carol.refused(tool, team(more), "not_admin");
    }
    for (tool, more) in [
        ("relay_group_leave", json!({})),
        ("relay_group_send", json!({"text": "x"})),
        ("relay_group_history", json!({})),
        ("relay_group_info", json!({})),
    ] {
        carol.refused(tool, team(more), "not_member");
    }
}

#[test]
fn a_hub_that_cannot_come_back_is_told_at_once() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    alice.ok("relay_peers", json!({}));
    // With a setting it does not know a hub refuses to start.
    std::fs::write(home.data().join("config.toml"), "no_such_setting = 1\n").unwrap();
    home.kill_hub();
    for (tool, arguments) in [
        ("relay_peers", json!({})),
        ("relay_send", json!({"to": "bob", "text": "x"})),
        ("relay_inbox", json!({})),
    ] {
        alice.refused(tool, arguments, "hub_unreachable");
    }
    // As soon as it can come back, the same channel works again.
    std::fs::remove_file(home.data().join("config.toml")).unwrap();
    let seen = wait_until("the hub to be back", || {
        alice.call("relay_peers", json!({})).ok()
    });
    assert_eq!(seen["me"], "alice");
}

#[test]
fn an_unknown_tool_is_an_error_and_no_silence() {
    let home = TestHome::new();
    let alice = McpClient::start(&home, "alice");
    assert!(alice.call_unlisted("relay_dance").is_err());
    alice.ok("relay_peers", json!({}));
}

/// Waits until `client` sees the peer; returns the whole answer of `relay_peers`.
fn wait_for_peer(client: &McpClient, name: &str) -> Value {
    wait_until(&format!("the peer {name}"), || {
        let seen = client.ok("relay_peers", json!({}));
        let here = seen["peers"]
            .as_array()?
            .iter()
            .any(|peer| peer["name"] == name);
        here.then_some(seen)
    })
}

/// Writes the hub's settings before it starts.
fn configure(home: &TestHome, settings: &str) {
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("config.toml"), settings).unwrap();
}

/// Checks what a client demands of meta values: strings only, under plain keys.
fn assert_meta(meta: &Value) {
    for (key, value) in meta.as_object().expect("meta is an object") {
        assert!(value.is_string(), "{key}: {value}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            key.chars().all(plain) && !key.starts_with(|c: char| c.is_ascii_digit()),
            "{key}"
        );
    }
}

fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|m| m["text"].as_str().unwrap().to_owned())
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}
