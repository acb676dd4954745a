//! Two hubs pair: by a code, by a ticket, across crashes; each behaviour by itself.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use crate::mesh_world::machine::Crash;
use ecorelay_hub::{Keys as _, PlainKeys};
use ecorelay_protocol::pairing::{Method, PairingCode, Standing, Word};
use ecorelay_protocol::{Bytes, Ticket};
use serde_json::{Value, json};

/// A command line that pairs: it stays connected.
fn pair(mesh: &mut Mesh, at: usize, code: Option<&str>) -> Client {
    let conn = mesh.machines[at].connect().unwrap();
    let client = Client { machine: at, conn };
    let mut line = json!({"type": "pair", "req_id": "p"});
    if let Some(code) = code {
        line["code"] = json!(code);
    }
    mesh.machines[at].write(conn, &line);
    mesh.pass(5);
    client
}

/// Returns the steps a command line has heard, each with its name.
fn steps(mesh: &mut Mesh, client: Client) -> Vec<Value> {
    mesh.take_type(client, "pair")
}

fn step(steps: &[Value], name: &str) -> Value {
    let found = steps.iter().find(|s| s["step"] == name);
    found
        .cloned()
        .unwrap_or_else(|| panic!("no {name}: {steps:?}"))
}

/// Shows a code and returns it.
fn code(mesh: &mut Mesh, at: usize) -> (Client, String) {
    let client = pair(mesh, at, None);
    let window = step(&steps(mesh, client), "window");
    (client, window["code"].as_str().unwrap().to_owned())
}

fn linked(mesh: &mut Mesh, at: usize) -> Vec<String> {
    let status = mesh.status(at);
    let hubs = status["hubs"].as_array().unwrap().iter();
    let direct = hubs.filter(|h| h["state"] == "direct");
    direct
        .map(|h| h["hub_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_code_makes_two_hubs_one_mesh() {
    let mut mesh = Mesh::new(2, 3);
    let (host, code) = code(&mut mesh, 0);
    assert_eq!(mesh.status(0)["mesh"], Value::Null, "made too early");
    let guest = pair(&mut mesh, 1, Some(&code));
    mesh.pass(1_000);
    for (client, other) in [(host, "hub1"), (guest, "hub0")] {
        let steps = steps(&mut mesh, client);
        assert_eq!(step(&steps, "met")["hub_id"], other);
        let paired = step(&steps, "paired");
        assert_eq!(
            (&paired["hub_id"], &paired["hubs"]),
            (&json!(other), &json!(2))
        );
    }
    mesh.pass(5_000);
    assert_eq!(linked(&mut mesh, 0), ["hub1"]);
    assert_eq!(linked(&mut mesh, 1), ["hub0"]);
}

#[test]
fn wrong_words_use_the_code_up_on_both_sides() {
    let mut mesh = Mesh::new(2, 4);
    let (host, code) = code(&mut mesh, 0);
    let number = code.split('-').next().unwrap();
    let wrong = if code.ends_with("-otter-lamp") {
        format!("{number}-lamp-otter")
    } else {
        format!("{number}-otter-lamp")
    };
    let guest = pair(&mut mesh, 1, Some(&wrong));
    mesh.pass(1_000);
    for client in [host, guest] {
        let failed = step(&steps(&mut mesh, client), "failed");
        assert_eq!(failed["code"], "wrong_code", "{failed}");
    }
    let again = pair(&mut mesh, 1, Some(&code));
    mesh.pass(30_000);
    let failed = step(&steps(&mut mesh, again), "failed");
    assert_eq!(failed["code"], "not_found", "{failed}");
    for at in 0..2 {
        assert_eq!(mesh.status(at)["mesh"], Value::Null);
    }
}

#[test]
fn a_code_ends_with_its_time_and_with_its_command() {
    let mut mesh = Mesh::new(2, 5);
    let (host, _) = code(&mut mesh, 0);
    let second = pair(&mut mesh, 0, None);
    let refused = mesh.take_type(second, "err");
    assert_eq!(refused[0]["code"], "bad_args", "{refused:?}");
    mesh.pass(121_000);
    assert_eq!(step(&steps(&mut mesh, host), "failed")["code"], "expired");
    assert!(mesh.machines[0].door.window.is_none());
    let (host, _) = code(&mut mesh, 0);
    assert!(mesh.machines[0].door.window.is_some());
    mesh.leave(host);
    assert!(mesh.machines[0].door.window.is_none());
}

#[test]
fn the_mesh_with_other_hubs_takes_the_lonely_one_in() {
    for guest_has_mesh in [false, true] {
        let mut mesh = Mesh::new(3, 6);
        let ticket = mesh.invite(0);
        mesh.join(1, &ticket);
        mesh.pass(5_000);
        let (shows, types) = if guest_has_mesh { (2, 1) } else { (1, 2) };
        let (host, code) = code(&mut mesh, shows);
        let guest = pair(&mut mesh, types, Some(&code));
        mesh.pass(20_000);
        for client in [host, guest] {
            let paired = step(&steps(&mut mesh, client), "paired");
            assert_eq!(paired["hubs"], 3, "{paired}");
        }
        assert_eq!(linked(&mut mesh, 2), ["hub0", "hub1"]);
        assert_eq!(linked(&mut mesh, 0), ["hub1", "hub2"]);
    }
}

/// Returns two meshes of two hubs each: 0 and 1, 2 and 3.
fn two_meshes(seed: u64) -> Mesh {
    let mut mesh = Mesh::new(4, seed);
    for (inviter, other) in [(0, 1), (2, 3)] {
        let ticket = mesh.invite(inviter);
        mesh.join(other, &ticket);
    }
    mesh.pass(5_000);
    mesh
}

#[test]
fn a_hub_leaves_its_mesh_only_when_a_person_says_so() {
    for leave in [false, true] {
        let choice = if leave { "leave" } else { "stay" };
        let mut mesh = two_meshes(7);
        let (host, code) = code(&mut mesh, 0);
        let guest = pair(&mut mesh, 2, Some(&code));
        mesh.pass(1_000);
        let heard = steps(&mut mesh, guest);
        let question = step(&heard, "question");
        assert_eq!(question["theirs"], json!(["hub1"]));
        assert_eq!(question["ours"], json!(["hub3"]));
        assert!(heard.iter().all(|s| s["step"] != "paired"));
        // A person takes a minute to think.
        mesh.pass(60_000);
        let answer = mesh.ask(guest, json!({"type": "pair_answer", "choice": choice}));
        assert_eq!(answer["type"], "ack", "{answer}");
        mesh.pass(20_000);
        let (host, guest) = (steps(&mut mesh, host), steps(&mut mesh, guest));
        if leave {
            assert_eq!(step(&host, "paired")["hubs"], 3);
            assert_eq!(step(&guest, "paired")["hubs"], 3);
            assert_eq!(linked(&mut mesh, 2), ["hub0", "hub1"]);
            assert_eq!(linked(&mut mesh, 3), [""; 0]);
        } else {
            assert_eq!(step(&host, "failed")["code"], "other_mesh");
            assert_eq!(step(&guest, "failed")["code"], "other_mesh");
            assert_eq!(linked(&mut mesh, 2), ["hub3"]);
        }
    }
}

/// Pairs hub 2 of the second mesh with hub 0 of the first; the person merges the meshes.
fn merged(mesh: &mut Mesh) {
    let (host, code) = code(mesh, 0);
    let guest = pair(mesh, 2, Some(&code));
    mesh.pass(1_000);
    let question = step(&steps(mesh, guest), "question");
    assert_eq!(question["both"], json!([]));
    let answer = mesh.ask(guest, json!({"type": "pair_answer", "choice": "merge"}));
    assert_eq!(answer["type"], "ack", "{answer}");
    mesh.pass(2_000);
    let (host, guest) = (steps(mesh, host), steps(mesh, guest));
    assert_eq!(step(&host, "paired")["brings"], json!(["hub3"]));
    assert_eq!(step(&guest, "paired")["hubs"], 4);
}

#[test]
fn two_meshes_are_merged_and_everyone_comes_along() {
    for seed in 0..20 {
        let mut mesh = two_meshes(seed);
        merged(&mut mesh);
        mesh.pass(30_000);
        for at in 0..4 {
            let others: Vec<String> = (0..4)
                .filter(|n| *n != at)
                .map(|n| format!("hub{n}"))
                .collect();
            assert_eq!(linked(&mut mesh, at), others, "seed {seed}, hub{at}");
        }
        let warnings = |mesh: &mut Mesh, at| mesh.status(at)["warnings"].to_string();
        assert!(warnings(&mut mesh, 3).contains("mesh_merged"));
        assert!(!warnings(&mut mesh, 1).contains("mesh_merged"));
    }
}

#[test]
fn who_was_away_while_the_meshes_were_merged_comes_along_later() {
    for seed in 0..10 {
        let mut mesh = two_meshes(seed);
        mesh.partition(vec![0, 0, 0, 1]);
        mesh.pass(30_000);
        merged(&mut mesh);
        mesh.pass(60_000);
        if seed % 2 == 0 {
            mesh.kill(3);
        }
        mesh.heal();
        mesh.pass(120_000);
        assert_eq!(
            linked(&mut mesh, 3),
            ["hub0", "hub1", "hub2"],
            "seed {seed}"
        );
    }
}

#[test]
fn who_is_left_behind_is_not_taken_along() {
    let mut mesh = two_meshes(9);
    let (_, code) = code(&mut mesh, 0);
    let guest = pair(&mut mesh, 2, Some(&code));
    mesh.pass(1_000);
    mesh.ask(guest, json!({"type": "pair_answer", "choice": "leave"}));
    mesh.pass(120_000);
    assert_eq!(linked(&mut mesh, 2), ["hub0", "hub1"]);
    assert_eq!(linked(&mut mesh, 3), [""; 0]);
}

#[test]
fn two_machines_that_type_each_others_code_pair_once() {
    for seed in 0..20 {
        let mut mesh = Mesh::new(2, seed);
        mesh.habits.dial_ms = 40;
        mesh.habits.frame_ms = 20;
        let (a, code_a) = code(&mut mesh, 0);
        let (b, code_b) = code(&mut mesh, 1);
        for (client, code) in [(a, code_b), (b, code_a)] {
            let line = json!({"type": "pair", "code": code, "req_id": "p"});
            mesh.machines[client.machine].write(client.conn, &line);
        }
        mesh.pass(30_000);
        for client in [a, b] {
            step(&steps(&mut mesh, client), "paired");
        }
        assert_eq!(linked(&mut mesh, 0), ["hub1"], "seed {seed}");
    }
}

#[test]
fn a_ticket_is_used_up_on_contact_with_any_member() {
    let mut mesh = Mesh::new(4, 8);
    let first = mesh.invite(0);
    mesh.join(1, &first);
    mesh.pass(5_000);
    let answer = mesh.command(0, json!({"type": "invite"}));
    let ticket = answer["ticket"].as_str().unwrap().to_owned();
    mesh.pass(1_000);
    // The inviter is away: the other member lets the hub in.
    mesh.net.cut.extend([(0, 2)]);
    mesh.join(2, &ticket);
    mesh.pass(5_000);
    assert_eq!(mesh.status(2)["mesh"]["admitted"], true);
    mesh.heal();
    mesh.pass(5_000);
    mesh.join(3, &ticket);
    mesh.pass(5_000);
    let status = mesh.status(3);
    assert_eq!(status["mesh"]["admitted"], false, "{status}");
    let warning = &status["warnings"][0];
    assert_eq!(warning["code"], "not_admitted", "{status}");
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("used as often"), "{message}");
    assert!(mesh.machines[3].key.is_none());
    assert!(mesh.machines[3].durable().joining.is_none());
}

#[test]
fn a_ticket_that_cannot_be_used_is_refused_at_once_with_the_reason() {
    let mut mesh = two_meshes(9);
    let own = mesh.invite(0);
    let refused = mesh.join(0, &own);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("this machine")
    );
    let refused = mesh.join(2, &own);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("another mesh")
    );
    let short = mesh.command(0, json!({"type": "invite", "expires_s": 60}));
    let short = short["ticket"].as_str().unwrap().to_owned();
    mesh.pass(61_000);
    let refused = mesh.join(2, &short);
    assert!(refused["message"].as_str().unwrap().contains("expired"));
}

#[test]
fn a_ticket_ends_while_its_hub_is_away_and_survives_restarts_until_then() {
    let mut mesh = Mesh::new(2, 10);
    let ticket = mesh.command(0, json!({"type": "invite", "expires_s": 600}));
    mesh.partition(vec![0, 1]);
    mesh.join(1, ticket["ticket"].as_str().unwrap());
    mesh.pass(60_000);
    mesh.kill(1);
    mesh.pass(60_000);
    let status = mesh.status(1);
    assert_eq!(status["mesh"]["joining"], true, "{status}");
    assert!(!status["dials"].as_array().unwrap().is_empty(), "{status}");
    mesh.pass(600_000);
    let status = mesh.status(1);
    assert_eq!(status["warnings"][0]["code"], "not_admitted", "{status}");
    assert!(mesh.machines[1].durable().joining.is_none());
    assert!(mesh.machines[1].durable().mesh.is_none());
}

#[test]
fn a_hub_whose_name_is_taken_is_refused_before_anything_is_stored() {
    let mut mesh = Mesh::new(3, 11);
    let ticket = mesh.invite(0);
    mesh.join(1, &ticket);
    mesh.pass(5_000);
    mesh.kill(2);
    mesh.machines[2].hub_id = "hub1".into();
    mesh.pass(5_000);
    mesh.join(2, &ticket);
    mesh.pass(5_000);
    let status = mesh.status(2);
    assert_eq!(status["warnings"][0]["code"], "hub_id_taken", "{status}");
    assert!(mesh.machines[2].durable().mesh.is_none() && mesh.machines[2].key.is_none());
    // Called otherwise, it comes in with the same ticket.
    mesh.kill(2);
    mesh.machines[2].hub_id = "hub2".into();
    mesh.pass(70_000);
    assert_eq!(linked(&mut mesh, 2), ["hub0", "hub1"]);
}

#[test]
fn a_hub_that_is_killed_at_any_step_is_in_the_mesh_or_has_nothing() {
    let mut in_mesh = 0;
    for seed in 0..300_u64 {
        let mut mesh = Mesh::new(2, seed);
        mesh.habits.frame_ms = 20;
        mesh.habits.down_ms = 3_000;
        let (host, code) = code(&mut mesh, 0);
        let guest = pair(&mut mesh, 1, Some(&code));
        let mut rng = fastrand::Rng::with_seed(seed);
        mesh.pass(rng.u64(0..120));
        let victim = rng.usize(0..2);
        match rng.u32(0..4) {
            0 => mesh.kill(victim),
            1 => mesh.crash(victim, Crash::BeforeCommit(rng.usize(0..3))),
            2 => mesh.crash(victim, Crash::AfterCommit(rng.usize(0..4))),
            _ => {
                mesh.machines[victim].store_fails(true);
                mesh.pass(rng.u64(0..200));
                mesh.machines[victim].store_fails(false);
            }
        }
        mesh.pass(120_000);
        for machine in &mut mesh.machines {
            machine.crash = None;
        }
        mesh.pass(60_000);
        let taken = mesh.machines[1].durable().mesh;
        let told = [host, guest].map(|client| {
            let steps = steps(&mut mesh, client);
            steps.iter().any(|s| s["step"] == "paired")
        });
        if taken.is_some() {
            in_mesh += 1;
            assert_eq!(linked(&mut mesh, 0), ["hub1"], "seed {seed}");
            assert_eq!(linked(&mut mesh, 1), ["hub0"], "seed {seed}");
        } else {
            assert_eq!(told, [false, false], "seed {seed}");
            let status = mesh.status(0);
            assert_eq!(status["hubs"], json!([]), "seed {seed}");
            assert!(mesh.machines[1].key.is_none(), "seed {seed}");
        }
    }
    assert!((20..280).contains(&in_mesh), "{in_mesh} of 300");
}

#[test]
fn who_breaks_the_rules_of_the_conversation_gets_nothing() {
    let mut mesh = Mesh::formed(2);
    let ticket = Ticket::decode(&mesh.invite(0)).unwrap();
    let stranger = PlainKeys::numbered(30);
    let standing = |name: &str, count| {
        Word::Standing(Standing {
            hub_id: name.parse().unwrap(),
            root: None,
            others: Vec::new(),
            count,
            brings: Vec::new(),
            now: 0,
        })
    };
    let talks = [
        (vec![Word::Taken], PairingCode::BadMessage),
        (vec![Word::Done], PairingCode::BadMessage),
        (vec![standing("hub1", 0)], PairingCode::HubIdTaken),
        (vec![standing("hub0", 0)], PairingCode::HubIdTaken),
        (
            vec![standing("raw", 0), standing("raw", 0)],
            PairingCode::BadMessage,
        ),
    ];
    for (words, expected) in talks {
        let method = Method::Ticket(ticket.id.clone());
        let talk = mesh.raw_talk(0, stranger.peer_id(), method);
        for word in words {
            mesh.raw_say(talk, word);
        }
        let said = std::mem::take(&mut mesh.raw_words);
        let last = said.last();
        let refused = matches!(last, Some(Word::Refuse(refuse)) if refuse.code == expected);
        assert!(refused, "{expected:?}: {said:?}");
    }
    // A ticket nobody made, and a stranger that says it is a member.
    for method in [Method::Ticket(Bytes(vec![1; 16])), Method::Member] {
        mesh.raw_talk(0, stranger.peer_id(), method);
        let said = std::mem::take(&mut mesh.raw_words);
        assert!(matches!(said.as_slice(), [Word::Refuse(_)]), "{said:?}");
    }
    assert_eq!(linked(&mut mesh, 0), ["hub1"]);
    assert_eq!(mesh.machines[0].durable().roster.len(), 2);
}

#[test]
fn rendezvous_servers_are_told_to_all_hubs_and_a_removal_sticks() {
    let mut mesh = Mesh::new(3, 12);
    let server = |n: u8| {
        let key = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        format!("/ip4/203.0.113.{n}/tcp/4001/p2p/{key}")
    };
    let change = |mesh: &mut Mesh, at, n, add: bool| {
        let line = json!({"type": "rendezvous", "address": server(n), "add": add});
        mesh.command(at, line)
    };
    let shown = |mesh: &mut Mesh, at| {
        let status = mesh.status(at);
        let servers = status["rendezvous"].as_array().unwrap().iter();
        let servers = servers.map(|s| s["address"].as_str().unwrap().to_owned());
        servers.collect::<Vec<String>>()
    };
    // Before there is a mesh; it goes with the ticket's mesh.
    assert_eq!(change(&mut mesh, 0, 1, true)["type"], "ack");
    mesh.form();
    mesh.pass(5_000);
    assert_eq!(shown(&mut mesh, 2), [server(1)]);
    change(&mut mesh, 1, 2, true);
    mesh.pass(5_000);
    assert_eq!(shown(&mut mesh, 2), [server(1), server(2)]);
    // One that was away when it was removed does not bring it back.
    mesh.partition(vec![0, 0, 1]);
    mesh.pass(20_000);
    change(&mut mesh, 0, 1, false);
    mesh.pass(5_000);
    mesh.heal();
    mesh.pass(60_000);
    for at in 0..3 {
        assert_eq!(shown(&mut mesh, at), [server(2)], "hub {at}");
        let peers = mesh.machines[at].peers.as_ref().unwrap();
        assert_eq!(peers.rendezvous, [server(2)]);
    }
    for n in 3..10 {
        assert_eq!(change(&mut mesh, 0, n, true)["type"], "ack");
    }
    assert_eq!(change(&mut mesh, 0, 10, true)["code"], "bad_args");
    // A code that is open at a server carries it.
    let (_, code) = code(&mut mesh, 0);
    assert!(code.ends_with("@203.0.113.2:4001"), "{code}");
    let number: u32 = code.split('-').next().unwrap().parse().unwrap();
    assert!((1_000..=9_999).contains(&number), "{code}");
}
