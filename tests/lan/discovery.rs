//! Hubs find each other: with nothing but multicast, by a given address, and late.

use crate::support::announce;
use crate::support::machine::{Machine, mesh, other, wait_all_linked};
use crate::support::mail::{read_until, send};
use crate::support::netns::Lan;
use crate::support::wait_until;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The mesh is there, and a message crosses, within this time from the start of every hub.
const COLD_START: Duration = Duration::from_secs(2);
/// The same, when a slow machine does other things meanwhile.
const COLD_START_AT_MOST: Duration = Duration::from_secs(15);

#[test]
fn three_cold_hubs_find_each_other_by_multicast_and_a_message_crosses() {
    let test = "three_cold_hubs_find_each_other_by_multicast_and_a_message_crosses";
    let Some(lan) = Lan::new(test) else { return };
    let mut machines = mesh(&lan, ["a", "b", "c"]);
    machines.iter_mut().for_each(Machine::stop);
    // Whatever address they know of each other is wrong now.
    for machine in &machines {
        machine.port().number_in(2);
    }

    let began = Instant::now();
    machines.iter_mut().for_each(Machine::spawn);
    machines.iter_mut().for_each(Machine::connect);
    let [a, b, c] = &machines;
    let (mut alice, mut bob, mut carol) =
        (a.session("alice"), b.session("bob"), c.session("carol"));
    send(&mut alice, "bob@b", "hello bob");
    send(&mut alice, "carol@c", "hello carol");
    for session in [&mut bob, &mut carol] {
        let came = session.next_of(&["incoming_message"]);
        assert_eq!(came["from"], "alice@a", "{came}");
    }
    let took = began.elapsed();
    announce(&format!("MEASURED: {test}: {} ms", took.as_millis()));
    if took > COLD_START {
        announce(&format!(
            "NOTE: {test}: took {took:?}, more than {COLD_START:?}"
        ));
    }
    assert!(
        took < COLD_START_AT_MOST,
        "a message crossed after {took:?}"
    );

    wait_all_linked(&mut machines);
    wait_until("alice to see the sessions of the others", || {
        let peers = peers(&mut alice);
        let live = |name: &str| {
            peers
                .iter()
                .any(|p| p["name"] == name && p["agent"] == "test")
        };
        (live("bob@b") && live("carol@c")).then_some(())
    });
}

#[test]
fn without_multicast_an_address_is_enough_and_is_remembered() {
    let test = "without_multicast_an_address_is_enough_and_is_remembered";
    let Some(lan) = Lan::new(test) else { return };
    let mut machines = mesh(&lan, ["a", "b"]);
    machines.iter_mut().for_each(Machine::stop);
    lan.drop_multicast();
    let [a, b] = &mut machines;
    a.port().number_in(2);
    let address = b.port().number_in(2);
    a.start();
    b.start();
    let mut alice = a.session("alice");
    let mut bob = b.session("bob");
    let sent = send(&mut alice, "bob@b", "0");
    assert_eq!(sent["state"], "outbox", "{sent}");
    let warning = a.wait_warning(&["no_multicast"]);
    assert!(warning.contains("ecorelay connect"), "{warning}");

    let listens = b.wait_status("an address", |status| {
        let addresses = status["mesh"]["addresses"].as_array()?;
        let mut addresses = addresses.iter().filter_map(Value::as_str);
        addresses
            .find(|a| a.contains(&address.to_string()))
            .map(str::to_owned)
    });
    let connected = a.run(&["connect", &listens, "--json", "--wait", "45"]);
    assert_eq!(connected.expect_code(0).json()["ok"], true);
    assert_eq!(bob.next_of(&["incoming_message"])["text"], "0");

    // The next time both find each other by themselves, whoever of the two dials.
    a.kill_9();
    b.kill_9();
    a.start();
    b.start();
    a.wait_linked(&["b"]);
    let mut alice = a.session("alice");
    let mut bob = b.session("bob");
    send(&mut alice, "bob@b", "end");
    assert_eq!(read_until(&mut bob, "end").len(), 1);
}

#[test]
fn a_hub_that_joins_late_sees_the_rooms_as_they_are() {
    let test = "a_hub_that_joins_late_sees_the_rooms_as_they_are";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, b, c] = mesh(&lan, ["a", "b", "c"]);
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    let mut carol = c.session("carol");
    for session in [&mut alice, &mut bob] {
        let joined = session.request(json!({"type": "join_room", "room": "build"}));
        assert_eq!(joined["type"], "room_ack", "{joined}");
    }

    let mut d = Machine::new(&lan, "d");
    d.start();
    // Not the hub that made the mesh invites.
    d.join(&b.invite());
    d.wait_linked(&["a", "b", "c"]);
    a.wait_linked(&["d"]);
    let mut dora = d.session("dora");
    wait_until("the room with its members", || {
        let rooms = dora.request(json!({"type": "list_rooms"}));
        let [room] = rooms["rooms"].as_array()?.as_slice() else {
            return None;
        };
        assert_eq!(room["name"], "build");
        (sorted(&room["members"]) == ["alice@a", "bob@b"]).then_some(())
    });
    let joined = dora.request(json!({"type": "join_room", "room": "build"}));
    assert_eq!(sorted(&joined["members"]), ["alice@a", "bob@b", "dora"]);
    wait_until("alice to see dora in the room", || {
        let rooms = alice.request(json!({"type": "list_rooms"}));
        let members = rooms["rooms"][0]["members"].as_array()?.clone();
        members.contains(&json!("dora@d")).then_some(())
    });
    let said = dora.request(json!({"type": "room_msg", "room": "build", "text": "I am new"}));
    assert_eq!(said["delivered_count"], 2, "{said}");
    for session in [&mut alice, &mut bob] {
        let came = session.next_of(&["incoming_room_msg"]);
        assert_eq!(
            (&came["from"], &came["text"]),
            (&json!("dora@d"), &json!("I am new"))
        );
    }
    assert!(
        carol
            .drain()
            .iter()
            .all(|line| line["type"] != "incoming_room_msg")
    );
}

#[test]
fn a_hub_that_joins_late_takes_part_in_a_group_as_it_is() {
    let test = "a_hub_that_joins_late_takes_part_in_a_group_as_it_is";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b] = mesh(&lan, ["a", "b"]);
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    wait_until("alice to see bob", || {
        peers(&mut alice)
            .iter()
            .any(|p| p["name"] == "bob@b")
            .then_some(())
    });
    let made = json!({"type": "group_create", "name": "release", "members": ["bob@b"]});
    assert_eq!(alice.request(made)["type"], "group_created");
    wait_until("bob's group", || {
        let sent = json!({"type": "group_send", "group": "release", "text": "before dora"});
        (bob.request(sent)["type"] == "group_ack").then_some(())
    });

    let mut d = Machine::new(&lan, "d");
    d.start();
    d.join(&a.invite());
    d.wait_linked(&["a", "b"]);
    let mut dora = d.session("dora");
    wait_until("alice to see dora", || {
        peers(&mut alice)
            .iter()
            .any(|p| p["name"] == "dora@d")
            .then_some(())
    });
    let refused = dora.request(json!({"type": "group_info", "group": "release"}));
    assert_eq!(refused["code"], "not_member", "{refused}");
    let invited = json!({"type": "group_invite", "group": "release", "peer": "dora@d"});
    assert_eq!(alice.request(invited)["type"], "group_ack");
    let info = wait_until("dora's group", || {
        let info = dora.request(json!({"type": "group_info", "group": "release"}));
        (info["type"] == "group_info_result").then_some(info)
    });
    assert_eq!(info["admin"], "alice@a", "{info}");
    let members = info["members"].as_array().expect("members");
    let names = members.iter().map(|member| member["name"].clone());
    assert_eq!(sorted(&names.collect()), ["alice@a", "bob@b", "dora"]);

    let sent = json!({"type": "group_send", "group": "release", "text": "with dora"});
    assert_eq!(bob.request(sent)["type"], "group_ack");
    wait_until("bob's words at dora's", || {
        let history = dora.request(json!({"type": "group_history", "group": "release"}));
        let entries = history["messages"].as_array()?;
        let said = |e: &Value| e["text"] == "with dora" && e["from"] == "bob@b";
        entries.iter().any(said).then_some(())
    });
}

/// Returns the names of a list in their order; a room lists those of its own hub first.
fn sorted(names: &Value) -> Vec<&str> {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

/// Returns the sessions that a session sees.
pub(crate) fn peers(client: &mut crate::support::raw::RawClient) -> Vec<Value> {
    let mut answer = client.request(json!({"type": "list_peers"}));
    let peers = answer["peers"].take();
    peers.as_array().expect("peers").clone()
}

/// Returns whether a hub is shown as linked.
pub(crate) fn is_linked(status: &Value, hub_id: &str) -> bool {
    other(status, hub_id).is_some_and(|hub| hub["state"] == "direct")
}
