//! Reservations and circuits: for those that entered, within their mesh, for as long as they like.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::Stream;
use std::time::Duration;
use support::hub::Hub;
use support::{server, soon};

/// Sends this much through an echo and reads it back.
async fn pass(stream: &mut Stream, bytes: usize) {
    let chunk: Vec<u8> = (0..16 * 1024)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let mut back = vec![0; chunk.len()];
    for _ in 0..bytes.div_ceil(chunk.len()) {
        soon("the echo", async {
            stream.write_all(&chunk).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut back).await.unwrap();
        })
        .await;
        assert_eq!(chunk, back);
    }
}

#[tokio::test]
async fn nobody_reserves_before_it_entered() {
    let server = server(|_| {}).await;
    let hub = Hub::new(&server.addresses()[0]);
    let refused = hub.reserve().await.unwrap_err();
    assert!(refused.contains("ResourceLimit"), "{refused}");
    let seen = server.snapshot().await.unwrap();
    assert_eq!(seen.reservations, 0);
    assert_eq!(seen.refused["reservation"], 1);
}

#[tokio::test]
async fn a_circuit_carries_more_than_a_relay_commonly_allows() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (ann, bob) = (Hub::new(address), Hub::new(address));
    let (_ann_in, _bob_in) = (ann.enter(1).await, bob.enter(1).await);
    bob.reserve().await.unwrap();
    let mut stream = ann.echo(bob.peer).await.unwrap();
    pass(&mut stream, 3 * 1024 * 1024).await;
    let seen = server.snapshot().await.unwrap();
    assert_eq!((seen.reservations, seen.circuits), (1, 1));
    assert!(seen.bytes_in > 6 * 1024 * 1024 && seen.bytes_out > 6 * 1024 * 1024);
}

#[tokio::test]
async fn a_circuit_goes_only_to_hubs_of_the_own_mesh() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (bob, eve) = (Hub::new(address), Hub::new(address));
    let _bob_in = bob.enter(1).await;
    bob.reserve().await.unwrap();
    // Not entered, then in another mesh, then in both.
    let refused = eve.echo(bob.peer).await.unwrap_err();
    assert!(refused.contains("ResourceLimit"), "{refused}");
    let _eve_in = eve.enter(2).await;
    assert!(eve.echo(bob.peer).await.is_err());
    assert_eq!(server.snapshot().await.unwrap().circuits, 0);
    let both = vec![support::token(2), support::token(1)];
    let _eve_in = eve.enter_with(both).await.unwrap();
    let mut stream = eve.echo(bob.peer).await.unwrap();
    pass(&mut stream, 1_000).await;
}

#[tokio::test]
async fn circuits_outlive_two_minutes_because_their_end_is_a_day_away() {
    // Not waited for: what the relay is told is what a hub is told in its reservation.
    let day = ecorelay_rendezvous::Timing::default().circuit;
    assert_eq!(day, Duration::from_secs(24 * 60 * 60));
    // And that what it is told is kept to.
    let server = server(|config| config.timing.circuit = Duration::from_secs(1)).await;
    let address = &server.addresses()[0];
    let (ann, bob) = (Hub::new(address), Hub::new(address));
    let (_ann_in, _bob_in) = (ann.enter(1).await, bob.enter(1).await);
    bob.reserve().await.unwrap();
    let mut stream = ann.echo(bob.peer).await.unwrap();
    pass(&mut stream, 1_000).await;
    support::wire::end(&mut stream).await;
}

#[tokio::test]
async fn circuits_end_with_either_hub_and_are_forgotten() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (ann, bob) = (Hub::new(address), Hub::new(address));
    let (mut ann_in, _bob_in) = (ann.enter(1).await, bob.enter(1).await);
    bob.reserve().await.unwrap();
    let mut stream = ann.echo(bob.peer).await.unwrap();
    ann_in.others(1).await;
    drop(bob);
    support::wire::end(&mut stream).await;
    ann_in.others(0).await;
    let seen = server.snapshot().await.unwrap();
    assert_eq!((seen.reservations, seen.circuits), (0, 0));
}

#[tokio::test]
async fn circuits_and_reservations_of_a_mesh_are_bounded() {
    let server = server(|config| {
        config.limits.reservations_per_mesh = 1;
        config.limits.circuits_per_hub = 1;
    })
    .await;
    let address = &server.addresses()[0];
    let hubs: Vec<Hub> = (0..3).map(|_| Hub::new(address)).collect();
    let mut streams = Vec::new();
    for hub in &hubs {
        streams.push(hub.enter(1).await);
    }
    hubs[0].reserve().await.unwrap();
    hubs[1].reserve().await.unwrap_err();
    let _one = hubs[1].echo(hubs[0].peer).await.unwrap();
    hubs[2].echo(hubs[0].peer).await.unwrap_err();
}

#[tokio::test]
async fn a_reservation_that_is_not_renewed_ends_with_its_connection() {
    let server = server(|config| config.timing.reservation = Duration::from_secs(1)).await;
    let address = &server.addresses()[0];
    let ann = Hub::new(address);
    let mut entered = ann.enter(1).await;
    // The client renews in time, again and again: it stays.
    ann.reserve().await.unwrap();
    let early = tokio::time::timeout(
        Duration::from_secs(3),
        support::wire::end(&mut entered.stream),
    );
    let seen = server.snapshot().await.unwrap();
    assert_eq!(seen.reservations, 1);
    // Either it renewed all the time, or it was closed as a whole: never is a reservation left
    // behind, and never does the server fall over.
    let ended = early.await.is_ok();
    if ended {
        soon("the server to have seen its end", async {
            while server.snapshot().await.unwrap().hubs > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let seen = server.snapshot().await.unwrap();
    assert_eq!(
        (seen.reservations, seen.hubs),
        (u64::from(!ended), u64::from(!ended))
    );
}
