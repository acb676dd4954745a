//! Which routers let hubs through to each other.

use crate::pairs::Pair;
use crate::server::PublicServer;
use crate::support::machine::other;
use crate::support::mail::send;
use crate::support::nat::{Internet, Router};
use crate::support::{announce, found_within};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long it may take to find a way through, or to find out that there is none.
const PUNCHED: Duration = Duration::from_secs(60);

/// Brings up a mesh of two, sends the first message, and sees which way the hubs go in the end.
fn examine(test: &str, namespaces: [&str; 2], server: &PublicServer, expected: &str) {
    let mut pair = Pair::new(namespaces, server);
    let began = Instant::now();
    let mut alice = pair.a.session("alice");
    let mut bob = pair.b.session("bob");
    pair.a.wait_status("bob in a's directory", |status| {
        (other(status, "b")?["sessions"] == 1).then_some(())
    });
    send(&mut alice, "bob@b", "hello");
    assert_eq!(bob.next_of(&["incoming_message"])["text"], "hello");
    let first = began.elapsed();
    let early = state(&pair.seen()[0]);
    let settled = if expected == "direct" {
        pair.wait_state("direct", PUNCHED);
        began.elapsed()
    } else {
        let gave_up = found_within(PUNCHED, || {
            let seen = pair.seen();
            assert!(seen.iter().all(|hub| hub["state"] != "direct"), "{seen:?}");
            seen.iter().all(|hub| !hub["punch"].is_null()).then_some(())
        });
        assert!(gave_up.is_some(), "the attempts end: {:?}", pair.seen());
        began.elapsed()
    };
    send(&mut bob, "alice@a", "and back");
    assert_eq!(alice.next_of(&["incoming_message"])["text"], "and back");
    let [at_a, at_b] = pair.seen();
    announce(&format!(
        "MEASURED: {test}: connected; first message {} ms after joining ({early}); {} after {} ms; status at a: {}; at b: {}",
        first.as_millis(),
        state(&at_a),
        settled.as_millis(),
        line(&at_a),
        line(&at_b),
    ));
    assert_eq!(
        (state(&at_a), state(&at_b)),
        (expected.into(), expected.into())
    );
    let shown = pair.a.run(&["node", "status"]).expect_code(0);
    let shown = shown.stdout.lines().find(|line| line.contains(expected));
    announce(&format!(
        "MEASURED: {test}: node status says: {}",
        shown.unwrap_or("nothing of it").trim()
    ));
}

fn state(hub: &Value) -> String {
    hub["state"].as_str().unwrap_or("unknown").to_owned()
}

fn line(hub: &Value) -> String {
    format!(
        "{} rtt {} ms punch {}",
        hub["state"], hub["rtt_ms"], hub["punch"]
    )
}

/// Both hubs behind routers of this kind.
fn both_behind(test: &str, router: Router, expected: &str) {
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let server = PublicServer::start(&public);
    let homes = [internet.home(router), internet.home(router)];
    let [a, b] = homes.each_ref().map(super::support::nat::Home::host);
    examine(test, [&a, &b], &server, expected);
}

#[test]
fn routers_that_keep_ports_and_drop_are_passed() {
    both_behind("port-preserving, drop", Router::Drop, "direct");
}

#[test]
fn routers_that_refuse_leave_the_hubs_on_the_circuit() {
    both_behind("port-preserving, reject", Router::Reject, "relayed");
}

#[test]
fn symmetric_routers_leave_the_hubs_on_the_circuit() {
    both_behind("symmetric", Router::Symmetric, "relayed");
}

#[test]
fn routers_that_remap_ports_are_passed() {
    both_behind("remapped port", Router::Remapped, "direct");
}

#[test]
fn a_public_hub_is_dialled_directly() {
    let test = "one side public";
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let server = PublicServer::start(&public);
    let (a, _) = internet.host();
    let home = internet.home(Router::Symmetric);
    examine(test, [&a, &home.host()], &server, "direct");
}

#[test]
fn hubs_behind_one_router_find_each_other_at_home() {
    let test = "both behind the same router";
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let server = PublicServer::start(&public);
    let home = internet.home(Router::Symmetric);
    examine(test, [&home.host(), &home.host()], &server, "direct");
}
