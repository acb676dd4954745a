//! `relay_broadcast` and the tools for rooms.

use crate::support::home::TestHome;
use crate::support::mcp::McpClient;
use crate::support::wait_until;
use crate::{TEXT_LIMIT, assert_meta, configure, wait_for_peer};
use serde_json::json;

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
