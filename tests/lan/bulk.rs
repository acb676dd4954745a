//! Much at once: texts far over what fits into a gossip message, bursts, and many rooms.

use crate::support::machine::{Machine, mesh};
use crate::support::mail::send;
use crate::support::netns::Lan;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use serde_json::{Value, json};

const KIB: usize = 1_024;

#[test]
fn long_texts_cross_between_hubs_unharmed() {
    let test = "long_texts_cross_between_hubs_unharmed";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b] = mesh(&lan, ["a", "b"]);
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    for session in [&mut alice, &mut bob] {
        join(session, "build");
    }
    wait_for_members(&mut alice, "build", 2);
    wait_for_members(&mut bob, "build", 2);
    for length in [60_000, 300_000, 512 * KIB] {
        let text = text(length, length);
        send(&mut alice, "bob@b", &text);
        send(&mut bob, "alice@a", &text);
        for (session, from) in [(&mut bob, "alice@a"), (&mut alice, "bob@b")] {
            let came = session.next_of(&["incoming_message"]);
            assert_eq!(came["from"], from);
            assert!(came["text"] == *text, "{length} characters came as others");
        }
        say(&mut alice, "build", &text);
        let came = bob.next_of(&["incoming_room_msg"]);
        assert!(came["text"] == *text, "{length} characters came as others");
    }
}

#[test]
fn a_burst_of_long_room_messages_reaches_everybody_once() {
    const BURST: usize = 50;
    let test = "a_burst_of_long_room_messages_reaches_everybody_once";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b, c] = mesh(&lan, ["a", "b", "c"]);
    let mut sessions = members(&[&a, &b, &c], "build");
    for number in 0..BURST {
        say(&mut sessions[0], "build", &text(64 * KIB, number));
    }
    for session in &mut sessions[1..] {
        let mut came: Vec<String> = (0..BURST).map(|_| room_text(session)).collect();
        came.sort_unstable();
        let mut sent: Vec<String> = (0..BURST).map(|number| text(64 * KIB, number)).collect();
        sent.sort_unstable();
        assert!(came == sent, "not every message came, or one came twice");
        assert!(
            session
                .drain()
                .iter()
                .all(|line| line["type"] != "incoming_room_msg")
        );
    }
}

#[test]
fn two_hundred_rooms_reach_everybody() {
    const ROOMS: usize = 200;
    let test = "two_hundred_rooms_reach_everybody";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b, c] = mesh(&lan, ["a", "b", "c"]);
    let mut sessions = [a.session("alice"), b.session("bob"), c.session("carol")];
    for session in &mut sessions {
        for room in 0..ROOMS {
            join(session, &format!("room-{room}"));
        }
    }
    for session in &mut sessions {
        wait_until("every member of every room", || {
            let rooms = session.request(json!({"type": "list_rooms"}));
            let rooms = rooms["rooms"].as_array()?;
            let full = |room: &&Value| room["members"].as_array().is_some_and(|m| m.len() == 3);
            (rooms.iter().filter(full).count() == ROOMS).then_some(())
        });
    }
    for room in 0..ROOMS {
        let count = say(
            &mut sessions[room % 3],
            &format!("room-{room}"),
            &room.to_string(),
        );
        assert_eq!(count, 2, "in room {room}");
    }
    for (at, session) in sessions.iter_mut().enumerate() {
        let expected: Vec<usize> = (0..ROOMS).filter(|room| room % 3 != at).collect();
        let mut came: Vec<usize> = expected
            .iter()
            .map(|_| room_text(session).parse().unwrap())
            .collect();
        came.sort_unstable();
        assert_eq!(came, expected);
    }
}

/// Returns a text of so many characters; another one for each number.
fn text(length: usize, number: usize) -> String {
    let words = format!("{number} äöü ");
    words.chars().cycle().take(length).collect()
}

/// Returns a session on each machine; all are in the room and know it of each other.
fn members(machines: &[&Machine], room: &str) -> Vec<RawClient> {
    let mut sessions: Vec<RawClient> = machines.iter().map(|m| m.session("member")).collect();
    for session in &mut sessions {
        join(session, room);
    }
    for session in &mut sessions {
        wait_for_members(session, room, machines.len());
    }
    sessions
}

fn join(session: &mut RawClient, room: &str) {
    let answer = session.request(json!({"type": "join_room", "room": room}));
    assert_eq!(answer["type"], "room_ack", "{answer}");
}

fn wait_for_members(session: &mut RawClient, room: &str, count: usize) {
    wait_until("the members of the room", || {
        let rooms = session.request(json!({"type": "list_rooms"}));
        let room = rooms["rooms"]
            .as_array()?
            .iter()
            .find(|r| r["name"] == room)?
            .clone();
        (room["members"].as_array()?.len() == count).then_some(())
    });
}

/// Says something in a room; returns how many are told.
fn say(session: &mut RawClient, room: &str, text: &str) -> u64 {
    let answer = session.request(json!({"type": "room_msg", "room": room, "text": text}));
    let count = answer["delivered_count"].as_u64();
    count.unwrap_or_else(|| panic!("{room}: {answer}"))
}

fn room_text(session: &mut RawClient) -> String {
    let came = session.next_of(&["incoming_room_msg"]);
    came["text"].as_str().expect("a text").to_owned()
}
