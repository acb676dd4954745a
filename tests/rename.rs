//! A session that changes its name takes everything along; who takes the old name finds nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use support::home::TestHome;
use support::mcp::McpClient;
use support::wait_until;

#[test]
fn unread_mail_rooms_groups_and_adminship_move_and_nothing_stays_behind() {
    let home = TestHome::new();
    let old = McpClient::start(&home, "old");
    let bob = McpClient::start(&home, "bob");
    wait_for_peer(&bob, "old");
    bob.ok("relay_send", json!({"to": "old", "text": "before"}));
    old.ok("relay_join", json!({"room": "ops"}));
    old.ok(
        "relay_group_create",
        json!({"name": "mine", "members": ["bob"]}),
    );
    bob.ok(
        "relay_group_create",
        json!({"name": "theirs", "members": ["old"]}),
    );
    bob.ok(
        "relay_group_send",
        json!({"group": "theirs", "text": "unread"}),
    );

    assert_eq!(
        old.ok("relay_rename", json!({"new_name": "new"}))["name"],
        "new"
    );
    let new = old;
    let heir = McpClient::start(&home, "old");
    wait_for_peer(&bob, "old");

    // The next holder of the old name sees none of it.
    assert_eq!(texts(&heir.ok("relay_inbox", json!({}))), [""; 0]);
    assert_eq!(heir.ok("relay_group_list", json!({}))["groups"], json!([]));
    heir.refused("relay_group_delete", json!({"group": "mine"}), "not_admin");
    heir.refused(
        "relay_group_history",
        json!({"group": "theirs"}),
        "not_member",
    );
    heir.refused(
        "relay_group_send",
        json!({"group": "mine", "text": "x"}),
        "not_member",
    );
    assert_eq!(
        bob.ok("relay_rooms", json!({}))["rooms"][0]["members"],
        json!(["new"])
    );

    // The renamed one has all of it.
    let mail = texts(&new.ok("relay_inbox", json!({})));
    assert!(mail.iter().any(|text| text == "before"), "{mail:?}");
    assert_eq!(
        bob.ok("relay_group_info", json!({"group": "mine"}))["admin"],
        "new"
    );
    let history = new.ok("relay_group_history", json!({"group": "theirs"}));
    assert!(texts(&history).contains(&"unread".to_owned()), "{history}");
    new.ok(
        "relay_group_invite",
        json!({"group": "mine", "peer": "carol"}),
    );
    let info = bob.ok("relay_group_info", json!({"group": "theirs"}));
    assert!(
        info.to_string().contains("\"new\"") && !info.to_string().contains("\"old\""),
        "{info}"
    );

    // Mail to the old name is its new holder's, mail to the new name the renamed one's.
    bob.ok("relay_send", json!({"to": "old", "text": "for the heir"}));
    bob.ok(
        "relay_send",
        json!({"to": "new", "text": "for the renamed"}),
    );
    assert_eq!(texts(&heir.ok("relay_inbox", json!({}))), ["for the heir"]);
    assert_eq!(
        texts(&new.ok("relay_inbox", json!({}))),
        ["for the renamed"]
    );
}

#[test]
fn a_rename_outlives_a_killed_hub() {
    let home = TestHome::new();
    let old = McpClient::start(&home, "old");
    let bob = McpClient::start(&home, "bob");
    wait_for_peer(&bob, "old");
    bob.ok("relay_send", json!({"to": "old", "text": "before"}));
    old.ok(
        "relay_group_create",
        json!({"name": "mine", "members": ["bob"]}),
    );
    old.ok("relay_join", json!({"room": "ops"}));
    old.ok("relay_rename", json!({"new_name": "new"}));
    home.kill_hub();
    // The channels start another hub and come back under the names they had.
    let seen = wait_for_peer(&bob, "new");
    assert!(!seen.to_string().contains("\"old\""), "{seen}");
    assert_eq!(old.ok("relay_peers", json!({}))["me"], "new");
    let mail = texts(&old.ok("relay_inbox", json!({})));
    assert!(mail.iter().any(|text| text == "before"), "{mail:?}");
    assert_eq!(
        bob.ok("relay_group_info", json!({"group": "mine"}))["admin"],
        "new"
    );
    wait_until("the room to be joined again", || {
        let rooms = bob.ok("relay_rooms", json!({}));
        (rooms["rooms"][0]["members"] == json!(["new"])).then_some(())
    });
}

fn wait_for_peer(client: &McpClient, name: &str) -> Value {
    wait_until(&format!("the peer {name}"), || {
        let seen = client.call("relay_peers", json!({})).ok()?;
        let here = seen["peers"]
            .as_array()?
            .iter()
            .any(|peer| peer["name"] == name);
        here.then_some(seen)
    })
}

fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|m| m["text"].as_str().unwrap().to_owned())
        .collect()
}
