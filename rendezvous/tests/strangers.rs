//! What strangers do to a public host: scan it, fill it, ask it on and on. An existing mesh goes
//! on, memory stays bounded, and nobody stays who has no business here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_protocol::rendezvous::{ToHub, ToServer};
use ecorelay_rendezvous::{Config, Server};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use support::hub::{Entered, Hub};
use support::wire::{hear, say};
use support::{server, soon, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What a server may grow by under all this. Each handshake under way and each connection may
/// take some tens of kilobytes.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Returns where the server listens.
fn place(server: &Server) -> SocketAddr {
    let parts: Vec<&str> = server.addresses()[0].split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().unwrap()
}

/// Connects from an address of this machine.
async fn connect(from: u8, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
    socket.connect(to).await
}

/// Waits until the server closes.
async fn closed(socket: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    while socket
        .read(&mut buffer)
        .await
        .is_ok_and(|length| length > 0)
    {}
}

/// Two hubs of a mesh with a circuit between them.
struct Mesh {
    ann: Hub,
    ann_in: Entered,
    bob: Hub,
    _bob_in: Entered,
    echo: libp2p::Stream,
}

impl Mesh {
    async fn new(address: &str) -> Self {
        let (ann, bob) = (Hub::new(address), Hub::new(address));
        let (mut ann_in, bob_in) = (ann.enter(1).await, bob.enter(1).await);
        ann_in.others(1).await;
        bob.reserve().await.unwrap();
        let echo = ann.echo(bob.peer).await.unwrap();
        Self {
            ann,
            ann_in,
            bob,
            _bob_in: bob_in,
            echo,
        }
    }

    /// Everything still works: heartbeats, the open circuit, a hub that comes new.
    async fn works(&mut self, address: &str) {
        say(&mut self.ann_in.stream, &ToServer::Ping(7))
            .await
            .unwrap();
        loop {
            match hear(&mut self.ann_in.stream).await.unwrap() {
                ToHub::Pong(7) => break,
                ToHub::Present { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        soon("the echo", async {
            self.echo.write_all(b"still here").await.unwrap();
            self.echo.flush().await.unwrap();
            let mut back = [0; 10];
            self.echo.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"still here");
        })
        .await;
        let eve = Hub::new(address);
        let _eve_in = eve.enter(1).await;
        self.ann_in.others(2).await;
        eve.echo(self.bob.peer).await.unwrap();
        drop(eve);
        self.ann_in.others(1).await;
        assert!(self.ann.connected().await > 0);
    }
}

fn quick(config: &mut Config) {
    config.timing.handshake = Duration::from_secs(2);
    config.timing.idle = Duration::from_secs(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn scanners_are_dropped_in_time() {
    let server = server(quick).await;
    let to = place(&server);
    let multistream = b"\x13/multistream/1.0.0\n";
    let noise = [&multistream[..], b"\x07/noise\n"].concat();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let half = [&noise[..], &[0, 32], &[7; 16]].concat();
    let wrong = [&noise[..], &[0, 32], &[7; 32]].concat();
    for (what, bytes) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..]),
        ("TLS", &tls[..]),
        ("nothing", b""),
        ("a greeting and nothing", multistream),
        ("noise and nothing", &noise),
        ("half a handshake", &half),
        ("a wrong handshake", &wrong),
        ("zeros", &[0; 10_000]),
    ] {
        let began = Instant::now();
        let mut socket = connect(1, to).await.unwrap();
        // It may be closed before everything is written.
        let _ = socket.write_all(bytes).await;
        soon(what, closed(&mut socket)).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{what} stayed {took:?}");
    }
    // A real peer that then says nothing.
    let hub = Hub::new(&server.addresses()[0]);
    hub.connect().await.unwrap();
    soon("the quiet peer to be dropped", async {
        while hub.connected().await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let seen = server.snapshot().await.unwrap();
    assert_eq!(seen.connections, 0);
    assert!(seen.refused["handshake_failed"] >= 8 && seen.refused["idle"] >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scanners_of_the_metrics_are_dropped_and_prometheus_is_answered() {
    let server = server(|config| config.metrics = Some(([127, 0, 0, 1], 0).into())).await;
    let to = server.metrics().unwrap();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET /metrics\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"GET /secrets HTTP/1.1\r\n\r\n",
        &[b'x'; 5_000],
        b"",
    ] {
        let mut socket = connect(1, to).await.unwrap();
        let _ = socket.write_all(bytes).await;
        soon("the scanner to be dropped", closed(&mut socket)).await;
    }
    // As many as hang there.
    let mut hanging = Vec::new();
    for _ in 0..200 {
        hanging.push(connect(2, to).await.unwrap());
    }
    drop(hanging);
    let text = soon("the metrics", async {
        loop {
            let mut socket = connect(1, to).await.unwrap();
            let _ = socket
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .await;
            let mut text = String::new();
            if socket.read_to_string(&mut text).await.is_ok() && !text.is_empty() {
                return text;
            }
        }
    })
    .await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\necorelay_rendezvous_hubs 0\n") && text.ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_from_a_few_addresses_keep_nobody_out() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let to = place(&server);
    let mut mesh = Mesh::new(address).await;
    let before = server.snapshot().await.unwrap().memory;
    let mut open = Vec::new();
    for n in 0..10_000_u32 {
        let from = u8::try_from(10 + n % 4).unwrap();
        // Only the newest are kept here: more files a test may not open.
        if open.len() == 400 {
            open.remove(0);
        }
        if let Ok(socket) = connect(from, to).await {
            open.push(socket);
        }
        if n % 2_500 == 2_499 {
            mesh.works(address).await;
        }
    }
    let seen = server.snapshot().await.unwrap();
    println!(
        "10,000 half-open connections: memory {} -> {} KiB, {:?}",
        before / 1024,
        seen.memory / 1024,
        seen.refused
    );
    let refused = seen.refused.get("handshakes").unwrap_or(&0)
        + seen.refused.get("connects_per_minute").unwrap_or(&0);
    assert!(refused > 8_000, "{:?}", seen.refused);
    assert!(seen.memory < before + GROWTH);
}

#[tokio::test(flavor = "multi_thread")]
async fn bogus_reservations_and_registrations_are_refused_and_forgotten() {
    let server = server(|config| {
        quick(config);
        // The bounds per minute would let the test do too little.
        config.limits.connects_per_minute = 100_000;
        config.limits.messages_per_minute = 100_000;
    })
    .await;
    let address = &server.addresses()[0];
    let mut mesh = Mesh::new(address).await;
    let before = server.snapshot().await.unwrap().memory;
    // Reservations without having entered, on and on: the connection is closed after some, and
    // comes again.
    let mut reservations = 0;
    while reservations < 5_000 {
        let strangers = (0..8).map(|_| reserve_until_closed(address));
        let answers = futures_util::future::join_all(strangers).await;
        reservations += answers.iter().sum::<usize>();
        mesh.works(address).await;
    }
    // Registrations in ever new meshes, by one hub after the other.
    let stranger = Hub::new(address);
    let mut entered = stranger.enter(200).await;
    for n in 0..5_000_u32 {
        let tokens = (0_u32..4).map(|part| {
            let mut token = token(9);
            token[..4].copy_from_slice(&(4 * n + part).to_be_bytes());
            ecorelay_protocol::Bytes(token)
        });
        let enter = ToServer::Enter {
            tokens: tokens.collect(),
            software: "x".repeat(100),
        };
        if say(&mut entered.stream, &enter).await.is_err() {
            // It was too slow to read what it was told.
            entered = stranger.enter(200).await;
        }
        if n % 1_000 == 0 {
            mesh.works(address).await;
        }
        if n % 10 == 0 {
            say(&mut entered.stream, &ToServer::Ping(u64::from(n)))
                .await
                .ok();
            while let Ok(message) = hear::<ToHub>(&mut entered.stream).await {
                if message == ToHub::Pong(u64::from(n)) {
                    break;
                }
            }
        }
    }
    mesh.works(address).await;
    let seen = server.snapshot().await.unwrap();
    println!(
        "{reservations} reservations and 5,000 registrations: memory {} -> {} KiB, {:?}",
        before / 1024,
        seen.memory / 1024,
        seen.refused
    );
    assert!(seen.refused["reservation"] >= 5_000);
    assert!(
        seen.meshes <= 5,
        "one hub is in four meshes at most: {}",
        seen.meshes
    );
    assert!(seen.memory < before + GROWTH);
}

/// Asks for reservations until the server has enough of it; returns how often it answered.
async fn reserve_until_closed(address: &str) -> usize {
    let stranger = Hub::new(address);
    let connection = stranger.connect().await.unwrap();
    let mut answers = 0;
    loop {
        let asked = (0..8).map(|_| ask_for_reservation(&stranger, connection));
        let asked = soon("answers", futures_util::future::join_all(asked)).await;
        match asked.iter().filter(|answered| **answered).count() {
            0 => return answers,
            some => answers += some,
        }
    }
}

/// Asks for a reservation over a stream of its own; returns whether there was an answer.
async fn ask_for_reservation(hub: &Hub, connection: libp2p::swarm::ConnectionId) -> bool {
    let protocol = libp2p::relay::HOP_PROTOCOL_NAME;
    let Ok(mut stream) = hub.open(hub.server, connection, protocol).await else {
        return false;
    };
    // A message of circuit relay v2: length 2, field 1 (type) is 0 (RESERVE).
    if stream.write_all(&[2, 8, 0]).await.is_err() || stream.flush().await.is_err() {
        return false;
    }
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).await.is_ok()
}
