//! Strangers who send what nobody reads: memory stays near its bound, they are cut off, and a
//! mesh that is there goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

mod support;

use ecorelay_protocol::rendezvous::{ToHub, ToServer};
use futures_util::AsyncWriteExt as _;
use libp2p::core::Endpoint;
use libp2p::core::muxing::StreamMuxerExt as _;
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, Transport as _, noise, tcp, yamux};
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::task::Poll;
use std::time::Duration;
use support::hub::Hub;
use support::soon;
use support::wire::{hear, say};
use tokio::task::JoinHandle;

/// What the server of this test is told it may have, in MiB.
const MOST: u64 = 64;
/// Streams of each stranger.
const STREAMS: usize = 250;
/// As much as one stream takes before anybody reads.
const STUFF: usize = 240 * 1024;
/// How often the server is asked how it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running server that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects and fills as many streams as it can; returns a task that ends when it is cut off.
async fn stuff(address: Multiaddr) -> Option<JoinHandle<()>> {
    let keypair = Keypair::generate_ed25519();
    let mut transport = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let dialled = transport.dial(address, options).unwrap().await;
    // It may be kept out already.
    let (_, mut muxer) = dialled.ok()?;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.ok()?);
    }
    let driver = tokio::spawn(poll_fn(move |cx| {
        loop {
            match muxer.poll_unpin(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }));
    for (n, mut stream) in streams.into_iter().enumerate() {
        tokio::spawn(async move {
            // The first never say what they are, so that the others wait behind them.
            let stuff = if n < 16 {
                b"\x13/multi".to_vec()
            } else {
                vec![0x2a; STUFF]
            };
            let _ = stream.write_all(&stuff).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
        });
    }
    Some(driver)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fills_the_memory_is_cut_off_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ecorelay-rendezvous"))
        .arg("--data-dir")
        .arg(dir.path())
        .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
        .args(["--listen", "/ip6/::1/tcp/0"])
        .args(["--limit", &format!("memory_mib={MOST}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let _server = Running(child);
    let addresses: Vec<String> = out.lines().take(2).map_while(Result::ok).collect();
    let of = |kind: &str| {
        let line = addresses.iter().find(|line| line.contains(kind))?;
        Some(line.rsplit(' ').next()?.to_owned())
    };
    let (Some(theirs), Some(ours)) = (of("/ip4/"), of("/ip6/")) else {
        return println!("SKIPPED: there is no IPv6 on this machine");
    };
    let status = dir.path().join("status.sock");
    let snapshot = || async { ecorelay_rendezvous::ask_status(&status).await.unwrap() };

    // The mesh comes from another address than the strangers.
    let hub = Hub::new(&ours);
    let mut entered = hub.enter(1).await;
    entered.others(0).await;
    let before = snapshot().await.memory;
    // Again and again: what was freed is used again, and nothing is lost.
    for _ in 0..3 {
        let most = until_cut_off(&theirs, &status).await;
        // Who gave up by itself may be seen to be gone a little later.
        let mut after = snapshot().await;
        soon("the hub to be alone", async {
            while (after.hubs, after.connections) != (1, 1) {
                tokio::time::sleep(LOOK_EVERY).await;
                after = snapshot().await;
            }
        })
        .await;
        println!(
            "memory {} MiB before, {} MiB at most, {:?}",
            before >> 20,
            most >> 20,
            after.refused
        );
        assert!(after.refused.contains_key("shed"), "{:?}", after.refused);
        // What came in the second until it was seen is above the bound, and no more.
        assert!(most < (MOST + 256) << 20);
    }
    say(&mut entered.stream, &ToServer::Ping(7)).await.unwrap();
    assert_eq!(
        hear::<ToHub>(&mut entered.stream).await.unwrap(),
        ToHub::Pong(7)
    );
    // And new hubs come in.
    let other = Hub::new(&ours);
    let _entered = soon("another hub", async {
        while other.connect().await.is_err() {}
        other.enter(1).await
    })
    .await;
}

/// Lets four strangers do what they can; returns the most memory the server had meanwhile.
async fn until_cut_off(address: &str, status: &Path) -> u64 {
    let mut cut = Vec::new();
    // Until the server has seen that those before are gone, nobody is let in.
    soon("the strangers to be let in", async {
        while cut.is_empty() {
            for _ in 0..4 {
                cut.extend(stuff(address.parse().unwrap()).await);
            }
        }
    })
    .await;
    let mut most = 0;
    let gone = futures_util::future::join_all(cut);
    tokio::pin!(gone);
    soon("the strangers to be cut off", async {
        loop {
            let pause = tokio::time::sleep(LOOK_EVERY);
            tokio::select! {
                _ = &mut gone => break most,
                () = pause => {
                    let seen = ecorelay_rendezvous::ask_status(status).await.unwrap();
                    most = most.max(seen.memory);
                }
            }
        }
    })
    .await
}
