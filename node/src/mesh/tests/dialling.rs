//! Who dials whom, and what is told when it fails.

use super::*;
use tokio::net::TcpListener;

fn is_wrong_key(failure: &DialFailure) -> bool {
    matches!(failure, DialFailure::Handshake | DialFailure::TimedOut)
}

#[tokio::test]
async fn another_key_never_links_and_both_sides_are_told() {
    let [a, b] = identities();
    let mut a = Body::start(&a, &fresh_key()).await;
    let mut b = Body::start(&b, &fresh_key()).await;
    a.list(&b);
    let (peer, failure) = a.failure().await;
    assert_eq!(peer, Some(b.peer.clone()));
    assert!(is_wrong_key(&failure), "{failure:?}");
    let (peer, failure) = b.failure().await;
    assert_eq!(peer, None);
    assert!(is_wrong_key(&failure), "{failure:?}");
    // Whatever else happened at either, it was no link.
    for body in [&mut a, &mut b] {
        while let Ok(event) = body.inbox.events.try_recv() {
            let Event::Mesh { input, .. } = event else {
                continue;
            };
            assert!(matches!(input, MeshInput::DialFailed { .. }), "{input:?}");
        }
    }
}

#[tokio::test]
async fn the_own_key_is_recognised() {
    let [a] = identities();
    let mut a = Body::start(&a, &fresh_key()).await;
    a.addresses(vec![a.address.clone()]);
    assert_eq!(a.failure().await.1, DialFailure::Own);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let [a] = identities();
    let mut a = Body::start(&a, &fresh_key()).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    a.hubs(vec![(
        some_peer(),
        vec![format!("/ip4/127.0.0.1/tcp/{port}")],
    )]);
    let (_, failure) = a.failure().await;
    assert!(
        matches!(failure, DialFailure::Unreachable(_)),
        "{failure:?}"
    );
    a.addresses(vec!["/dns4/example.invalid/tcp/1".into()]);
    let (_, failure) = a.failure().await;
    assert!(
        matches!(failure, DialFailure::Unreachable(_)),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_listener_that_says_nothing_times_out() {
    let [a] = identities();
    let timing = Timing {
        connect: Duration::from_millis(300),
        ..short()
    };
    let mut a = Body::start_with(&a, &fresh_key(), timing).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    a.addresses(vec![format!("/ip4/127.0.0.1/tcp/{port}")]);
    assert_eq!(a.failure().await.1, DialFailure::TimedOut);
}

#[tokio::test]
async fn another_hub_at_the_address_is_told_by_name() {
    let [a, b] = identities();
    let psk = fresh_key();
    let mut a = Body::start(&a, &psk).await;
    let b = Body::start(&b, &psk).await;
    let expected = some_peer();
    a.hubs(vec![(expected.clone(), vec![b.address.clone()])]);
    let (peer, failure) = a.failure().await;
    assert_eq!(peer, Some(expected));
    assert_eq!(failure, DialFailure::WrongPeer(b.peer.clone()));
}

#[tokio::test]
async fn an_address_is_enough_with_or_without_the_key_in_it() {
    let psk = fresh_key();
    let [a, b] = identities();
    let mut a = Body::start(&a, &psk).await;
    let mut b = Body::start(&b, &psk).await;
    // Neither lists the other.
    b.addresses(vec![a.address.clone()]);
    assert_eq!(a.link_up().await.1, b.peer);
    let (link, _) = b.link_up().await;
    b.addresses(vec![]);
    b.mesh.apply(MeshEffect::Close { link });
    a.link_down().await;
    b.addresses(vec![format!("{}/p2p/{}", a.address, a.peer)]);
    assert_eq!(a.link_up().await.1, b.peer);
    let (link, _) = b.link_up().await;
    b.addresses(vec![]);
    b.mesh.apply(MeshEffect::Close { link });
    a.link_down().await;
    b.addresses(vec![a.address.replace("ip4/127.0.0.1", "dns4/localhost")]);
    assert_eq!(a.link_up().await.1, b.peer);
}

#[tokio::test]
async fn the_larger_dials_when_the_smaller_cannot() {
    let [a, b] = identities();
    let psk = fresh_key();
    let mut a = Body::start(&a, &psk).await;
    let b = Body::start(&b, &psk).await;
    a.hubs(vec![(b.peer.clone(), vec![])]);
    b.list(&a);
    assert_eq!(a.link_up().await.1, b.peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_at_once_leaves_one_link() {
    let timing = Timing {
        yield_dial: Duration::ZERO,
        ..short()
    };
    for _ in 0..5 {
        let (mut a, at_a, mut b, at_b) = linked_with(timing).await;
        // What is said on the link arrives on the link, and no other comes up.
        a.send(at_a, &Frame::Want(vec![]));
        b.send(at_b, &Frame::Want(vec![]));
        let mut seen = 0;
        for body in [&mut a, &mut b] {
            body.until(|input| match input {
                MeshInput::Frame { .. } => Some(()),
                MeshInput::RoundTrip { .. } => None,
                other => panic!("{other:?}"),
            })
            .await;
            while let Ok(event) = body.inbox.events.try_recv() {
                let up = matches!(
                    event,
                    Event::Mesh {
                        input: MeshInput::LinkUp { .. } | MeshInput::LinkDown { .. },
                        ..
                    }
                );
                seen += usize::from(up);
            }
        }
        assert_eq!(seen, 0);
        // Each has learnt what the other subscribes to.
        a.warm_up(&mut b).await;
        b.warm_up(&mut a).await;
        tokio::join!(a.mesh.shutdown(), b.mesh.shutdown());
    }
}

#[tokio::test]
async fn a_redialled_hub_gets_a_new_link() {
    let (mut a, at_a, mut b, at_b) = linked().await;
    let peer = a.peer.clone();
    b.mesh.apply(MeshEffect::Redial { peer });
    assert_eq!(b.link_down().await.0, at_b);
    assert_eq!(a.link_down().await.0, at_a);
    b.link_up().await;
    a.link_up().await;
    let peer = b.peer.clone();
    a.mesh.apply(MeshEffect::Redial { peer });
    b.link_down().await;
    a.link_down().await;
    b.link_up().await;
    a.link_up().await;
}

#[tokio::test]
async fn a_blocked_hub_is_cut_off_and_stays_out() {
    let (mut a, at_a, mut b, _) = linked().await;
    let peers = MeshPeers {
        blocked: vec![b.peer.clone()],
        ..MeshPeers::default()
    };
    a.mesh.apply(MeshEffect::Hubs(peers));
    assert_eq!(a.link_down().await.0, at_a);
    b.link_down().await;
    // Taken off the list, it gets in again.
    a.mesh.apply(MeshEffect::Hubs(MeshPeers::default()));
    assert_eq!(a.link_up().await.1, b.peer);
}
