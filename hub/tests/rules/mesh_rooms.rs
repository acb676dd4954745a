//! Rooms across hubs.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use ecorelay_hub::{Input, MeshInput};
use ecorelay_protocol::limits;
use ecorelay_protocol::link::{Publication, PublicationKind};
use serde_json::{Value, json};

fn join(mesh: &mut Mesh, client: Client, room: &str) -> Value {
    let line = json!({"type":"join_room","room":room});
    let answer = mesh.ask(client, line)["members"].clone();
    mesh.pass(1_000);
    answer
}

/// Says something in the room `r` and returns how many it reached.
fn say(mesh: &mut Mesh, client: Client, text: &str) -> u64 {
    let line = json!({"type":"room_msg","room":"r","text":text});
    let answer = mesh.ask(client, line);
    let count = answer["delivered_count"].as_u64();
    count.unwrap_or_else(|| panic!("{answer}"))
}

/// Returns what a client was told in rooms.
fn heard(mesh: &mut Mesh, client: Client) -> Vec<String> {
    let lines = mesh.take_type(client, "incoming_room_msg").into_iter();
    lines.map(|l| l["text"].as_str().unwrap().into()).collect()
}

/// Two hubs, a session in the room `r` on each.
fn pair() -> (Mesh, Client, Client) {
    let mut mesh = Mesh::formed(2);
    let a = mesh.register(0, "a", false);
    let b = mesh.register(1, "b", false);
    join(&mut mesh, a, "r");
    join(&mut mesh, b, "r");
    (mesh, a, b)
}

fn warning(mesh: &mut Mesh, at: usize, code: &str) -> Option<String> {
    let status = mesh.status(at);
    let mut all = status["warnings"].as_array().unwrap().iter();
    let one = all.find(|w| w["code"] == code)?;
    Some(one["message"].as_str().unwrap().to_owned())
}

fn publication(epoch: u64, seq: u64, text: &str) -> Publication {
    Publication {
        epoch,
        seq,
        ts: 0,
        from: "evil".parse().unwrap(),
        id: format!("m-{seq}"),
        kind: PublicationKind::Room("r".parse().unwrap()),
        text: Some(text.into()),
    }
}

fn gossip(mesh: &mut Mesh, from: usize, to: usize, publication: Publication) {
    let author = mesh.machines[from].peer.clone();
    let publication = Ok(Box::new(publication));
    mesh.machines[to].input(Input::Mesh(MeshInput::Gossip {
        author,
        publication,
    }));
}

#[test]
fn a_room_spans_all_hubs_and_counts_who_is_there() {
    let mut mesh = Mesh::formed(3);
    let a = mesh.session(0, "a");
    let b = mesh.session(1, "b");
    let c = mesh.register(2, "c", false);
    let out = mesh.register(1, "out", false);
    assert_eq!(join(&mut mesh, a, "r"), json!(["a"]));
    assert_eq!(join(&mut mesh, b, "r"), json!(["b", "a@hub0"]));
    assert_eq!(join(&mut mesh, c, "r"), json!(["c", "a@hub0", "b@hub1"]));

    assert_eq!(say(&mut mesh, out, "hi"), 2, "b has not confirmed");
    mesh.pass(1_000);
    let got = mesh.confirm(a, "handed").remove(0);
    assert_eq!(got["from"], "out@hub1");
    assert!(got["header"].as_str().unwrap().contains("out@hub1"));
    assert_eq!(mesh.confirm(b, "handed").len(), 1);
    let lines = mesh.take_type(c, "incoming_room_msg");
    let keys: Vec<_> = lines[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["from", "msg_id", "room", "text", "type"]);
    assert_eq!(mesh.take(out).len(), 0);

    let rooms = mesh.ask(out, json!({"type":"list_rooms"}));
    let all = json!([{"name":"r","members":["b","a@hub0","c@hub2"]}]);
    assert_eq!(rooms["rooms"], all);
    assert_eq!(mesh.status(2)["rooms"][0]["members"][0], "c");

    mesh.leave(c);
    mesh.pass(1_000);
    mesh.ask(a, json!({"type":"leave_room","room":"r"}));
    mesh.pass(1_000);
    assert_eq!(say(&mut mesh, out, "hi"), 0);
    mesh.confirm(b, "handed");
    let rooms = mesh.ask(a, json!({"type":"list_rooms"}));
    assert_eq!(rooms["rooms"], json!([{"name":"r","members":["b@hub1"]}]));
}

#[test]
fn whoever_watches_a_session_sees_what_it_is_told_from_elsewhere() {
    let (mut mesh, a, _) = pair();
    let conn = mesh.machines[1].connect().unwrap();
    let watcher = Client { machine: 1, conn };
    mesh.ask(watcher, json!({"type":"watch","name":"b"}));
    say(&mut mesh, a, "hi");
    mesh.pass(1_000);
    let copy = mesh.take_type(watcher, "watched").remove(0);
    assert_eq!(
        (&copy["from"], &copy["room"]),
        (&json!("a@hub0"), &json!("r"))
    );
}

#[test]
fn sessions_of_a_hub_that_is_offline_do_not_count_and_get_it_later() {
    let (mut mesh, a, b) = pair();
    mesh.partition(vec![0, 1]);
    mesh.pass(20_000);
    for n in 0..300 {
        assert_eq!(say(&mut mesh, a, &n.to_string()), 0);
    }
    assert!(heard(&mut mesh, b).is_empty());
    mesh.heal();
    mesh.pass(60_000);
    let all: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(heard(&mut mesh, b), all);
    assert_eq!(say(&mut mesh, a, "back"), 1);
    mesh.pass(1_000);
    assert_eq!(heard(&mut mesh, b), ["back"]);
}

#[test]
fn what_is_older_than_ten_minutes_is_gone_and_said_to_be() {
    let (mut mesh, a, b) = pair();
    say(&mut mesh, a, "0");
    mesh.partition(vec![0, 1]);
    mesh.pass(20_000);
    say(&mut mesh, a, "1");
    mesh.pass(limits::PUBLICATION_MS);
    say(&mut mesh, a, "2");
    mesh.heal();
    mesh.pass(60_000);
    assert_eq!(heard(&mut mesh, b), ["0", "2"]);
    let message = warning(&mut mesh, 1, "rooms_missed").unwrap();
    assert!(
        message.starts_with("1 ") && message.contains("hub0"),
        "{message}"
    );
    mesh.pass(limits::PUBLICATION_MS);
    assert_eq!(warning(&mut mesh, 1, "rooms_missed"), None);
}

#[test]
fn gossip_may_lose_double_and_reorder_what_it_likes() {
    for seed in 0..5 {
        let mut mesh = Mesh::new(3, seed);
        mesh.form();
        let clients: Vec<Client> = (0..3).map(|n| mesh.register(n, "s", false)).collect();
        for client in &clients {
            join(&mut mesh, *client, "r");
        }
        mesh.habits.gossip_lost = 40;
        mesh.habits.gossip_twice = 30;
        mesh.habits.gossip_ms = 300;
        mesh.habits.frame_ms = 40;
        let mut said = [Vec::new(), Vec::new(), Vec::new()];
        for n in 0..200 {
            let (who, wait) = (mesh.rng.usize(0..3), mesh.rng.u64(0..200));
            let text = match mesh.rng.u32(0..10) {
                0 => format!("{who} {n} {}", "x".repeat(70_000)),
                _ => format!("{who} {n}"),
            };
            say(&mut mesh, clients[who], &text);
            said[who].push(text);
            mesh.pass(wait);
        }
        mesh.pass(60_000);
        for (n, client) in clients.iter().enumerate() {
            let heard = heard(&mut mesh, *client);
            for (who, said) in said.iter().enumerate().filter(|(who, _)| *who != n) {
                let of = |t: &&String| t.starts_with(&who.to_string());
                let heard: Vec<&String> = heard.iter().filter(of).collect();
                assert!(
                    heard.iter().eq(&said.iter().collect::<Vec<_>>()),
                    "seed {seed}"
                );
            }
        }
        assert_eq!(mesh.traffic.overflows, 0);
    }
}

#[test]
fn texts_of_every_size_arrive_in_their_order() {
    let (mut mesh, a, b) = pair();
    let sizes = [1, 48_000, 49_152, 60_000, 300_000, 5, limits::TEXT_UTF16, 2];
    let texts: Vec<String> = sizes.iter().map(|n| "x".repeat(*n)).collect();
    for text in texts.iter().chain(&texts) {
        let line = json!({"type":"room_msg","room":"r","text":text});
        mesh.machines[0].write(a.conn, &line);
    }
    let wide = "世".repeat(limits::TEXT_UTF16);
    say(&mut mesh, a, &wide);
    mesh.pass(5_000);
    let heard = heard(&mut mesh, b);
    let said: Vec<&String> = texts.iter().chain(&texts).chain([&wide]).collect();
    assert_eq!(heard.len(), said.len());
    assert!(heard.iter().eq(said));
    assert_eq!(mesh.traffic.overflows, 0);
}

#[test]
fn a_burst_of_64_kb_in_200_rooms_arrives_everywhere() {
    let mut mesh = Mesh::formed(3);
    let clients: Vec<Client> = (0..3).map(|n| mesh.register(n, "s", false)).collect();
    for n in 0..200 {
        for client in &clients {
            let line = json!({"type":"join_room","room":format!("room-{n}")});
            assert_eq!(mesh.ask(*client, line)["type"], "room_ack");
        }
    }
    mesh.pass(5_000);
    let rooms = mesh.ask(clients[0], json!({"type":"list_rooms"}));
    let rooms = rooms["rooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 200);
    assert!(
        rooms
            .iter()
            .all(|r| r["members"].as_array().unwrap().len() == 3)
    );
    for n in 0..200 {
        let text = format!("{n} {}", "x".repeat(64_000));
        let line = json!({"type":"room_msg","room":format!("room-{n}"),"text":text});
        mesh.machines[0].write(clients[0].conn, &line);
    }
    mesh.pass(20_000);
    for client in &clients[1..] {
        let lines = mesh.take_type(*client, "incoming_room_msg");
        let rooms: Vec<&Value> = lines.iter().map(|l| &l["room"]).collect();
        let all: Vec<Value> = (0..200).map(|n| json!(format!("room-{n}"))).collect();
        assert!(rooms.into_iter().eq(&all));
    }
    assert_eq!(mesh.traffic.overflows, 0);
}

#[test]
fn a_hub_that_comes_back_hears_nothing_old_and_is_heard_at_once() {
    let (mut mesh, a, b) = pair();
    say(&mut mesh, a, "old");
    say(&mut mesh, b, "older");
    mesh.pass(1_000);
    mesh.kill(1);
    mesh.pass(60_000);
    let b = mesh.register(1, "b", false);
    join(&mut mesh, b, "r");
    mesh.pass(10_000);
    assert!(heard(&mut mesh, b).is_empty());
    assert_eq!(say(&mut mesh, b, "new"), 1);
    assert_eq!(say(&mut mesh, a, "hello"), 1);
    mesh.pass(1_000);
    assert_eq!(heard(&mut mesh, a), ["older", "new"]);
    assert_eq!(heard(&mut mesh, b), ["hello"]);
}

#[test]
fn gossip_that_falls_silent_is_noticed_shown_and_mended() {
    let (mut mesh, a, b) = pair();
    let links = mesh.traffic.links;
    mesh.habits.gossip_lost = 100;
    for n in 0..3 {
        say(&mut mesh, a, &n.to_string());
        mesh.pass(2_000);
    }
    assert_eq!(heard(&mut mesh, b), ["0", "1", "2"]);
    assert_eq!(mesh.traffic.links, links + 1, "dialled anew");
    assert!(warning(&mut mesh, 1, "rooms_gossip_silent").is_some());
    mesh.pass(10_000);
    for _ in 0..5 {
        say(&mut mesh, a, "again");
        mesh.pass(1_000);
    }
    assert_eq!(heard(&mut mesh, b).len(), 5);
    assert_eq!(mesh.traffic.links, links + 1, "not more than once a minute");
    mesh.habits.gossip_lost = 0;
    say(&mut mesh, a, "works");
    mesh.pass(1_000);
    assert_eq!(heard(&mut mesh, b), ["works"]);
    assert_eq!(warning(&mut mesh, 1, "rooms_gossip_silent"), None);
}

#[test]
fn a_hub_that_floods_is_contained_and_hurts_nobody_else() {
    let mut mesh = Mesh::formed(3);
    let clients: Vec<Client> = (0..3).map(|n| mesh.register(n, "s", false)).collect();
    for client in &clients {
        join(&mut mesh, *client, "r");
    }
    for seq in 1..=6_000 {
        gossip(&mut mesh, 2, 0, publication(u64::MAX, seq, "spam"));
        if seq % 500 == 0 {
            mesh.pass(1);
        }
    }
    let heard_of_it = heard(&mut mesh, clients[0]).len();
    assert!((2_000..2_200).contains(&heard_of_it), "{heard_of_it}");
    let message = warning(&mut mesh, 0, "rooms_flood").unwrap();
    assert!(message.contains("hub2"), "{message}");
    say(&mut mesh, clients[1], "hello");
    mesh.pass(1_000);
    assert_eq!(heard(&mut mesh, clients[0]), ["hello"]);
    assert_eq!(warning(&mut mesh, 0, "rooms_missed"), None);
}

#[test]
fn a_hub_cannot_have_a_message_confirmed_by_taking_its_id() {
    let (mut mesh, ..) = pair();
    let (near, far) = (mesh.session(0, "near"), mesh.session(0, "far"));
    join(&mut mesh, far, "r");
    let line = json!({"type":"send","to":"far","text":"x","msg_id":"m-1"});
    mesh.ask(near, line);
    gossip(&mut mesh, 1, 0, publication(u64::MAX, 1, "evil"));
    mesh.pass(10);
    let lines = mesh.take(far);
    let of = |kind| lines.iter().find(|l| l["type"] == kind).unwrap();
    let id = of("incoming_room_msg")["msg_id"].clone();
    assert_eq!(id, "hub1.m-1");
    let line = json!({"type":"pushed","msg_ids":[id],"result":"handed","path":"test"});
    mesh.machines[0].write(far.conn, &line);
    assert_eq!(mesh.inbox(far), ["x"]);
    let trace = mesh.ask(near, json!({"type":"why","msg_id":"m-1"}));
    assert_ne!(trace["trace"]["state"], "delivered");
}

#[test]
fn nonsense_and_strangers_are_dropped() {
    let (mut mesh, a, b) = pair();
    let stranger = crate::mesh_world::machine::Machine::new(9, 1).peer;
    let good = publication(u64::MAX, 1, "evil");
    mesh.machines[0].input(Input::Mesh(MeshInput::Gossip {
        author: stranger,
        publication: Ok(Box::new(good.clone())),
    }));
    let id = "x>y".to_owned();
    gossip(&mut mesh, 1, 0, Publication { id, ..good });
    // Numbers that cannot be: asked for, not to be had, done with.
    let epoch = crate::mesh_world::machine::BEGIN + 1_000_000_000;
    gossip(&mut mesh, 1, 0, publication(epoch, 7, "7"));
    gossip(&mut mesh, 1, 0, publication(epoch, u64::MAX / 2, "far"));
    gossip(&mut mesh, 1, 0, publication(epoch - 1, 9, "older start"));
    mesh.pass(120_000);
    assert_eq!(heard(&mut mesh, a), ["7", "far"]);
    assert!(warning(&mut mesh, 0, "rooms_unreadable").is_some());
    assert!(mesh.traffic.frames["fill"] <= 40, "{:?}", mesh.traffic);
    say(&mut mesh, a, "hello");
    mesh.pass(1_000);
    assert_eq!(heard(&mut mesh, b), ["hello"]);
}
