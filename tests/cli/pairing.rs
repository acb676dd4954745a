//! `pair`, `hubs` and `rendezvous` as people and scripts meet them; no network beyond loopback.
//! Two machines that pair are in `tests/lan`.

use crate::plain_json;
use crate::support::home::TestHome;
use crate::support::process::Live;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::json;

const SERVER: &str =
    "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

#[test]
fn a_pairing_that_is_ended_leaves_nothing() {
    let home = TestHome::new();
    let mut command = home.ecorelay(&["pair", "--json"]);
    let log = std::fs::File::create(home.path().join("pair-events.txt")).unwrap();
    command.stderr(log);
    let mut pair = Live::start(command);
    let code = wait_until("the code on standard error", || {
        let said = std::fs::read_to_string(home.path().join("pair-events.txt")).ok()?;
        let line = said.lines().find(|line| line.contains("\"window\""))?;
        let step: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(step["code"].as_str()?.to_owned())
    });
    assert_eq!(code.split('-').count(), 3, "{code}");
    // Somebody else on this machine cannot show another one meanwhile.
    let second = home.run(&["pair", "--json"]).expect_code(1).json();
    assert!(
        second["message"].as_str().unwrap().contains("already"),
        "{second}"
    );
    pair.signal(Signal::INT);
    let document = pair.json();
    assert_eq!(
        (&document["ok"], &document["code"]),
        (&json!(false), &json!("cancelled")),
        "{document}"
    );
    assert_eq!(pair.ended().code(), Some(1));
    let status = plain_json(&home, &["node", "status"]);
    assert!(status["mesh"].is_null(), "{status}");
    // A mesh that was never made has no key.
    assert!(!home.data().join("mesh.key").exists());
}

#[test]
fn a_hub_that_is_not_known_is_told_with_the_exit_code_of_a_refusal() {
    let home = TestHome::new();
    let _hub = home.hub();
    for args in [
        &["hubs", "label", "desk", "attic"][..],
        &["hubs", "policy", "desk", "quiet"],
        &["hubs", "forget", "desk"],
        &["hubs", "revoke", "desk", "--yes"],
    ] {
        let document = home
            .run(&[args, &["--json"]].concat())
            .expect_code(1)
            .json();
        assert_eq!(document["code"], "peer_not_found", "{document}");
    }
}

#[test]
fn a_rendezvous_server_is_kept_and_taken_away() {
    let home = TestHome::new();
    let _hub = home.hub();
    let none = home.run(&["rendezvous", "list"]).expect_code(0).stdout;
    assert!(none.contains("ecorelay rendezvous add"), "{none}");
    let added = plain_json(&home, &["rendezvous", "add", SERVER]);
    assert_eq!(added["server"]["address"], SERVER, "{added}");
    let listed = plain_json(&home, &["rendezvous", "list"]);
    assert_eq!(listed["rendezvous"], json!([SERVER]));
    let page = home.run(&["rendezvous", "status"]).expect_code(0).stdout;
    assert!(page.contains("127.0.0.1:9"), "{page}");
    let other = home.run(&["rendezvous", "remove", "127.0.0.1:8"]);
    assert!(other.expect_code(1).stderr.contains("127.0.0.1:9"));
    plain_json(&home, &["rendezvous", "remove", "127.0.0.1:9"]);
    let listed = plain_json(&home, &["rendezvous", "list"]);
    assert_eq!(listed["rendezvous"], json!([]));
}

#[test]
fn no_session_of_either_version_can_pair_invite_or_revoke() {
    let home = TestHome::new();
    let _hub = home.hub();
    for version in ["5", "6"] {
        let mut session = RawClient::connect(&home.socket());
        session.send(
            &json!({"type": "register", "name": format!("s{version}"), "cwd": "/",
            "git_branch": "", "protocol_version": version}),
        );
        session.next_of(&["ack"]);
        for request in [
            json!({"type": "pair"}),
            json!({"type": "pair", "code": "7-otter-lamp"}),
            json!({"type": "invite"}),
            json!({"type": "hub", "hub": "desk", "change": "revoke"}),
            json!({"type": "hub", "hub": "desk", "change": "policy", "policy": "normal"}),
            json!({"type": "rendezvous", "address": SERVER}),
        ] {
            // Errors of version "5" do not say which request they are about.
            session.send(&request);
            let answer = session.next_of(&["err", "pair", "invite_result", "ack"]);
            assert_eq!(answer["code"], "bad_msg", "{version}: {request} {answer}");
        }
    }
    let status = plain_json(&home, &["node", "status"]);
    assert!(status["mesh"].is_null(), "{status}");
}
