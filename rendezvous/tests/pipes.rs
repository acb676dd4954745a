//! Two that pair are joined by a number; nobody else is, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_protocol::Bytes;
use ecorelay_protocol::rendezvous::{PipeAnswer, PipeOpening};
use ecorelay_rendezvous::Server;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::Stream;
use std::time::Duration;
use support::hub::Hub;
use support::wire::{end, hear, say};
use support::{server, soon};

fn place(n: u8) -> Bytes {
    Bytes(vec![n; 32])
}

/// Opens a pipe; returns the stream and the server's answer.
async fn open(hub: &Hub, opening: PipeOpening) -> (Stream, PipeAnswer) {
    let connection = hub.connect().await.unwrap();
    let mut stream = hub.pipe(connection).await;
    say(&mut stream, &opening).await.unwrap();
    let answer = hear(&mut stream).await.unwrap();
    (stream, answer)
}

fn refused(answer: &PipeAnswer, with: &str) -> bool {
    matches!(answer, PipeAnswer::Refused { code, .. } if code == with)
}

/// Waits until the server has no pipe any more.
async fn forgotten(server: &Server) {
    soon("the pipes to be forgotten", async {
        while server.snapshot().await.unwrap().pipes > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_guest_is_joined_with_the_host_and_bytes_pass_both_ways() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (host, guest) = (Hub::new(address), Hub::new(address));
    let (mut at_host, answer) = open(&host, PipeOpening::Host(place(7))).await;
    assert_eq!(answer, PipeAnswer::Waiting);
    assert_eq!(server.snapshot().await.unwrap().pipes_waiting, 1);
    let (mut at_guest, answer) = open(&guest, PipeOpening::Guest(place(7))).await;
    assert_eq!(answer, PipeAnswer::Joined);
    let answer: PipeAnswer = hear(&mut at_host).await.unwrap();
    assert_eq!(answer, PipeAnswer::Joined);
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut at_host, &mut at_guest];
        ends[from].write_all(b"hello").await.unwrap();
        ends[from].flush().await.unwrap();
        let mut came = [0; 5];
        soon("hello", ends[to].read_exact(&mut came)).await.unwrap();
        assert_eq!(&came, b"hello");
    }
    at_guest.close().await.unwrap();
    end(&mut at_host).await;
    drop((at_host, at_guest));
    forgotten(&server).await;
    assert_eq!(server.snapshot().await.unwrap().pipe_bytes, 10);
}

#[tokio::test]
async fn where_nobody_waits_there_is_nobody_and_a_place_is_one_hosts() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (host, guest) = (Hub::new(address), Hub::new(address));
    let (_, answer) = open(&guest, PipeOpening::Guest(place(7))).await;
    assert!(refused(&answer, "nobody"), "{answer:?}");
    let (waiting, _) = open(&host, PipeOpening::Host(place(7))).await;
    let (_, answer) = open(&guest, PipeOpening::Host(place(7))).await;
    assert!(refused(&answer, "taken"), "{answer:?}");
    drop(waiting);
    forgotten(&server).await;
    let (_, answer) = open(&guest, PipeOpening::Guest(place(7))).await;
    assert!(refused(&answer, "nobody"), "{answer:?}");
}

#[tokio::test]
async fn a_place_is_free_again_when_a_guest_has_come() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (host, guest) = (Hub::new(address), Hub::new(address));
    let (_first, _) = open(&host, PipeOpening::Host(place(7))).await;
    let (_joined, _) = open(&guest, PipeOpening::Guest(place(7))).await;
    let (_, answer) = open(&guest, PipeOpening::Guest(place(7))).await;
    assert!(refused(&answer, "nobody"), "{answer:?}");
    let (_second, answer) = open(&host, PipeOpening::Host(place(7))).await;
    assert_eq!(answer, PipeAnswer::Waiting);
}

#[tokio::test]
async fn whoever_tries_numbers_is_stopped_long_before_it_finds_one() {
    let server = server(|config| config.limits.guests_per_minute = 5).await;
    let address = &server.addresses()[0];
    let (host, guest) = (Hub::new(address), Hub::new(address));
    let (_waiting, _) = open(&host, PipeOpening::Host(place(100))).await;
    for n in 0..5 {
        let (_, answer) = open(&guest, PipeOpening::Guest(place(n))).await;
        assert!(refused(&answer, "nobody"), "{answer:?}");
    }
    let (_, answer) = open(&guest, PipeOpening::Guest(place(100))).await;
    assert!(refused(&answer, "full"), "{answer:?}");
    assert_eq!(server.snapshot().await.unwrap().pipes_waiting, 1);
}

#[tokio::test]
async fn a_host_waits_for_so_long_and_one_that_entered_as_long_as_it_likes() {
    let server = server(|config| config.timing.pipe_wait = Duration::from_secs(1)).await;
    let address = &server.addresses()[0];
    let (stranger, member) = (Hub::new(address), Hub::new(address));
    let entered = member.enter(1).await;
    let mut patient = member.pipe(entered.connection).await;
    say(&mut patient, &PipeOpening::Host(place(1)))
        .await
        .unwrap();
    let answer: PipeAnswer = hear(&mut patient).await.unwrap();
    assert_eq!(answer, PipeAnswer::Waiting);
    let (mut waiting, _) = open(&stranger, PipeOpening::Host(place(2))).await;
    end(&mut waiting).await;
    assert_eq!(server.snapshot().await.unwrap().pipes_waiting, 1);
    let (_, answer) = open(&stranger, PipeOpening::Guest(place(1))).await;
    assert_eq!(answer, PipeAnswer::Joined);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_cut() {
    let server = server(|config| config.limits.pipe_bytes = 100_000).await;
    let address = &server.addresses()[0];
    let (host, guest) = (Hub::new(address), Hub::new(address));
    let (mut at_host, _) = open(&host, PipeOpening::Host(place(7))).await;
    let (mut at_guest, _) = open(&guest, PipeOpening::Guest(place(7))).await;
    let flood = async {
        while at_guest.write_all(&[0; 1_000]).await.is_ok() && at_guest.flush().await.is_ok() {}
    };
    let drain = async {
        let mut buffer = [0; 1_000];
        while at_host
            .read(&mut buffer)
            .await
            .is_ok_and(|length| length > 0)
        {}
    };
    soon("the cut", async { tokio::join!(flood, drain) }).await;
    assert!(server.snapshot().await.unwrap().pipe_bytes <= 100_000);
}

#[tokio::test]
async fn whatever_is_no_opening_gets_no_pipe() {
    let server = server(|config| config.timing.idle = Duration::from_secs(1)).await;
    let hub = Hub::new(&server.addresses()[0]);
    let (_, answer) = open(&hub, PipeOpening::Host(Bytes(vec![1; 5]))).await;
    assert!(refused(&answer, "bad_message"), "{answer:?}");
    let connection = hub.connect().await.unwrap();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 1], &[0; 4_000]] {
        let mut stream = hub.pipe(connection).await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        end(&mut stream).await;
    }
    forgotten(&server).await;
}
