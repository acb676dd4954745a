//! Groups whose members are on several hubs.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use crate::mesh_world::groups::views;
use ecorelay_hub::{Input, MeshInput};
use ecorelay_protocol::Bytes;
use ecorelay_protocol::link::{Frame, GroupOps, Signed};
use serde_json::{Value, json};

fn send(mesh: &mut Mesh, client: Client, text: &str) {
    let sent = mesh.ask(client, json!({"type":"group_send","group":"g","text":text}));
    assert_eq!(sent["type"], "group_ack", "{text}: {sent}");
}

fn change(mesh: &mut Mesh, client: Client, kind: &str, peer: &str) -> Value {
    let line = json!({"type":format!("group_{kind}"),"group":"g","peer":peer,"reason":"so"});
    mesh.ask(client, line)
}

fn info(mesh: &mut Mesh, client: Client) -> Value {
    mesh.ask(client, json!({"type":"group_info","group":"g"}))
}

fn texts(mesh: &mut Mesh, client: Client) -> Vec<String> {
    let page = mesh.ask(
        client,
        json!({"type":"group_history","group":"g","limit":500}),
    );
    let messages = page["messages"].as_array();
    let messages = messages.unwrap_or_else(|| panic!("{page}"));
    let entry = |m: &Value| {
        format!(
            "{}: {}",
            m["from"].as_str().unwrap(),
            m["text"].as_str().unwrap()
        )
    };
    messages.iter().map(entry).collect()
}

fn made(mesh: &mut Mesh, admin: Client, members: &[&str]) {
    let made = mesh.ask(
        admin,
        json!({"type":"group_create","name":"g","members":members}),
    );
    assert_eq!(made["type"], "group_created", "{made}");
    mesh.pass(2_000);
}

#[test]
fn a_group_is_there_for_members_on_other_hubs() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    made(&mut mesh, ann, &["bob@hub1", "off@hub1"]);
    let told = mesh.take_type(bob, "incoming_group_msg");
    assert_eq!(told[0]["from"], "ann@hub0", "{told:?}");
    assert!(
        told[0]["text"]
            .as_str()
            .unwrap()
            .contains("made the group \"g\" with ann@hub0, bob, off")
    );

    send(&mut mesh, ann, "hello");
    mesh.pass(100);
    let pushed = mesh.confirm(bob, "handed");
    assert_eq!(
        (&pushed[0]["from"], &pushed[0]["text"]),
        (&json!("ann@hub0"), &json!("hello"))
    );
    assert_eq!(pushed[0]["origin_hub"], "hub0");
    send(&mut mesh, bob, "hi");
    mesh.pass(100);
    assert_eq!(texts(&mut mesh, ann), ["ann: hello", "bob@hub1: hi"]);
    assert_eq!(texts(&mut mesh, bob), ["ann@hub0: hello", "bob: hi"]);
    let shown = info(&mut mesh, bob);
    assert_eq!(shown["admin"], "ann@hub0");
    assert_eq!(shown["members"][0]["online"], true, "{shown}");
    assert_eq!(change(&mut mesh, bob, "invite", "cat")["code"], "not_admin");
    assert_eq!(
        change(&mut mesh, ann, "invite", "cat@nowhere")["code"],
        "peer_not_found"
    );
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
}

#[test]
fn a_removed_member_is_told_and_gets_nothing_more() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    made(&mut mesh, ann, &["bob@hub1"]);
    mesh.take(bob);
    assert_eq!(
        change(&mut mesh, ann, "remove", "bob@hub1")["type"],
        "group_ack"
    );
    mesh.pass(1_000);
    let told = mesh.take_type(bob, "incoming_group_msg");
    assert_eq!(told[0]["text"], "ann@hub0 removed bob from g: so");
    send(&mut mesh, ann, "among us");
    mesh.pass(1_000);
    assert_eq!(mesh.take_type(bob, "incoming_group_msg").len(), 0);
    assert_eq!(info(&mut mesh, bob)["code"], "not_member");
    let kept = views(&mesh, 1).remove(0).1;
    assert!(
        !kept.history.iter().any(|l| l.contains("among us")),
        "{kept:?}"
    );
    // Back again it sees what was said meanwhile.
    assert_eq!(
        change(&mut mesh, ann, "invite", "bob@hub1")["type"],
        "group_ack"
    );
    mesh.pass(2_000);
    assert!(texts(&mut mesh, bob).contains(&"ann@hub0: among us".to_owned()));
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
}

#[test]
fn five_members_on_three_hubs_agree_after_a_partition() {
    let mut mesh = Mesh::formed(3);
    let ann = mesh.session(0, "ann");
    let (bob, ben) = (mesh.session(1, "bob"), mesh.session(1, "ben"));
    let (cat, cora) = (mesh.session(2, "cat"), mesh.session(2, "cora"));
    mesh.pass(1_000);
    made(
        &mut mesh,
        ann,
        &["bob@hub1", "ben@hub1", "cat@hub2", "cora@hub2"],
    );
    send(&mut mesh, cora, "all together");
    mesh.pass(1_000);

    mesh.partition(vec![0, 0, 1]);
    mesh.pass(20_000);
    for n in 0..5 {
        send(&mut mesh, ann, &format!("ann {n}"));
        send(&mut mesh, cat, &format!("cat {n}"));
        send(&mut mesh, cora, &format!("cora {n}"));
        mesh.pass(10);
    }
    assert_eq!(
        change(&mut mesh, ann, "remove", "cora@hub2")["type"],
        "group_ack"
    );
    assert_eq!(
        change(&mut mesh, ann, "invite", "dan@hub1")["type"],
        "group_ack"
    );
    send(&mut mesh, bob, "cora is out");
    assert_eq!(
        mesh.ask(ben, json!({"type":"group_leave","group":"g"}))["type"],
        "group_ack"
    );
    // On the other side nobody may do what is the admin's, and members speak, leave and rename.
    assert_eq!(
        change(&mut mesh, cat, "remove", "ann@hub0")["code"],
        "not_admin"
    );
    for n in 0..20 {
        send(&mut mesh, cora, &format!("cora later {n}"));
    }
    assert_eq!(
        mesh.ask(cat, json!({"type":"rename","new_name":"kit"}))["type"],
        "ack"
    );
    send(&mut mesh, cat, "kit was cat");
    for client in [ann, bob, ben, cat, cora] {
        mesh.take(client);
    }

    mesh.heal();
    mesh.pass(60_000);
    let seen = views(&mesh, 0);
    assert_eq!(seen, views(&mesh, 1));
    assert_eq!(seen, views(&mesh, 2));
    let view = &seen[0].1;
    let members: Vec<&str> = view
        .members
        .iter()
        .map(|m| m.split('@').next().unwrap())
        .collect();
    assert_eq!(members, ["ann", "bob", "dan", "kit"]);
    let has = |text: &str| view.history.iter().any(|line| line.ends_with(text));
    assert!(has("all together") && has("ann 4") && has("cat 4") && has("cora is out"));
    assert!(
        has("kit was cat") && !has("cora later 19"),
        "{:#?}",
        view.history
    );
    let told = mesh.take_type(cora, "incoming_group_msg");
    let told: Vec<&str> = told.iter().map(|l| l["text"].as_str().unwrap()).collect();
    let count = |part: &str| told.iter().filter(|text| text.contains(part)).count();
    assert_eq!(count("removed cora from g: so"), 1, "{told:?}");
    assert_eq!(
        count("do not count") + count("does not count"),
        1,
        "{told:?}"
    );
    assert_eq!(info(&mut mesh, cora)["code"], "not_member");
}

#[test]
fn a_deleted_group_stays_deleted_for_a_hub_that_was_away() {
    let mut mesh = Mesh::formed(3);
    let (ann, bob, cat) = (
        mesh.session(0, "ann"),
        mesh.session(1, "bob"),
        mesh.session(2, "cat"),
    );
    mesh.pass(1_000);
    made(&mut mesh, ann, &["bob@hub1", "cat@hub2"]);
    mesh.partition(vec![0, 0, 1]);
    mesh.pass(20_000);
    mesh.take(bob);
    mesh.take(cat);
    assert_eq!(
        mesh.ask(ann, json!({"type":"group_delete","group":"g"}))["type"],
        "group_ack"
    );
    mesh.pass(1_000);
    assert_eq!(
        mesh.take_type(bob, "incoming_group_msg")[0]["text"],
        "ann@hub0 deleted group g"
    );
    send(&mut mesh, cat, "still here");
    // Its admin's hub stays away: any member's hub can say so.
    mesh.partition(vec![0, 1, 1]);
    mesh.pass(60_000);
    assert_eq!(
        mesh.take_type(cat, "incoming_group_msg")[0]["text"],
        "ann@hub0 deleted group g"
    );
    assert_eq!(info(&mut mesh, cat)["code"], "not_member");
    mesh.heal();
    mesh.pass(60_000);
    for at in 0..3 {
        let view = &views(&mesh, at)[0].1;
        assert!(view.deleted && view.history.is_empty() && view.members.is_empty());
    }
    made(&mut mesh, cat, &["ann@hub0"]);
    send(&mut mesh, ann, "a new one of the same name");
}

#[test]
fn two_groups_of_one_name_both_live_on() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    mesh.partition(vec![0, 1]);
    mesh.pass(20_000);
    made(&mut mesh, ann, &["bob@hub1"]);
    made(&mut mesh, bob, &["ann@hub0"]);
    mesh.take(ann);
    mesh.take(bob);
    mesh.heal();
    mesh.pass(60_000);
    for (client, at) in [(ann, 0), (bob, 1)] {
        let list = mesh.ask(client, json!({"type":"group_list"}));
        let names: Vec<&str> = list["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| g["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 2, "{list}");
        assert!(names[0] == "g" && names[1].starts_with("g-"), "{list}");
        let told = mesh.take_type(client, "incoming_group_msg");
        let told = told
            .iter()
            .filter(|l| l["text"].as_str().unwrap().starts_with("Two groups"));
        assert_eq!(told.count(), 1);
        // The older one keeps the name on both.
        let older = if at == 0 { "ann" } else { "ann@hub0" };
        assert_eq!(info(&mut mesh, client)["admin"], older);
    }
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
}

#[test]
fn the_ring_is_the_same_on_every_hub() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    made(&mut mesh, ann, &["bob@hub1"]);
    mesh.partition(vec![0, 1]);
    mesh.pass(20_000);
    for n in 0..700 {
        send(&mut mesh, ann, &format!("a{n}"));
        if n % 3 == 0 {
            send(&mut mesh, bob, &format!("b{n}"));
        }
    }
    mesh.heal();
    mesh.pass(60_000);
    let strip = |lines: Vec<String>| -> Vec<String> {
        lines
            .iter()
            .map(|l| l.split_once(": ").unwrap().1.to_owned())
            .collect()
    };
    let (mut at_ann, mut at_bob) = (strip(texts(&mut mesh, ann)), strip(texts(&mut mesh, bob)));
    // How much is gone is each reader's own.
    assert!(at_ann.remove(0).contains("no longer kept"));
    assert!(at_bob.remove(0).contains("no longer kept"));
    assert_eq!(at_ann, at_bob);
    assert_eq!(at_ann.len(), 500);
    send(&mut mesh, bob, "on and on");
    mesh.pass(1_000);
    assert_eq!(strip(texts(&mut mesh, ann)), ["on and on"]);
}

#[test]
fn a_hub_that_sends_nonsense_is_named_and_hurts_nobody() {
    let mut mesh = Mesh::formed(2);
    let (ann, bob) = (mesh.session(0, "ann"), mesh.session(1, "bob"));
    mesh.pass(1_000);
    made(&mut mesh, ann, &["bob@hub1"]);
    let group = views(&mesh, 0)[0].0.clone();
    let (by, link) = (
        mesh.machines[0].peer.clone(),
        mesh.link_between(1, 0).unwrap(),
    );
    for payload in [vec![], vec![0xff; 40], b"not an operation".to_vec()] {
        let signed = Signed {
            by: by.clone(),
            payload: Bytes(payload),
            signature: Bytes(vec![1; 8]),
        };
        let ops = GroupOps {
            group: group.clone(),
            ops: vec![signed],
            kept: vec![(by.clone(), u64::MAX)],
            more: true,
        };
        let frame = Ok(Box::new(Frame::GroupOps(ops)));
        mesh.machines[1].input(Input::Mesh(MeshInput::Frame { link, frame }));
        mesh.pass(1_000);
    }
    let warnings = mesh.status(1)["warnings"].to_string();
    assert!(warnings.contains("group_ops_refused"), "{warnings}");
    assert!(
        warnings.contains("hub0 has sent 3 operations"),
        "{warnings}"
    );
    send(&mut mesh, ann, "still here");
    send(&mut mesh, bob, "so am I");
    mesh.pass(1_000);
    assert_eq!(views(&mesh, 0), views(&mesh, 1));
    assert_eq!(texts(&mut mesh, bob).len(), 2);
}
