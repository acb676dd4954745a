//! Two machines become one mesh with one command on each. A third one that guesses, and one that
//! listens, gain nothing. Whoever is killed on the way leaves nothing half done.

use crate::support::home::ECORELAY;
use crate::support::machine::{Machine, mesh, other};
use crate::support::mail::{read_until, send};
use crate::support::netns::Lan;
use crate::support::process::Live;
use crate::support::wire::{Wire, holds};
use crate::support::{announce, wait_until};
use serde_json::Value;
use std::time::Instant;

/// A fresh machine: no hub runs, there is no data directory to speak of.
fn fresh(lan: &Lan, hub_id: &str) -> Machine {
    Machine::new(lan, hub_id)
}

/// Types `ecorelay pair` and returns the code it shows, with the program, which goes on waiting.
fn show_code(machine: &Machine) -> (Live, String) {
    // What a person sees, wherever it is written.
    let mut command = machine.home.command("sh");
    command.args(["-c", "exec \"$0\" pair 2>&1", ECORELAY]);
    let mut live = Live::start(command);
    loop {
        let line = live.line();
        let code = line.split_whitespace().find_map(code_in);
        if let Some(code) = code {
            return (live, code);
        }
    }
}

/// Returns the code in a word of text: a number and two words.
fn code_in(word: &str) -> Option<String> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut parts = word.split('-');
    let number = parts.next()?;
    let words: Vec<&str> = parts.collect();
    let fits = number.chars().all(|c| c.is_ascii_digit())
        && !number.is_empty()
        && words.len() == 2
        && words
            .iter()
            .all(|w| w.len() > 2 && w.chars().all(|c| c.is_ascii_lowercase()));
    fits.then(|| word.to_owned())
}

/// Returns what the program still says until it ends, and its exit code.
fn rest(mut live: Live) -> (String, Option<i32>) {
    let status = live.ended();
    let mut said = String::new();
    while let Some(line) = live.try_line() {
        said.push_str(&line);
        said.push('\n');
    }
    (said, status.code())
}

/// Returns the names of the other hubs of the mesh.
fn hubs(machine: &Machine) -> Vec<String> {
    let shown = machine.run(&["node", "status", "--json"]);
    if shown.code() == 3 {
        // Without a mesh and a session the hub has ended by itself.
        return Vec::new();
    }
    let status = shown.expect_code(0).json();
    let hubs = status["hubs"].as_array().cloned().unwrap_or_default();
    let name = |hub: &Value| hub["hub_id"].as_str().unwrap_or_default().to_owned();
    hubs.iter().map(name).collect()
}

#[test]
fn two_fresh_machines_pair_and_talk_within_seconds() {
    let test = "two_fresh_machines_pair_and_talk_within_seconds";
    let Some(lan) = Lan::new(test) else { return };
    lan.flood();
    let (a, b) = (fresh(&lan, "desk"), fresh(&lan, "attic"));
    let ear = lan.port();
    let wire = Wire::tap(&ear);

    let (live, code) = show_code(&a);
    let second = Instant::now();
    let paired = b.run(&["pair", &code]).expect_code(0);
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    wait_until("bob's hub in alice's list", || {
        let answer = alice.request(serde_json::json!({"type": "list_peers"}));
        alice.forget();
        answer.to_string().contains("bob@attic").then_some(())
    });
    send(&mut alice, "bob@attic", "hello from the desk");
    let pushed = bob.next_of(&["incoming_message"]);
    let took = second.elapsed();
    assert_eq!(pushed["text"], "hello from the desk");
    announce(&format!(
        "MEASURED: pairing: from the second command to a message between sessions: {:.2} s",
        took.as_secs_f64()
    ));
    assert!(paired.stdout.contains("desk"), "{paired:?}");
    let (said, ended) = rest(live);
    assert_eq!(ended, Some(0), "{said}");
    assert!(said.contains("attic"), "{said}");

    // Whoever listened has heard that somebody paired, and nothing that helps.
    let packets = wire.packets();
    assert!(holds(&packets, b"desk"), "the announcement came by");
    let key = std::fs::read_to_string(a.home.data().join("mesh.key")).unwrap();
    let other_key = std::fs::read_to_string(b.home.data().join("mesh.key")).unwrap();
    assert_eq!(key, other_key, "one mesh");
    let hex = key.lines().last().expect("the key in hex digits").trim();
    let (_, words) = code.split_once('-').expect("a number and words");
    for secret in [hex.as_bytes(), &unhex(hex), words.as_bytes()] {
        assert!(!holds(&packets, secret), "a secret came by in clear");
    }
    assert!(!holds(&packets, b"hello from the desk"));
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn a_wrong_code_ends_the_attempt_on_both_sides_and_nobody_is_paired() {
    let test = "a_wrong_code_ends_the_attempt_on_both_sides_and_nobody_is_paired";
    let Some(lan) = Lan::new(test) else { return };
    let (a, b, c) = (fresh(&lan, "a"), fresh(&lan, "b"), fresh(&lan, "c"));
    let (live, code) = show_code(&a);
    let (number, words) = code.split_once('-').expect("a number and words");
    let mut words: Vec<&str> = words.split('-').collect();
    words.reverse();
    let guess = format!("{number}-{}", words.join("-"));
    // Words may be the same twice, then the code is no guess; it is made anew by then.
    assert_ne!(guess, code, "an unlucky code");
    let guessed = c.run(&["pair", &guess]).expect_code(1);
    assert!(
        guessed.stderr.contains("code") || guessed.stdout.contains("code"),
        "{guessed:?}"
    );
    let (said, ended) = rest(live);
    assert_eq!(ended, Some(1), "{said}");

    // The right code is of no use any more.
    b.run(&["pair", &code]).expect_code(1);
    for machine in [&a, &b, &c] {
        assert_eq!(hubs(machine), Vec::<String>::new());
        assert!(!machine.home.data().join("mesh.key").exists());
    }
}

#[test]
fn a_ticket_is_used_up_with_any_member_and_says_so() {
    let test = "a_ticket_is_used_up_with_any_member_and_says_so";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b] = mesh(&lan, ["a", "b"]);
    let (mut c, mut d) = (Machine::new(&lan, "c"), Machine::new(&lan, "d"));
    let before = b.status()["tickets"].as_u64();
    let invited = a.run(&["invite", "--json"]).expect_code(0).json();
    let ticket = invited["ticket"].as_str().expect("a ticket").to_owned();
    // The ticket says nothing of the key.
    let key = std::fs::read_to_string(a.home.data().join("mesh.key")).unwrap();
    let hex = key.lines().last().expect("the key").trim();
    assert!(!ticket.contains(hex));

    // The one that made it is off: another member lets c in.
    b.wait_status("the ticket at the other member", |status| {
        (status["tickets"].as_u64() > before).then_some(())
    });
    a.stop();
    c.start();
    c.join(&ticket);
    c.wait_linked(&["b"]);
    a.start();
    a.wait_linked(&["b", "c"]);
    d.start();
    let refused = d.try_join(&ticket, 10);
    assert_eq!(refused.code(), 1, "{refused:?}");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(told.contains("used"), "{told}");
    assert!(other(&b.status(), "d").is_none());
}

#[test]
fn a_revoked_hub_gets_nothing_and_one_that_was_off_comes_back_by_itself() {
    let test = "a_revoked_hub_gets_nothing_and_one_that_was_off_comes_back_by_itself";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b, mut thief, mut late] = mesh(&lan, ["a", "b", "thief", "late"]);
    late.stop();
    let old_key = std::fs::read(a.home.data().join("mesh.key")).unwrap();
    a.run(&["hubs", "revoke", "thief", "--yes"]).expect_code(0);
    for machine in [&mut a, &mut b] {
        machine.wait_status("the revoked hub to be gone", |status| {
            let gone = other(status, "thief").is_none_or(|hub| hub["state"] != "direct");
            gone.then_some(())
        });
    }
    a.wait_linked(&["b"]);
    let new_key = std::fs::read(a.home.data().join("mesh.key")).unwrap();
    assert_ne!(old_key, new_key, "the key has changed");
    wait_until("the key at b", || {
        (std::fs::read(b.home.data().join("mesh.key")).ok()? == new_key).then_some(())
    });

    // It still has the old key and its place on the old roster, and starts anew.
    thief.stop();
    thief.start();
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    let mut eve = thief.session("eve");
    late.start();
    late.wait_linked(&["a", "b"]);
    assert_eq!(
        std::fs::read(late.home.data().join("mesh.key")).unwrap(),
        new_key
    );
    let mut lena = late.session("lena");
    send(&mut alice, "bob@b", "end");
    assert_eq!(read_until(&mut bob, "end").len(), 0);
    wait_until("lena in alice's list", || {
        let answer = alice.request(serde_json::json!({"type": "list_peers"}));
        alice.forget();
        answer.to_string().contains("lena@late").then_some(())
    });
    send(&mut alice, "lena@late", "welcome back");
    assert_eq!(lena.next_of(&["incoming_message"])["text"], "welcome back");
    eve.forget();
    let answer = eve.request(serde_json::json!({"type": "list_peers"}));
    for name in ["alice", "bob", "lena"] {
        let online = answer["peers"].as_array().is_some_and(|peers| {
            peers.iter().any(|peer| {
                peer["name"].as_str().is_some_and(|n| n.starts_with(name))
                    && !peer["state"]
                        .as_str()
                        .unwrap_or_default()
                        .contains("offline")
            })
        });
        assert!(!online, "the revoked hub still sees {name}: {answer}");
    }
}

#[test]
fn two_meshes_of_two_become_one_of_four() {
    let test = "two_meshes_of_two_become_one_of_four";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b, c, d] = ["desk", "nas", "laptop", "attic"].map(|name| fresh(&lan, name));
    for (shows, types) in [(&a, &b), (&c, &d)] {
        let (live, code) = show_code(shows);
        types.run(&["pair", &code]).expect_code(0);
        assert_eq!(rest(live).1, Some(0));
    }
    let (live, code) = show_code(&a);
    let began = Instant::now();
    let paired = c.run(&["pair", &code, "--yes-merge"]).expect_code(0);
    let (said, ended) = rest(live);
    assert_eq!(ended, Some(0), "{said}");
    assert!(said.contains("attic come along with laptop"), "{said}");
    assert!(paired.stdout.contains("desk"), "{paired:?}");
    wait_until("everyone to be linked with everyone", || {
        [&a, &b, &c, &d]
            .iter()
            .all(|m| linked(m) == 3)
            .then_some(())
    });
    announce(&format!(
        "MEASURED: two meshes of two merged: all linked after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let key = |machine: &Machine| std::fs::read(machine.home.data().join("mesh.key")).unwrap();
    assert_eq!(key(&b), key(&d), "one key");
    let (mut ann, mut ben) = (b.session("ann"), d.session("ben"));
    wait_until("ben in ann's list", || {
        let answer = ann.request(serde_json::json!({"type": "list_peers"}));
        ann.forget();
        answer.to_string().contains("ben@attic").then_some(())
    });
    send(&mut ann, "ben@attic", "hello from the other mesh");
    let pushed = ben.next_of(&["incoming_message"]);
    assert_eq!(pushed["text"], "hello from the other mesh");
    // Whoever did not type anything is told.
    let page = d.run(&["node", "status"]).expect_code(0).stdout;
    assert!(page.contains("came along"), "{page}");
}

/// Returns how many hubs a machine is linked with.
fn linked(machine: &Machine) -> usize {
    let status = machine
        .run(&["node", "status", "--json"])
        .expect_code(0)
        .json();
    let hubs = status["hubs"].as_array().cloned().unwrap_or_default();
    let linked = |hub: &&Value| hub["state"] == "direct" || hub["state"] == "relayed";
    hubs.iter().filter(linked).count()
}
