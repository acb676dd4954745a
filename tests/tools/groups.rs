//! The tools for groups.

use crate::support::home::TestHome;
use crate::support::mcp::McpClient;
use crate::support::raw::merge;
use crate::support::wait_until;
use crate::{TEXT_LIMIT, assert_meta, texts, wait_for_peer};
use serde_json::{Value, json};

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
        merge(&mut arguments, more);
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
