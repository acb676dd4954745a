//! What goes over a link, and how it ends.

use super::*;
use ecorelay_hub::LinkPath;
use ecorelay_protocol::link::{DirectMessage, Publications, Refuse, RefuseCode};
use ecorelay_protocol::{MessageKind, limits};

fn message(number: usize, text: String) -> Frame {
    Frame::Message(Box::new(DirectMessage {
        msg_id: number.to_string(),
        kind: MessageKind::Message,
        from: "alice".parse().unwrap(),
        to: "bob".parse().unwrap(),
        text,
        ts: 1,
        reply_to: None,
        ask_id: None,
        urgent: false,
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_cross_both_ways_in_order() {
    let (mut a, at_a, mut b, at_b) = linked().await;
    let texts = [10, 512 * 1024, 3 * 1024 * 1024, 0, 200];
    for (number, length) in texts.into_iter().enumerate() {
        a.send(at_a, &message(number, "x".repeat(length)));
        b.send(at_b, &message(number, "y".repeat(length)));
    }
    for (number, length) in texts.into_iter().enumerate() {
        let (link, frame) = b.frame().await;
        assert_eq!(link, at_b);
        assert!(frame == message(number, "x".repeat(length)), "{number}");
        let (link, frame) = a.frame().await;
        assert_eq!(link, at_a);
        assert!(frame == message(number, "y".repeat(length)), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_small_frames_arrive_in_order() {
    const FRAMES: usize = 10_000;
    /// As much on the way as the brain ever has.
    const WINDOW: usize = limits::WINDOW;
    let (mut a, at_a, mut b, at_b) = linked().await;
    let echo = tokio::spawn(async move {
        for number in 0..FRAMES {
            let (_, frame) = b.frame().await;
            assert_eq!(frame, message(number, "hello".into()));
            b.send(at_b, &frame);
        }
        b
    });
    let mut sent = 0;
    for number in 0..FRAMES {
        while sent < FRAMES && sent < number + WINDOW {
            a.send(at_a, &message(sent, "hello".into()));
            sent += 1;
        }
        let (_, frame) = a.frame().await;
        assert_eq!(frame, message(number, "hello".into()));
    }
    echo.await.unwrap();
}

#[tokio::test]
async fn a_link_says_how_far_and_which_way() {
    let (mut a, at_a, b, _) = linked().await;
    let micros = a
        .until(|input| match input {
            MeshInput::RoundTrip { link, micros } if link == at_a => Some(micros),
            _ => None,
        })
        .await;
    assert!(micros > 0 && micros < 10_000_000);
    b.mesh.shutdown().await;
    let (link, _) = a.link_down().await;
    assert_eq!(link, at_a);
}

#[tokio::test]
async fn the_address_of_a_link_is_where_the_other_hub_was_dialled() {
    let [a, b] = identities();
    let psk = fresh_key();
    let mut a = Body::start(&a, &psk).await;
    let b = Body::start(&b, &psk).await;
    a.list(&b);
    let (address, path) = a
        .until(|input| match input {
            MeshInput::LinkUp { address, path, .. } => Some((address, path)),
            _ => None,
        })
        .await;
    assert_eq!((address, path), (b.address.clone(), LinkPath::Direct));
}

#[tokio::test]
async fn what_was_said_before_a_link_was_closed_arrives() {
    let (a, at_a, mut b, at_b) = linked().await;
    let refuse = Frame::Refuse(Refuse {
        code: RefuseCode::NotAdmitted,
        message: "no".into(),
    });
    let large = Frame::Publications(Publications {
        epoch: 1,
        items: Vec::new(),
        gone: (0..20_000).collect(),
    });
    b.send(at_b, &large);
    a.send(at_a, &large);
    a.send(at_a, &refuse);
    a.mesh.apply(MeshEffect::Close { link: at_a });
    let (_, frame) = b.frame().await;
    assert!(frame == large);
    let (_, frame) = b.frame().await;
    assert_eq!(frame, refuse);
    let (link, _) = b.link_down().await;
    assert_eq!(link, at_b);
}

#[tokio::test]
async fn a_closed_link_comes_up_again() {
    let (mut a, at_a, mut b, at_b) = linked().await;
    a.mesh.apply(MeshEffect::Close { link: at_a });
    assert_eq!(a.link_down().await.0, at_a);
    assert_eq!(b.link_down().await.0, at_b);
    assert_ne!(a.link_up().await.0, at_a);
    assert_ne!(b.link_up().await.0, at_b);
}

#[tokio::test]
async fn cut_links_come_up_again() {
    let (mut a, at_a, mut b, at_b) = linked().await;
    b.mesh.cut_links();
    assert_eq!(b.link_down().await.0, at_b);
    assert_eq!(a.link_down().await.0, at_a);
    a.link_up().await;
    b.link_up().await;
}

#[tokio::test]
async fn a_hub_that_is_shut_down_is_missed_at_once_and_comes_back() {
    let [first, second] = identities();
    let psk = fresh_key();
    let mut a = Body::start(&first, &psk).await;
    let mut b = Body::start(&second, &psk).await;
    // Only the one that stays knows the address, and only the one that comes back dials.
    b.list(&a);
    let (at_a, _) = a.link_up().await;
    b.link_up().await;
    let last = message(1, "bye".into());
    b.until(|input| matches!(input, MeshInput::RoundTrip { .. }).then_some(()))
        .await;
    a.send(at_a, &last);
    a.mesh.shutdown().await;
    assert_eq!(b.frame().await.1, last);
    b.link_down().await;
    let mut a = Body::start(&first, &psk).await;
    b.list(&a);
    a.link_up().await;
    b.link_up().await;
}
