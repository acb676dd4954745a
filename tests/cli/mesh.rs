//! Two and three machines, each with a hub of its own on a loopback port: a ticket is made,
//! taken, refused; what one machine says arrives on the other.

use crate::support::home::TestHome;
use crate::support::process::{Finished, Live};
use crate::support::raw::RawClient;
use crate::support::wait_until;
use crate::{json_of, plain_json};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A machine of this name.
fn machine(hub_id: &str) -> TestHome {
    let home = TestHome::new();
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::write(
        home.data().join("config.toml"),
        format!("hub_id = \"{hub_id}\"\n"),
    )
    .unwrap();
    home
}

/// Returns the ticket that `invite` prints, alone on a line.
fn ticket(home: &TestHome) -> String {
    let invited = home.run(&["invite"]).expect_code(0);
    let ticket = invited.stdout.trim_end().to_owned();
    assert_eq!(ticket.lines().count(), 1, "{invited:?}");
    ticket
}

/// Runs a command with this on its standard input.
fn with_input(home: &TestHome, args: &[&str], input: &str) -> Live {
    let mut live = Live::start(home.ecorelay(args));
    live.write(input);
    live.close_input();
    live
}

fn joined(home: &TestHome, ticket: &str) -> Value {
    let mut join = with_input(home, &["join", "--wait", "60", "--json"], ticket);
    let document = join.json();
    assert_eq!(join.ended().code(), Some(0), "{document}");
    document
}

#[test]
fn a_ticket_makes_two_machines_one_mesh() {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let invited = desk.run(&["invite", "--expires", "1h"]).expect_code(0);
    let ticket = invited.stdout.trim_end().to_owned();
    assert!(ticket.starts_with("ecorelay-ticket-") && !ticket.contains('\n'));
    assert!(
        invited.stderr.contains("secret") && invited.stderr.contains("ecorelay join"),
        "{invited:?}"
    );
    assert!(invited.stderr.contains("No address"), "{invited:?}");
    let again = plain_json(&desk, &["invite"]);
    assert_eq!(
        (&again["ok"], &again["created"]),
        (&json!(true), &json!(false))
    );
    assert!(again["expires"].is_u64() && again["addresses"][0].is_string());

    let mut web = RawClient::session(&desk.socket(), "web");
    let done = joined(&laptop, &ticket);
    assert_eq!(
        (&done["hub_id"], &done["admitted"]),
        (&json!("desk"), &json!(true))
    );
    assert!(!done.to_string().contains("ecorelay-ticket"), "{done}");

    let peers = wait_until("the session on the other machine", || {
        let peers = json_of(&laptop, "ann", &["peers"]);
        (peers["peers"][0]["name"] == "web@desk").then_some(peers)
    });
    assert_eq!(peers["peers"][0]["hub"], "desk");
    let words = laptop.run(&["peers"]).expect_code(0).stdout;
    assert!(words.contains("web@desk"), "{words}");

    let sent = json_of(&laptop, "ann", &["send", "web@desk", "hello", "desk"]);
    assert_eq!(sent["ok"], true, "{sent}");
    let heard = web.next_of(&["incoming_message"]);
    assert_eq!(
        (&heard["from"], &heard["text"]),
        (&json!("ann@laptop"), &json!("hello desk"))
    );
    let answered = web.request(json!({"type": "reply", "ask_id": heard["msg_id"], "text": "hi"}));
    assert_eq!(answered["type"], "send_ack", "{answered}");
    let inbox = wait_until("the answer", || {
        let inbox = json_of(&laptop, "ann", &["inbox"]);
        (inbox["messages"][0]["text"] == "hi").then_some(inbox)
    });
    assert_eq!(
        (
            &inbox["messages"][0]["from"],
            &inbox["messages"][0]["reply_to"]
        ),
        (&json!("web@desk"), &sent["msg_id"])
    );
    let id = sent["msg_id"].as_str().unwrap();
    let why = json_of(&laptop, "ann", &["why", id]);
    assert_eq!(why["to"], "web@desk", "{why}");
    let words = laptop.run(&["why", id]).expect_code(0).stdout;
    assert!(
        words.contains("desk") && words.contains("stored"),
        "{words}"
    );
}

#[test]
fn the_status_shows_the_other_hub_coming_and_going() {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let ticket = ticket(&desk);
    joined(&laptop, &ticket);
    let hubs = plain_json(&laptop, &["hubs"]);
    let hub = &hubs["hubs"][0];
    assert_eq!(
        (&hub["hub_id"], &hub["state"], &hub["outbox"]),
        (&json!("desk"), &json!("direct"), &json!(0))
    );
    for key in ["peer_id", "address", "since", "sessions"] {
        assert!(!hub[key].is_null(), "{key}: {hub}");
    }
    let status = plain_json(&laptop, &["node", "status"]);
    assert_eq!(status["hubs"][0]["peer_id"], hub["peer_id"]);
    assert_eq!(status["mesh"]["admitted"], true);
    let page = laptop.run(&["node", "status"]).expect_code(0).stdout;
    assert!(
        page.contains("Hubs (1)") && page.contains("desk  direct"),
        "{page}"
    );

    desk.run(&["node", "stop"]).expect_code(0);
    let offline = wait_until("desk to be offline", || {
        let hubs = plain_json(&laptop, &["hubs"]);
        (hubs["hubs"][0]["state"] == "offline").then_some(hubs)
    });
    assert!(offline["hubs"][0]["since"].is_u64());
    let sent = json_of(&laptop, "ann", &["send", "bob@desk", "later"]);
    assert_eq!(
        (&sent["status"], &sent["state"]),
        (&json!("queued"), &json!("outbox"))
    );
    assert!(sent["detail"].as_str().unwrap().contains("desk"), "{sent}");
    let page = laptop.run(&["hubs"]).expect_code(0).stdout;
    assert!(
        page.contains("offline") && page.contains("1, oldest"),
        "{page}"
    );
    let doctor = laptop.run(&["doctor", "--json"]).json();
    let findings = doctor["findings"].as_array().unwrap();
    let about = |check: &str| findings.iter().find(|f| f["check"] == check).unwrap();
    assert_eq!(about("mesh key")["level"], "ok");
    let link = about("hub link");
    assert_eq!(link["level"], "warn", "{link}");
    assert!(link["message"].as_str().unwrap().contains("1 message"));

    desk.run(&["node", "start"]).expect_code(0);
    wait_until("the message to arrive", || {
        let inbox = json_of(&desk, "bob", &["inbox"]);
        (inbox["messages"][0]["text"] == "later").then_some(())
    });
}

/// Returns two machines of one mesh; on the first is a session, `web`.
fn pair() -> (TestHome, TestHome, RawClient) {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let ticket = ticket(&desk);
    let web = RawClient::session(&desk.socket(), "web");
    joined(&laptop, &ticket);
    wait_until("the session on the other machine", || {
        let peers = json_of(&laptop, "ann", &["peers"]);
        (peers["peers"][0]["name"] == "web@desk").then_some(())
    });
    (desk, laptop, web)
}

#[test]
fn a_broadcast_reaches_the_other_machine_and_its_answer_comes_back() {
    let (_desk, laptop, mut web) = pair();
    let mut broadcast = Live::start(laptop.ecorelay(&[
        "--as",
        "ann",
        "--json",
        "broadcast",
        "who",
        "is",
        "there?",
    ]));
    let ask = web.next_of(&["incoming_ask"]);
    assert_eq!(
        (&ask["from"], &ask["question"]),
        (&json!("ann@laptop"), &json!("who is there?"))
    );
    web.send(&json!({"type": "reply", "ask_id": ask["ask_id"], "text": "me"}));
    let document = broadcast.json();
    assert_eq!(document["peer_count"], 1, "{document}");
    let reply = &document["replies"][0];
    assert_eq!(
        (&reply["from"], &reply["text"]),
        (&json!("web@desk"), &json!("me"))
    );
    assert_eq!(broadcast.ended().code(), Some(0));
}

#[test]
fn a_room_is_one_on_both_machines() {
    let (_desk, laptop, mut web) = pair();
    web.request(json!({"type": "join_room", "room": "ops"}));
    let mut room = Live::start(laptop.ecorelay(&["--as", "ann", "--json", "room", "join", "ops"]));
    assert_eq!(room.json()["ok"], true);
    wait_until("the members of both machines", || {
        let rooms = json_of(&laptop, "zoe", &["room", "list"]);
        (rooms["rooms"][0]["members"] == json!(["ann", "web@desk"])).then_some(())
    });
    room.write("hello room");
    let said = web.next_of(&["incoming_room_msg"]);
    assert_eq!(
        (&said["from"], &said["text"]),
        (&json!("ann@laptop"), &json!("hello room"))
    );
}

#[test]
fn a_group_has_members_on_both_machines() {
    let (_desk, laptop, mut web) = pair();
    let made = json_of(&laptop, "ann", &["group", "create", "team", "web@desk"]);
    assert_eq!(made["members"], json!(["ann", "web@desk"]));
    json_of(&laptop, "ann", &["group", "send", "team", "hello team"]);
    let heard = wait_until("the text on the other machine", || {
        let heard = web.next_of(&["incoming_group_msg"]);
        (heard["text"] == "hello team").then_some(heard)
    });
    assert_eq!(
        (&heard["from"], &heard["group"]),
        (&json!("ann@laptop"), &json!("team"))
    );
}

#[test]
fn a_join_waits_for_an_inviter_that_is_off() {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let ticket = ticket(&desk);
    desk.run(&["node", "stop"]).expect_code(0);
    let file = laptop.path().join("ticket");
    std::fs::write(&file, &ticket).unwrap();
    let file = file.to_str().unwrap();
    let args = ["join", "--file", file, "--wait", "3"];
    let early = laptop.run(&args).expect_code(1);
    assert!(
        early.stderr.contains("keeps trying") && early.stdout.is_empty(),
        "{early:?}"
    );
    assert!(!early.stderr.contains(&ticket));
    let document = laptop
        .run(&["join", "--file", file, "--wait", "0", "--json"])
        .expect_code(1)
        .json();
    assert_eq!(
        (&document["ok"], &document["code"]),
        (&json!(false), &json!("hub_unreachable"))
    );
    let status = plain_json(&laptop, &["node", "status"]);
    assert_eq!(
        (&status["mesh"]["admitted"], &status["mesh"]["joining"]),
        (&json!(false), &json!(true))
    );

    desk.run(&["node", "start"]).expect_code(0);
    wait_until("the hubs to be linked", || {
        let hubs = plain_json(&laptop, &["hubs"]);
        (hubs["hubs"][0]["state"] == "direct").then_some(())
    });
    let words = laptop.run(&["join", &ticket]).expect_code(0).stdout;
    assert!(
        words.contains("Joined") && words.contains("desk"),
        "{words}"
    );
}

#[test]
fn a_ticket_that_cannot_be_used_is_told_with_the_reason() {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let ticket = ticket(&desk);
    let refused = |home: &TestHome, ticket: &str, code: i32| -> Finished {
        let finished = home.run(&["join", ticket, "--wait", "1", "--json"]);
        assert!(!finished.stdout.contains(ticket), "it is shown back");
        finished.expect_code(code)
    };
    // Damaged, by one character, or not whole; no hub is started for it.
    let mut damaged = ticket.clone();
    damaged.replace_range(60..61, if &ticket[60..61] == "A" { "B" } else { "A" });
    for bad in [&damaged, &ticket[..ticket.len() - 4]] {
        let document = refused(&laptop, bad, 2).json();
        assert_eq!(document["code"], "bad_args");
        assert!(
            document["message"].as_str().unwrap().contains("damaged"),
            "{document}"
        );
    }
    assert!(laptop.hubs().is_empty());
    let missing = laptop
        .run(&["join", "--file", "/nowhere/ticket"])
        .expect_code(1);
    assert!(missing.stderr.contains("/nowhere/ticket"), "{missing:?}");

    // One's own, and one that has ended.
    let own = refused(&desk, &ticket, 1).json();
    assert!(own["message"].as_str().unwrap().contains("this machine"));
    let short = plain_json(&desk, &["invite", "--expires", "1s"]);
    let late = machine("late");
    // Not by trying: who tries often is made to wait.
    let end = UNIX_EPOCH + Duration::from_millis(short["expires"].as_u64().unwrap());
    wait_until("the ticket to end", || {
        (SystemTime::now() > end).then_some(())
    });
    let document = refused(&late, short["ticket"].as_str().unwrap(), 1).json();
    assert!(
        document["message"].as_str().unwrap().contains("expired"),
        "{document}"
    );
    assert_eq!(document["code"], "bad_args");

    // Of a mesh this machine is not in, once it is in another.
    let third = machine("third");
    joined(&third, &ticket);
    let foreign = laptop.run(&["invite"]).expect_code(0).stdout;
    let document = refused(&third, foreign.trim_end(), 1).json();
    assert!(
        document["message"]
            .as_str()
            .unwrap()
            .contains("another mesh"),
        "{document}"
    );
}

#[test]
fn an_address_is_connected_to_or_its_failure_told() {
    let (desk, laptop) = (machine("desk"), machine("laptop"));
    let document = laptop
        .run(&["connect", "/ip4/127.0.0.1/tcp/9", "--json"])
        .expect_code(1)
        .json();
    assert_eq!(document["code"], "not_member", "{document}");
    let ticket = ticket(&desk);
    joined(&laptop, &ticket);
    let status = plain_json(&desk, &["node", "status"]);
    let address = status["mesh"]["addresses"][0].as_str().unwrap();
    let connected = plain_json(&laptop, &["connect", address, "--wait", "60"]);
    assert_eq!(
        (&connected["ok"], &connected["hub"]["hub_id"]),
        (&json!(true), &json!("desk"))
    );
    // Nothing listens on port 1.
    let failed = laptop
        .run(&["connect", "/ip4/127.0.0.1/tcp/1", "--wait", "5"])
        .expect_code(1);
    assert!(
        failed.stderr.contains("127.0.0.1:1") && failed.stderr.contains("trying"),
        "{failed:?}"
    );
    // Where such a dial is dropped instead of refused, it takes some attempts to be sure.
    wait_until("the page names the address", || {
        let page = laptop.run(&["node", "status"]).expect_code(0).stdout;
        page.contains("Addresses that do not answer").then_some(())
    });
}

#[test]
fn two_hubs_of_one_name_are_told_to_choose_another() {
    let (one, two) = (machine("desk"), machine("desk"));
    let ticket = ticket(&one);
    let finished = two.run(&["join", &ticket]).expect_code(1);
    assert!(
        finished.stderr.contains("hub_id") && finished.stderr.contains("config.toml"),
        "{finished:?}"
    );
}
