//! Who belongs to the mesh, and what others may do here, is decided by a person at a terminal:
//! no session can, of whichever protocol version, and nobody over the WebSocket.
use crate::world::World;
use ecorelay_hub::{ConnId, Input, Origin};
use serde_json::{Value, json};

const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

/// Everything that only a person decides.
fn requests() -> Vec<Value> {
    let server = format!("/ip4/203.0.113.7/tcp/4001/p2p/{PEER}");
    let hub = |change: &str| json!({"type": "hub", "hub": PEER, "change": change});
    vec![
        json!({"type": "pair"}),
        json!({"type": "pair", "code": "7-otter-lamp"}),
        json!({"type": "pair_answer", "choice": "leave"}),
        json!({"type": "invite"}),
        hub("revoke"),
        hub("forget"),
        hub("label"),
        json!({"type": "hub", "hub": PEER, "change": "policy", "policy": "normal"}),
        json!({"type": "rendezvous", "address": server}),
        json!({"type": "rendezvous", "address": server, "add": false}),
    ]
}

fn refused(w: &mut World, conn: ConnId, who: &str) {
    for request in requests() {
        let answer = w.ask(conn, request.clone());
        assert_eq!(answer["code"], "bad_msg", "{who}: {request} {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("Only a person"), "{who}: {message}");
    }
}

#[test]
fn no_session_can_pair_admit_revoke_or_change_a_policy() {
    let mut w = World::new();
    let (v5, v6) = (w.v5("old"), w.v6("new"));
    refused(&mut w, v5, "a session of the reference");
    refused(&mut w, v6, "a session");
    let attached = w.connect();
    let act = json!({"type": "register", "name": "me", "cwd": "/", "git_branch": "",
        "protocol_version": "6", "agent": "terminal", "attach": true});
    assert_eq!(w.ask(attached, act)["type"], "ack");
    refused(&mut w, attached, "a command that acts for a name");
    let web = ConnId(9_000);
    w.run(vec![Input::Connected {
        conn: web,
        origin: Origin::WebSocket,
    }]);
    refused(&mut w, web, "a program on the WebSocket");

    let person = w.connect();
    let status = w.ask(person, json!({"type": "status"}));
    assert_eq!(status["status"]["mesh"], Value::Null, "nothing was made");
    let invited = w.ask(person, json!({"type": "rendezvous", "address": "nonsense"}));
    let message = invited["message"].as_str().unwrap_or_default();
    assert!(!message.contains("Only a person"), "{invited}");
}
