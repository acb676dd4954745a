//! A cable is cut: nobody is told, no connection is closed, and no accepted message is lost.

use crate::discovery::peers;
use crate::support::announce;
use crate::support::machine::{Machine, mesh, other, wait_all_linked};
use crate::support::mail::{assert_numbered, read_until, send};
use crate::support::netns::Lan;
use crate::support::raw::RawClient;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A hub that went away without a word is shown as offline within this time; a heartbeat takes
/// 15 s to be missed.
const NOTICED: Duration = Duration::from_secs(20);
/// The same, when a slow machine does other things meanwhile.
const NOTICED_AT_MOST: Duration = Duration::from_secs(30);

/// Messages each way before the cut is noticed, and as many after.
const EACH: usize = 30;

#[test]
fn a_cut_cable_is_shown_and_what_was_sent_meanwhile_arrives_once_and_in_order() {
    let test = "a_cut_cable_is_shown_and_what_was_sent_meanwhile_arrives_once_and_in_order";
    let Some(lan) = Lan::new(test) else { return };
    let mut machines = mesh(&lan, ["a", "b", "c"]);
    let [a, b, c] = &mut machines;
    let (mut alice, mut bob, mut carol) =
        (a.session("alice"), b.session("bob"), c.session("carol"));
    a.wait_status("bob in a's directory", |status| {
        (other(status, "b")?["sessions"] == 1).then_some(())
    });

    b.cut();
    let began = Instant::now();
    for number in 0..EACH {
        send(&mut alice, "bob@b", &number.to_string());
        send(&mut bob, "alice@a", &number.to_string());
    }
    see_offline(a, "b", began);
    see_offline(c, "b", began);
    see_offline(b, "a", began);
    see_offline(b, "c", began);
    let took = began.elapsed();
    announce(&format!(
        "MEASURED: {test}: noticed after {} ms",
        took.as_millis()
    ));
    if took > NOTICED {
        announce(&format!(
            "NOTE: {test}: noticed after {took:?}, more than {NOTICED:?}"
        ));
    }
    let seen = peers(&mut alice);
    let seen = seen
        .iter()
        .find(|peer| peer["name"] == "bob@b")
        .expect("bob is still listed");
    let state = seen["state"].as_str().unwrap_or_default();
    assert!(state.starts_with("offline-since "), "{seen}");

    for number in EACH..2 * EACH {
        let answers = [
            send(&mut alice, "bob@b", &number.to_string()),
            send(&mut bob, "alice@a", &number.to_string()),
        ];
        for answer in answers {
            assert_eq!(answer["status"], "queued", "{answer}");
            assert_eq!(answer["state"], "outbox", "{answer}");
            assert!(
                answer["detail"].as_str().is_some_and(|d| d.len() > 10),
                "{answer}"
            );
        }
    }
    a.wait_status("what waits for b", |status| {
        (other(status, "b")?["outbox"] == 2 * EACH).then_some(())
    });
    // The others go on as before.
    send(&mut alice, "carol@c", "still there?");
    assert_eq!(carol.next_of(&["incoming_message"])["text"], "still there?");

    b.mend();
    let began = Instant::now();
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_numbered(&read_until(&mut bob, "end"), "alice@a", 2 * EACH);
    assert_numbered(&read_until(&mut alice, "end"), "bob@b", 2 * EACH);
    announce(&format!(
        "MEASURED: {test}: delivered {} ms after the cable was mended",
        began.elapsed().as_millis()
    ));
    wait_all_linked(&mut machines);
    for machine in &mut machines {
        machine.wait_status("empty outboxes", |status| {
            let hubs = status["hubs"].as_array()?;
            hubs.iter().all(|hub| hub["outbox"] == 0).then_some(())
        });
    }
    nothing_came(&mut alice);
    nothing_came(&mut bob);
}

/// Waits until `machine` shows that a hub is away, since when and why.
fn see_offline(machine: &mut Machine, gone: &str, began: Instant) {
    let left = NOTICED_AT_MOST.saturating_sub(began.elapsed());
    let hub = machine.status_within(left, &format!("{gone} to be offline"), |status| {
        let hub = other(status, gone)?;
        (hub["state"] == "offline").then(|| hub.clone())
    });
    assert!(
        hub["since"].as_u64().is_some_and(|since| since > 0),
        "{hub}"
    );
    assert!(
        hub["why"].as_str().is_some_and(|why| !why.is_empty()),
        "{hub}"
    );
}

/// Checks that the mailbox is empty.
fn nothing_came(client: &mut RawClient) {
    let page = client.request(serde_json::json!({"type": "inbox"}));
    assert_eq!(page["messages"], Value::Array(Vec::new()), "{page}");
}
