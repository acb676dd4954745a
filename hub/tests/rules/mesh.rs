//! What several hubs do together, each behaviour by itself.

use crate::mesh_world::Mesh;
use serde_json::json;

#[test]
fn one_hub_without_a_mesh_serves_its_sessions() {
    let mut mesh = Mesh::new(2, 1);
    let ann = mesh.session(0, "ann");
    let sent = mesh.ask(ann, json!({"type":"send","to":"ann","text":"hi"}));
    assert_eq!(sent["type"], "send_ack", "{sent}");
    mesh.pass(60_000);
    assert_eq!(mesh.inbox(ann), ["hi"]);
    assert_eq!(mesh.traffic.links, 0);
}

#[test]
fn a_new_hub_is_introduced_to_those_that_cannot_ask_it_yet() {
    let mut mesh = Mesh::new(4, 1);
    mesh.net.cut.extend([(1, 3), (2, 3)]);
    let ticket = mesh.invite(0);
    for at in [1, 2] {
        mesh.join(at, &ticket);
    }
    mesh.pass(1_000);
    mesh.join(3, &ticket);
    // Less than it takes until hubs ask about others that they are not linked with.
    mesh.pass(1_000);
    for at in [1, 2] {
        let machines = &mesh.machines;
        let peers = machines[at].peers.as_ref().unwrap();
        let of_new = peers.hubs.iter().find(|(p, _)| *p == machines[3].peer);
        assert_eq!(of_new.unwrap().1, [machines[3].address()], "hub {at}");
    }
}

#[test]
fn hubs_whose_inviter_is_out_of_reach_come_in_once_it_is_back() {
    for seed in 0..20 {
        let mut mesh = Mesh::new(3, seed);
        mesh.net.cut.extend([(0, 1), (0, 2)]);
        let ticket = mesh.invite(0);
        for at in [1, 2] {
            let joined = mesh.join(at, &ticket);
            assert_eq!(joined["type"], "join_result", "{joined}");
        }
        mesh.pass(120_000);
        assert_eq!(mesh.status(1)["mesh"]["joining"], true);
        assert!(!mesh.linked(1, 2) && mesh.machines[1].key.is_none());
        mesh.heal();
        mesh.pass(120_000);
        for (at, other) in [(1, "hub0"), (1, "hub2"), (2, "hub0"), (2, "hub1")] {
            let status = mesh.status(at);
            let hubs = status["hubs"].as_array().unwrap();
            let hub = hubs.iter().find(|hub| hub["hub_id"] == other).unwrap();
            assert_eq!(hub["state"], "direct", "seed {seed}, at {at}: {hub}");
        }
    }
}
