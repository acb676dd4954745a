//! The exit codes 1, 2 and 3.

use crate::support::home::TestHome;
use crate::support::raw::RawClient;
use serde_json::json;

#[test]
fn a_refusal_is_exit_code_1_with_its_code() {
    let home = TestHome::new();
    for (args, code) in [
        (&["reply", "m-none", "x"][..], "unknown_ask"),
        (&["why", "m-none"], "unknown_ask"),
        (&["send", "bob@nowhere", "x"], "peer_not_found"),
        (&["send", "b b", "x"], "bad_args"),
        (&["room", "join", "a/b"], "bad_args"),
        (&["group", "info", "none"], "not_member"),
        (&["group", "delete", "none"], "group_not_found"),
        (&["group", "create", "g", "x@nowhere"], "peer_not_found"),
    ] {
        let finished = home
            .run(&[&["--as", "ann", "--json"], args].concat())
            .expect_code(1);
        let document = finished.json();
        assert_eq!(
            (&document["ok"], &document["code"]),
            (&json!(false), &json!(code)),
            "{args:?}"
        );
        assert!(
            document["message"].as_str().unwrap().len() > 10,
            "{document}"
        );

        let finished = home.run(&[&["--as", "ann"], args].concat()).expect_code(1);
        assert!(
            finished.stderr.starts_with("error: ") && finished.stdout.is_empty(),
            "{finished:?}"
        );
    }
}

#[test]
fn a_hook_never_fails_for_an_assistant_takes_that_as_its_word() {
    let home = TestHome::new();
    for args in [
        &["hook", "claude"][..],
        &["hook", "nobody"],
        &["hook"],
        &["hook", "claude", "--no-such", "--json"],
    ] {
        let finished = home.run(args).expect_code(0);
        assert!(finished.stdout.is_empty(), "{args:?}: {finished:?}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_a_typo_gets_a_suggestion() {
    let home = TestHome::new();
    for (args, word) in [
        (&["sned", "bob", "x"][..], "send"),
        (&["room", "jion", "x"], "join"),
        (&["group", "histroy", "x"], "history"),
        (&["node", "stauts"], "status"),
        (&["send", "bob", "x", "--urgnet"], "--urgent"),
        (&["send", "bob"], "TEXT"),
        (&["send"], "TO"),
        (&["inbox", "--limit", "0"], "1..=100"),
        (&["inbox", "--limit", "x"], "--limit"),
        (&["group", "history", "g", "--limit", "501"], "1..=500"),
        (&["broadcast", "x", "--scope", "world"], "mesh"),
        (&["--as", "a b", "peers"], "--as"),
        (&["watch", "a b"], "name"),
        (&["completions", "tcsh"], "bash"),
        (&["invite", "--expires", "tomorrow"], "30m"),
        (&["invite", "--expires", "31d"], "30 days"),
        (&["invtie"], "invite"),
        (&["join", "7-otter-lamp"], "ecorelay-ticket-"),
        (&["invite", "--uses", "0"], "1..=1000"),
        (&["join", "x", "--file", "y"], "--file"),
        (&["join", "x", "--wait", "x"], "--wait"),
        (&["connect"], "MULTIADDR"),
        (&["connect", "10.0.0.2:4001"], "/ip4/10.0.0.2/tcp/4001"),
        (&["connect", "/ip4/10.0.0.2/tcp/4001/p2p/x"], "PeerId"),
        (&["hubs", "desk"], "desk"),
        (&["hubs", "revkoe", "desk"], "revoke"),
        (&["hubs", "policy", "desk", "loud"], "quiet"),
        (&["pair", "otter-lamp"], "7-otter-lamp"),
        (&["pair", "7-oter-lamp"], "did you mean \"otter\"?"),
        (
            &["pair", "7-otter-lamp", "--rendezvous", "a b"],
            "host name",
        ),
        (
            &["pair", "--rendezvous", "/ip4/203.0.113.7/tcp/4001"],
            "identity",
        ),
        (&["rendezvous", "add", "203.0.113.7:4001"], "/p2p/"),
        (&["rendezvous"], "add"),
    ] {
        let finished = home.run(args).expect_code(2);
        assert!(
            finished.stderr.contains(word),
            "{args:?} {word}: {finished:?}"
        );
        let finished = home.run(&[args, &["--json"]].concat()).expect_code(2);
        let document = finished.json();
        assert_eq!(
            (&document["ok"], &document["code"]),
            (&json!(false), &json!("bad_args")),
            "{args:?}"
        );
    }
    home.run(&[]).expect_code(2);
    assert!(home.hubs().is_empty(), "nonsense starts no hub");
}

#[test]
fn no_hub_is_exit_code_3() {
    let home = TestHome::new();
    for args in [&["node", "status"][..], &["--json", "node", "status"]] {
        let finished = home.run(args).expect_code(3);
        let words = format!("{}{}", finished.stdout, finished.stderr);
        assert!(words.contains("ecorelay up"), "{words}");
    }
    // A hub that cannot start because of its settings: its last words reach the person.
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(home.data().join("config.toml"), "colour = \"red\"\n").unwrap();
    let document = home.run(&["--json", "peers"]).expect_code(3).json();
    assert_eq!(document["code"], "hub_unreachable");
    assert!(
        document["message"].as_str().unwrap().contains("colour"),
        "{document}"
    );
}

#[test]
fn a_live_session_of_another_cannot_be_acted_for() {
    let home = TestHome::new();
    let _hub = home.hub();
    let _web = RawClient::session(&home.socket(), "web");
    let document = home
        .run(&["--as", "web", "--json", "inbox"])
        .expect_code(1)
        .json();
    assert_eq!(document["code"], "name_taken");
}
