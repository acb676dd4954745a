//! Pairing through a rendezvous server, a real one on the loopback device.

use super::*;
use ecorelay_protocol::pairing::PairingCode;
use ecorelay_rendezvous::{Config, Identity as ServerIdentity, Server};
use tokio::net::TcpListener;

async fn server() -> (Server, String) {
    let config = Config::local(ServerIdentity::generate());
    let server = Server::start(config).await.unwrap();
    let address = server.addresses()[0].clone();
    (server, address)
}

/// Returns a server's address without its PeerId, as a code carries it.
fn without_peer(address: &str) -> String {
    address.split("/p2p/").next().unwrap().to_owned()
}

fn place(byte: u8) -> Bytes {
    Bytes(vec![byte; 32])
}

/// Opens a code at a server and waits until it is known there.
async fn open_at(host: &mut Body, server: &str, place: &Bytes) {
    let window = Window {
        places: vec![(server.to_owned(), place.clone())],
        ..window(4711, "otter-lamp")
    };
    host.slot.apply(PairingEffect::Door(Door {
        window: Some(window),
        ..Door::default()
    }));
    assert_eq!(window_at(host).await, None);
}

/// Returns the next trouble with a server, or that there is none.
async fn window_at(host: &mut Body) -> Option<String> {
    host.until(|input| match input {
        PairingInput::WindowAt { trouble, .. } => Some(trouble),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn hubs_that_cannot_reach_each_other_pair_through_a_server() {
    let (_server, at) = server().await;
    let (mut host, mut guest) = (Body::start(), Body::start());
    open_at(&mut host, &at, &place(1)).await;
    let route = [(without_peer(&at), place(1))];
    guest.dial_by(1, Method::Code(4711), b"otter-lamp", &[], &route, 20_000);
    let (here, peer, ..) = host.sealed().await;
    assert_eq!(peer, guest.peer());
    let (there, ..) = guest.sealed().await;
    guest.say(there, Word::Taken);
    assert_eq!(host.word().await, Word::Taken);
    host.say(here, Word::Done);
    host.slot.apply(PairingEffect::Close { attempt: here });
    assert_eq!(guest.word().await, Word::Done);
    guest.ended(there).await;
    host.ended(here).await;
}

#[tokio::test]
async fn a_wrong_code_through_a_server_uses_the_code_up_too() {
    let (_server, at) = server().await;
    let (mut host, mut guest) = (Body::start(), Body::start());
    open_at(&mut host, &at, &place(1)).await;
    let route = [(at.clone(), place(1))];
    guest.dial_by(1, Method::Code(4711), b"otter-wolf", &[], &route, 20_000);
    assert_eq!(guest.failure().await, PairingFailure::WrongCode);
    let (number, from) = host.burnt().await;
    assert_eq!(number, 4711);
    assert!(from.contains("rendezvous"), "{from}");
}

#[tokio::test]
async fn a_guest_that_came_too_early_finds_its_host_later() {
    let (_server, at) = server().await;
    let (mut host, mut guest) = (Body::start(), Body::start());
    let route = [(at.clone(), place(1))];
    guest.dial_by(1, Method::Code(4711), b"otter-lamp", &[], &route, 30_000);
    open_at(&mut host, &at, &place(1)).await;
    host.sealed().await;
    guest.sealed().await;
}

#[tokio::test]
async fn members_come_one_after_the_other_and_at_the_same_time() {
    let (_server, at) = server().await;
    let mut host = Body::start();
    host.open(Door {
        members: true,
        places: vec![(at.clone(), place(2))],
        ..Door::default()
    })
    .await;
    let route = [(at.clone(), place(2))];
    let mut peers = Vec::new();
    let mut guests = Vec::new();
    for number in 1..=3 {
        let mut guest = Body::start();
        // Between two guests the host takes up its place anew: a dial may come in between.
        let sealed = loop {
            guest.dial_by(number, Method::Member, b"", &[], &route, 20_000);
            let next = guest.next().await;
            match next {
                PairingInput::Sealed { attempt, .. } => break attempt,
                PairingInput::DialFailed { failure, .. } => {
                    assert_eq!(failure, PairingFailure::NotFound);
                }
                other => panic!("{other:?}"),
            }
        };
        guest.say(sealed, Word::Taken);
        peers.push(host.sealed().await.1);
        guests.push(guest);
    }
    let expected: Vec<_> = guests.iter().map(Body::peer).collect();
    assert_eq!(peers, expected);
}

#[tokio::test]
async fn a_server_that_is_none_or_away_is_told_and_does_not_hinder() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let away = format!("/ip4/127.0.0.1/tcp/{port}");
    let window = Window {
        places: vec![(away.clone(), place(1)), ("nonsense".into(), place(1))],
        ..window(7, "otter-lamp")
    };
    let at = host
        .open(Door {
            window: Some(window),
            ..Door::default()
        })
        .await;
    assert!(window_at(&mut host).await.is_some());
    assert!(window_at(&mut host).await.is_some());
    let route = [(away, place(1))];
    guest.dial_by(1, Method::Code(7), b"otter-lamp", &[at], &route, 20_000);
    host.sealed().await;
    guest.sealed().await;
}

#[tokio::test]
async fn two_hubs_with_one_number_at_one_server_are_told_apart() {
    let (_server, at) = server().await;
    let (mut first, mut second) = (Body::start(), Body::start());
    open_at(&mut first, &at, &place(1)).await;
    let window = Window {
        places: vec![(at.clone(), place(1))],
        ..window(4711, "wolf-acorn")
    };
    second.slot.apply(PairingEffect::Door(Door {
        window: Some(window),
        ..Door::default()
    }));
    let trouble = window_at(&mut second).await.unwrap();
    assert!(trouble.contains("same number"), "{trouble}");
}

#[tokio::test]
async fn a_server_that_answers_itself_gets_one_wrong_guess() {
    // It plays the host: a hub of its own that waits at the place with a guess.
    let (_server, at) = server().await;
    let (mut evil, mut guest) = (Body::start(), Body::start());
    open_at(&mut evil, &at, &place(1)).await;
    let route = [(at, place(1))];
    guest.dial_by(1, Method::Code(4711), b"maple-acorn", &[], &route, 20_000);
    assert_eq!(guest.failure().await, PairingFailure::WrongCode);
    let code = Method::Code(4711);
    guest.dial_by(2, code, b"maple-acorn", &[], &[], 300);
    match guest.failure().await {
        PairingFailure::NotFound => {}
        PairingFailure::Refused(why) => assert_eq!(why.code, PairingCode::Unknown),
        other => panic!("{other:?}"),
    }
}
