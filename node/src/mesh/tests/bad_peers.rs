//! Hubs that hold the mesh's key and misbehave: each hurts its own link and no other.

use super::*;
use crate::mesh::config::Timing;
use crate::mesh::rendezvous::{Circuits, Hops};
use crate::mesh::streams::{LinkStreams, StreamEvent};
use crate::mesh::{names, transport};
use ecorelay_protocol::link::FrameError;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{Config, Stream, Swarm, SwarmEvent};
use std::time::Instant;

/// Dials a hub and returns the raw link stream, or nothing when the hub does not want it. The
/// swarm behind it runs in a task.
async fn raw_stream(identity: &Identity, psk: &Psk, to: &Body) -> Option<Stream> {
    let keypair = identity.keypair();
    let local = keypair.public().to_peer_id();
    let hops = Hops::default();
    let (circuits, _, _) = Circuits::new(&hops);
    let timing = Timing::default();
    let transport = transport::transport(keypair, psk, circuits, &hops, &timing).unwrap();
    let config = Config::with_tokio_executor().with_idle_connection_timeout(SOON);
    let mut swarm = Swarm::new(transport, LinkStreams::default(), local, config);
    let remote = names::peer(&to.peer).unwrap();
    let address = to.address.parse().unwrap();
    let options = DialOpts::peer_id(remote).addresses(vec![address]).build();
    swarm.dial(options).unwrap();
    let opens = local.to_base58() < remote.to_base58();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut sender = Some(sender);
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { connection_id, .. } if opens => {
                    swarm.behaviour_mut().open(remote, connection_id);
                }
                SwarmEvent::Behaviour(StreamEvent { stream, .. }) => {
                    if let Some(sender) = sender.take() {
                        let _ = sender.send(stream.unwrap());
                    }
                }
                SwarmEvent::ConnectionClosed { .. }
                | SwarmEvent::OutgoingConnectionError { .. } => return,
                _ => {}
            }
        }
    });
    timeout(SOON, receiver).await.unwrap().ok()
}

/// Returns a hub with a good link to another, and a bad stream to a third.
async fn good_and_bad(timing: Timing) -> (Body, LinkId, Body, Stream, LinkId) {
    let [good, victim, bad] = identities();
    let psk = fresh_key();
    let mut victim = Body::start_with(&victim, &psk, timing).await;
    let mut good = Body::start_with(&good, &psk, timing).await;
    good.list(&victim);
    let (to_good, _) = victim.link_up().await;
    good.link_up().await;
    let stream = raw_stream(&bad, &psk, &victim).await.unwrap();
    let (to_bad, _) = victim.link_up().await;
    (victim, to_good, good, stream, to_bad)
}

/// The good link still carries frames.
async fn still_good(victim: &Body, to_good: LinkId, good: &mut Body) {
    victim.send(to_good, &Frame::Want(vec![]));
    assert_eq!(good.frame().await.1, Frame::Want(vec![]));
}

impl Body {
    async fn error(&mut self) -> (LinkId, FrameError) {
        self.until(|input| match input {
            MeshInput::Frame {
                link,
                frame: Err(error),
            } => Some((link, error)),
            _ => None,
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absurd_length_ends_that_link_only() {
    let (mut victim, to_good, mut good, mut stream, to_bad) = good_and_bad(short()).await;
    stream
        .write_all(&(1_u32 << 30).to_be_bytes())
        .await
        .unwrap();
    stream.write_all(&[0; 10_000]).await.unwrap();
    stream.flush().await.unwrap();
    let (link, error) = victim.error().await;
    assert_eq!((link, error), (to_bad, FrameError::TooLong(1 << 30)));
    assert_eq!(victim.link_down().await.0, to_bad);
    still_good(&victim, to_good, &mut good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_ends_that_link_only() {
    let (mut victim, to_good, mut good, mut stream, to_bad) = good_and_bad(short()).await;
    stream
        .write_all(&[0, 0, 0, 4, 0xff, 1, 2, 3])
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let (link, error) = victim.error().await;
    assert_eq!(link, to_bad);
    assert!(matches!(error, FrameError::Invalid(_)));
    victim.mesh.apply(MeshEffect::Close { link });
    assert_eq!(victim.link_down().await.0, to_bad);
    still_good(&victim, to_good, &mut good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_does_not_read_is_cut_off() {
    let (mut victim, to_good, mut good, stream, to_bad) = good_and_bad(short()).await;
    let large = Frame::Publications(ecorelay_protocol::link::Publications {
        epoch: 1,
        items: Vec::new(),
        gone: vec![u64::MAX; 100_000],
    });
    for _ in 0..60 {
        victim.send(to_bad, &large);
    }
    let (link, reason) = victim.link_down().await;
    assert_eq!(link, to_bad);
    assert!(reason.contains("does not read"), "{reason}");
    still_good(&victim, to_good, &mut good).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_takes_nothing_for_long_is_cut_off() {
    let timing = Timing {
        stall: Duration::from_millis(200),
        ..short()
    };
    let (mut victim, to_good, mut good, stream, to_bad) = good_and_bad(timing).await;
    let large = Frame::Publications(ecorelay_protocol::link::Publications {
        epoch: 1,
        items: Vec::new(),
        gone: vec![u64::MAX; 100_000],
    });
    for _ in 0..3 {
        victim.send(to_bad, &large);
    }
    let (link, reason) = victim.link_down().await;
    assert_eq!(link, to_bad);
    assert!(reason.contains("took nothing"), "{reason}");
    still_good(&victim, to_good, &mut good).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_falls_silent_is_dead_after_a_while() {
    let timing = Timing {
        heartbeat: Duration::from_millis(100),
        dead: Duration::from_millis(1_000),
        ..short()
    };
    let (mut victim, to_good, mut good, mut stream, to_bad) = good_and_bad(timing).await;
    // A frame that trickles in is a sign of life.
    let started = Instant::now();
    let frame = Frame::Want(vec![some_peer(); 2]).encode();
    let mut wire = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    wire.extend(frame);
    for byte in wire.chunks(4) {
        stream.write_all(byte).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() > timing.dead);
    let (link, _) = victim.frame().await;
    assert_eq!(link, to_bad);
    let silent = Instant::now();
    let (link, reason) = victim.link_down().await;
    assert_eq!(link, to_bad);
    assert!(reason.contains("nothing came"), "{reason}");
    assert!(silent.elapsed() < 5 * timing.dead);
    // The link whose other end answers is not.
    still_good(&victim, to_good, &mut good).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brain_that_is_busy_holds_up_nobody_but_those_who_write_to_it() {
    let (mut victim, _, good, mut stream, _) = good_and_bad(short()).await;
    // Nobody takes the victim's events: its queue fills, and the writer has to wait.
    let ping = Frame::Want(vec![some_peer(); 100]).encode();
    let mut wire = u32::try_from(ping.len()).unwrap().to_be_bytes().to_vec();
    wire.extend(ping);
    let flood = async {
        loop {
            stream.write_all(&wire).await.unwrap();
            stream.flush().await.unwrap();
        }
    };
    let stuck = timeout(Duration::from_secs(2), flood).await;
    assert!(stuck.is_err());
    // The swarm's task goes on meanwhile: another hub's connection is taken and dropped.
    let [other] = identities();
    let mut other = Body::start(&other, &fresh_key()).await;
    other.addresses(vec![victim.address.clone()]);
    other.failure().await;
    // And when the brain takes its events again, everything is there.
    let (_, frame) = victim.frame().await;
    assert!(matches!(frame, Frame::Want(_)));
    let _ = stream.read(&mut [0; 8]).await;
    drop(good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_lost_its_connection_without_a_word_gets_another() {
    let timing = Timing {
        at_once: Duration::ZERO,
        ..short()
    };
    let [first, second, third] = identities();
    let psk = fresh_key();
    let mut victim = Body::start_with(&second, &psk, timing).await;
    for comes_back in [first, third] {
        let lost = raw_stream(&comes_back, &psk, &victim).await.unwrap();
        let (old, peer) = victim.link_up().await;
        assert_eq!(peer, comes_back.peer_id().parse().unwrap());
        // It is refused, until the old connection is gone.
        let anew = async {
            loop {
                if let Some(stream) = raw_stream(&comes_back, &psk, &victim).await {
                    return stream;
                }
            }
        };
        let anew = timeout(SOON, anew).await.unwrap();
        let (link, reason) = victim.link_down().await;
        assert_eq!(link, old);
        assert!(reason.contains("anew"), "{reason}");
        let (new, _) = victim.link_up().await;
        assert_ne!(new, old);
        drop((lost, anew));
        assert_eq!(victim.link_down().await.0, new);
    }
}
