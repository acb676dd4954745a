//! A hub that is revoked is out everywhere, the key is changed, and nobody else is lost.

use crate::mesh_world::Mesh;
use crate::mesh_world::machine::Crash;
use ecorelay_protocol::Psk;
use serde_json::{Value, json};

fn revoke(mesh: &mut Mesh, at: usize, hub: &str) -> Value {
    let answer = mesh.command(at, json!({"type":"hub","hub":hub,"change":"revoke"}));
    if answer.is_null() {
        // It waits for word from the others.
        panic!("no answer");
    }
    answer
}

fn key(mesh: &Mesh, at: usize) -> Psk {
    mesh.machines[at].key.clone().unwrap()
}

fn generation(mesh: &mut Mesh, at: usize) -> u64 {
    mesh.status(at)["mesh"]["generation"].as_u64().unwrap()
}

fn warnings(mesh: &mut Mesh, at: usize) -> Vec<String> {
    let status = mesh.status(at);
    let warnings = status["warnings"].as_array().unwrap().iter();
    warnings
        .map(|w| w["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Every one of these hubs is linked with every other, under one key.
fn together(mesh: &mut Mesh, hubs: &[usize]) {
    for &a in hubs {
        for &b in hubs {
            assert!(
                key(mesh, a) == key(mesh, b),
                "hub{a} and hub{b} have other keys"
            );
            assert!(
                a == b || mesh.linked(a, b),
                "hub{a} and hub{b} are not linked"
            );
        }
    }
}

#[test]
fn a_revoked_hub_is_out_and_the_others_have_a_new_key() {
    let mut mesh = Mesh::formed(4);
    let old = key(&mesh, 0);
    let answer = revoke(&mut mesh, 1, "hub3");
    assert_eq!(answer["type"], "hub_result", "{answer}");
    assert_eq!(
        (&answer["have"], &answer["hubs"]),
        (&json!(3), &json!(3)),
        "{answer}"
    );
    mesh.pass(30_000);
    together(&mut mesh, &[0, 1, 2]);
    assert!(key(&mesh, 0) != old && key(&mesh, 3) == old);
    for at in 0..3 {
        assert!(!mesh.linked(at, 3));
        assert_eq!(generation(&mut mesh, at), 1);
        let status = mesh.status(at);
        assert_eq!(status["mesh"]["revoked"][0]["hub_id"], "hub3");
        assert_eq!(status["hubs"].as_array().unwrap().len(), 2);
    }
    assert!(warnings(&mut mesh, 3).contains(&"revoked".to_owned()));
    // Again is answered alike.
    assert_eq!(revoke(&mut mesh, 1, "hub3")["type"], "hub_result");
    assert_eq!(generation(&mut mesh, 1), 1);
    // A hub that joins later gets the key of now.
    let traffic = mesh.traffic.clone();
    mesh.pass(120_000);
    assert_eq!(mesh.traffic.links, traffic.links, "links come and go");
}

#[test]
fn what_cannot_be_revoked_is_refused_and_says_why() {
    let mut mesh = Mesh::formed(2);
    let own = revoke(&mut mesh, 0, "hub0");
    assert_eq!(
        (&own["type"], &own["code"]),
        (&json!("err"), &json!("bad_args"))
    );
    let unknown = revoke(&mut mesh, 0, "hub7");
    assert_eq!(unknown["code"], "peer_not_found");
    assert!(
        unknown["message"].as_str().unwrap().contains("hub1"),
        "{unknown}"
    );
    let peer = mesh.machines[1].peer.to_string();
    assert_eq!(revoke(&mut mesh, 0, &peer)["type"], "hub_result");
    let out = revoke(&mut mesh, 1, "hub0");
    assert_eq!(out["code"], "not_member", "{out}");
}

#[test]
fn what_waits_for_a_revoked_hub_is_given_up_and_its_sender_told() {
    let mut mesh = Mesh::formed(3);
    let ann = mesh.session(0, "ann");
    let ben = mesh.session(2, "ben");
    mesh.pass(1_000);
    mesh.partition(vec![0, 0, 1]);
    mesh.pass(20_000);
    let sent = mesh.ask(ann, json!({"type":"send","to":"ben@hub2","text":"late"}));
    assert_eq!(sent["state"], "outbox", "{sent}");
    revoke(&mut mesh, 1, "hub2");
    mesh.pass(1_000);
    let told = mesh.inbox(ann);
    assert!(told.len() == 1 && told[0].contains("revoked"), "{told:?}");
    let refused = mesh.ask(ann, json!({"type":"send","to":"ben@hub2","text":"more"}));
    assert_eq!(refused["code"], "peer_not_found", "{refused}");
    assert!(mesh.peers(ann).iter().all(|name| !name.contains("hub2")));
    mesh.heal();
    mesh.pass(60_000);
    assert!(mesh.inbox(ben).is_empty());
    assert!(!mesh.linked(0, 2) && !mesh.linked(1, 2));
}

#[test]
fn a_groups_members_on_a_revoked_hub_are_taken_out() {
    let mut mesh = Mesh::formed(3);
    let ann = mesh.session(0, "ann");
    let ben = mesh.session(1, "ben");
    let cat = mesh.session(2, "cat");
    mesh.pass(1_000);
    let made = json!({"type":"group_create","name":"g","members":["ben@hub1","cat@hub2"]});
    assert_eq!(mesh.ask(ann, made)["type"], "group_created");
    mesh.pass(1_000);
    mesh.ask(
        cat,
        json!({"type":"group_send","group":"g","text":"before"}),
    );
    mesh.pass(1_000);
    revoke(&mut mesh, 1, "hub2");
    mesh.pass(5_000);
    mesh.ask(cat, json!({"type":"group_send","group":"g","text":"after"}));
    mesh.ask(
        ben,
        json!({"type":"group_send","group":"g","text":"among us"}),
    );
    mesh.pass(30_000);
    for (client, me) in [(ann, "ann"), (ben, "ben")] {
        let info = mesh.ask(client, json!({"type":"group_info","group":"g"}));
        let members = info["members"].as_array().unwrap();
        assert_eq!(members.len(), 2, "{me}: {info}");
        let page = mesh.ask(client, json!({"type":"group_history","group":"g"}));
        let texts: Vec<&str> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["text"].as_str().unwrap())
            .collect();
        assert!(
            texts.contains(&"before") && !texts.contains(&"after"),
            "{me}: {texts:?}"
        );
        assert!(
            texts.iter().any(|t| t.contains("its hub was revoked")),
            "{me}: {texts:?}"
        );
    }
    let page = mesh.ask(cat, json!({"type":"group_history","group":"g"}));
    assert!(!page.to_string().contains("among us"), "{page}");
}

#[test]
fn policies_hold_back_what_another_hub_sends() {
    let mut mesh = Mesh::formed(2);
    let ann = mesh.session(0, "ann");
    let ben = mesh.session(1, "ben");
    mesh.pass(1_000);
    let set = |mesh: &mut Mesh, policy: &str| {
        let line = json!({"type":"hub","hub":"HUB0","change":"policy","policy":policy});
        let answer = mesh.command(1, line);
        assert_eq!(answer["type"], "ack", "{answer}");
    };
    let send = json!({"type":"send","to":"ben@hub1","text":"x","urgent":true});
    set(&mut mesh, "not_urgent");
    mesh.ask(ann, send.clone());
    let pushed = mesh.confirm(ben, "handed");
    assert!(
        pushed.len() == 1 && pushed[0]["urgent"].is_null(),
        "{pushed:?}"
    );
    for client in [ann, ben] {
        mesh.ask(client, json!({"type":"join_room","room":"r"}));
    }
    let made = json!({"type":"group_create","name":"g","members":["ben@hub1"]});
    mesh.ask(ann, made);
    mesh.pass(1_000);
    mesh.inbox(ben);
    mesh.take(ben);
    set(&mut mesh, "quiet");
    let sent = mesh.ask(ann, send);
    assert_eq!(
        (&sent["status"], &sent["state"]),
        (&json!("queued"), &json!("stored")),
        "{sent}"
    );
    assert!(sent["detail"].as_str().unwrap().contains("wakes"), "{sent}");
    mesh.ask(ann, json!({"type":"broadcast","question":"why?"}));
    mesh.ask(ann, json!({"type":"room_msg","room":"r","text":"hi"}));
    mesh.ask(ann, json!({"type":"group_send","group":"g","text":"hello"}));
    mesh.pass(2_000);
    assert_eq!(mesh.take(ben), Vec::<Value>::new());
    let back = mesh.machines[1].connect().unwrap();
    mesh.machines[1].disconnect(back);
    assert_eq!(mesh.inbox(ben), ["x", "why?"]);
    let page = mesh.ask(ben, json!({"type":"group_history","group":"g"}));
    assert!(page.to_string().contains("hello"), "{page}");
    set(&mut mesh, "normal");
    mesh.ask(
        ann,
        json!({"type":"send","to":"ben@hub1","text":"y","urgent":true}),
    );
    let pushed = mesh.confirm(ben, "handed");
    assert_eq!(pushed[0]["urgent"], true, "{pushed:?}");
}

#[test]
fn labels_name_hubs_and_last() {
    let mut mesh = Mesh::formed(3);
    let label = |mesh: &mut Mesh, hub: &str, label: Value| {
        mesh.command(
            0,
            json!({"type":"hub","hub":hub,"change":"label","label":label}),
        )
    };
    assert_eq!(label(&mut mesh, "hub1", json!("Desk"))["type"], "ack");
    assert_eq!(label(&mut mesh, "hub2", json!("desk"))["code"], "bad_args");
    assert_eq!(
        label(&mut mesh, "hub2", json!("a\u{202e}b"))["code"],
        "bad_args"
    );
    mesh.kill(0);
    mesh.pass(5_000);
    let status = mesh.status(0);
    let hubs = status["hubs"].as_array().unwrap();
    let of = |id: &str| hubs.iter().find(|h| h["hub_id"] == id).unwrap()["label"].clone();
    assert_eq!((of("hub1"), of("hub2")), (json!("Desk"), Value::Null));
    assert_eq!(label(&mut mesh, "desk", Value::Null)["type"], "ack");
    let forget =
        |mesh: &mut Mesh| mesh.command(0, json!({"type":"hub","hub":"hub1","change":"forget"}));
    let refused = forget(&mut mesh);
    assert_eq!(refused["code"], "bad_args", "{refused}");
    revoke(&mut mesh, 0, "hub1");
    assert_eq!(forget(&mut mesh)["type"], "ack");
    assert_eq!(mesh.status(0)["mesh"]["revoked"], json!([]));
}

#[test]
fn a_crash_at_any_step_leaves_one_key_in_the_end() {
    for (who, let_out) in [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 4),
        (0, 8),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 4),
    ] {
        for before in [true, false] {
            let mut mesh = Mesh::formed(3);
            let crash = if before {
                Crash::BeforeCommit(let_out)
            } else {
                Crash::AfterCommit(let_out)
            };
            let conn = mesh.machines[0].connect().unwrap();
            mesh.crash(who, crash);
            mesh.machines[0].write(conn, &json!({"type":"hub","hub":"hub2","change":"revoke"}));
            mesh.pass(60_000);
            let revoked = mesh.status(0)["mesh"]["revoked"] != json!([]);
            assert!(
                revoked || (who == 0 && before),
                "crash of hub{who} {crash:?}"
            );
            let all: &[usize] = if revoked { &[0, 1] } else { &[0, 1, 2] };
            let (a, b) = (generation(&mut mesh, 0), generation(&mut mesh, 1));
            eprintln!("hub{who} {crash:?}: {a} {b} {}", mesh.linked(0, 1));
            if a == b {
                together(&mut mesh, all);
            }
        }
    }
}
