//! The rendezvous server is killed and comes back: accepted messages arrive once and in order.

use crate::pairs::Pair;
use crate::server::PublicServer;
use crate::support::mail::{assert_numbered, read_until, send};
use crate::support::nat::{Internet, PUBLIC, Router};
use crate::support::{DEADLINE, announce};
use std::time::Instant;

/// Messages each way in each of three stretches: before, during and after.
const EACH: usize = 20;

#[test]
fn messages_arrive_once_when_the_server_dies_while_hubs_are_relayed() {
    let test = "the server is killed while relayed";
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let mut server = PublicServer::start(&public);
    let homes = [Router::Symmetric; 2].map(|router| internet.home(router));
    let [a, b] = homes.each_ref().map(super::support::nat::Home::host);
    let mut pair = Pair::new([&a, &b], &server);
    pair.wait_state("relayed", DEADLINE);
    let (mut alice, mut bob) = (pair.a.session("alice"), pair.b.session("bob"));
    let mut both = |from: usize| {
        for number in from..from + EACH {
            send(&mut alice, "bob@b", &number.to_string());
            send(&mut bob, "alice@a", &number.to_string());
        }
    };
    both(0);
    server.kill();
    both(EACH);
    pair.wait_state("offline", DEADLINE);
    let began = Instant::now();
    server.restart();
    pair.wait_state("relayed", DEADLINE);
    announce(&format!(
        "MEASURED: {test}: relayed again {} ms after the server was",
        began.elapsed().as_millis()
    ));
    both(2 * EACH);
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_numbered(&read_until(&mut bob, "end"), "alice@a", 3 * EACH);
    assert_numbered(&read_until(&mut alice, "end"), "bob@b", 3 * EACH);
}

#[test]
fn messages_arrive_once_when_the_server_and_then_the_direct_way_die() {
    let test = "the server is killed while direct";
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let mut server = PublicServer::start(&public);
    let homes = [Router::Drop; 2].map(|router| internet.home(router));
    let [a, b] = homes.each_ref().map(super::support::nat::Home::host);
    let mut pair = Pair::new([&a, &b], &server);
    pair.wait_state("direct", DEADLINE);
    let (mut alice, mut bob) = (pair.a.session("alice"), pair.b.session("bob"));
    let mut both = |from: usize| {
        for number in from..from + EACH {
            send(&mut alice, "bob@b", &number.to_string());
            send(&mut bob, "alice@a", &number.to_string());
        }
    };
    both(0);
    server.kill();
    both(EACH);
    let seen = pair.seen();
    assert!(seen.iter().all(|hub| hub["state"] == "direct"), "{seen:?}");
    server.restart();
    // The direct way dies without a word; the circuit takes its place.
    homes[0].only_to(PUBLIC);
    let began = Instant::now();
    both(2 * EACH);
    pair.wait_state("relayed", DEADLINE);
    announce(&format!(
        "MEASURED: {test}: relayed {} ms after the direct way died",
        began.elapsed().as_millis()
    ));
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_numbered(&read_until(&mut bob, "end"), "alice@a", 3 * EACH);
    assert_numbered(&read_until(&mut alice, "end"), "bob@b", 3 * EACH);
}

#[test]
fn of_two_servers_either_may_be_down() {
    let test = "one of two servers is down";
    let Some(internet) = Internet::new(test) else {
        return;
    };
    let (public, _) = internet.host();
    let mut servers = [0, 1].map(|n| PublicServer::start_nth(&public, n));
    let homes = [Router::Symmetric; 2].map(|router| internet.home(router));
    let [a, b] = homes.each_ref().map(super::support::nat::Home::host);
    let mut pair = Pair::new([&a, &b], &servers[0]);
    pair.wait_state("relayed", DEADLINE);
    let second = servers[1].address();
    pair.a.run(&["rendezvous", "add", &second]).expect_code(0);
    let (mut alice, mut bob) = (pair.a.session("alice"), pair.b.session("bob"));
    let mut both = |from: usize| {
        for number in from..from + EACH {
            send(&mut alice, "bob@b", &number.to_string());
            send(&mut bob, "alice@a", &number.to_string());
        }
    };
    let all: Vec<String> = servers.iter().map(PublicServer::address).collect();
    for (round, server) in servers.iter_mut().enumerate() {
        pair.wait_reserved(&all);
        server.kill();
        both(round * EACH);
        let left = [all[1 - round].clone()];
        pair.wait_reserved(&left);
        pair.wait_state("relayed", DEADLINE);
        server.restart();
    }
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_numbered(&read_until(&mut bob, "end"), "alice@a", 2 * EACH);
    assert_numbered(&read_until(&mut alice, "end"), "bob@b", 2 * EACH);
}
