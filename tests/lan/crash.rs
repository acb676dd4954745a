//! A hub is killed in the middle of it: at the end every accepted message is there, once, in its
//! place.

use crate::support::machine::{Machine, mesh};
use crate::support::mail::{NumberedSender, assert_numbered, read_until, send};
use crate::support::netns::Lan;
use crate::support::wait_until;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages in one test.
const MESSAGES: usize = 500;

#[test]
fn hubs_killed_at_either_end_lose_nothing_and_double_nothing() {
    let test = "hubs_killed_at_either_end_lose_nothing_and_double_nothing";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b] = mesh(&lan, ["a", "b"]);
    drop(b.session("bob"));
    let alice = alice(&a);
    let accepted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| alice.send(0..MESSAGES, &accepted));
        // At the sender's end, at the receiver's, at both.
        for (goal, kill_a, kill_b) in [(90, true, false), (210, false, true), (330, true, true)] {
            wait_until("messages to be accepted", || {
                let enough = accepted.load(Ordering::SeqCst) >= goal;
                (enough || sending.is_finished()).then_some(())
            });
            if kill_a {
                a.kill_9();
            }
            if kill_b {
                b.kill_9();
            }
            if kill_a {
                a.start();
            }
            if kill_b {
                b.start();
            }
        }
    });
    check_all_arrived(&a, &b);
}

#[test]
fn hubs_killed_during_the_replay_lose_nothing_and_double_nothing() {
    let test = "hubs_killed_during_the_replay_lose_nothing_and_double_nothing";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b] = mesh(&lan, ["a", "b"]);
    drop(b.session("bob"));
    b.kill_9();
    alice(&a).send(0..MESSAGES, &AtomicUsize::new(0));
    a.wait_status("everything to wait for b", |status| {
        (status["hubs"][0]["outbox"] == MESSAGES).then_some(())
    });
    a.kill_9();
    // The sender dies, then the receiver, then both.
    for (kill_a, kill_b) in [(true, false), (false, true), (true, true)] {
        if !b.runs() {
            b.start();
        }
        let before = arrived(&mut b);
        if !a.runs() {
            a.start();
        }
        let there = wait_until("the replay", || {
            let there = arrived(&mut b);
            (there > before || there == MESSAGES).then_some(there)
        });
        println!("{there} of {MESSAGES} had arrived");
        if kill_a {
            a.kill_9();
        }
        if kill_b {
            b.kill_9();
        }
    }
    a.start();
    b.start();
    check_all_arrived(&a, &b);
}

/// Returns how many messages wait for bob on his hub.
fn arrived(b: &mut Machine) -> usize {
    let status = b.status();
    let mailboxes = status["mailboxes"].as_array().expect("mailboxes");
    let bob = mailboxes.iter().find(|mailbox| mailbox["name"] == "bob");
    bob.and_then(|bob| bob["unread"].as_u64())
        .map_or(0, |n| n as usize)
}

/// The sender of these tests.
fn alice(a: &Machine) -> NumberedSender {
    NumberedSender {
        socket: a.home.socket(),
        name: "alice".into(),
        to: "bob@b".into(),
    }
}

fn check_all_arrived(a: &Machine, b: &Machine) {
    send(&mut a.session("alice"), "bob@b", "end");
    let read = read_until(&mut b.session("bob"), "end");
    assert_numbered(&read, "alice@a", MESSAGES);
}
