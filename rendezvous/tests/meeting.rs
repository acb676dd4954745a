//! Hubs enter, hear of each other, and hear when one has gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_protocol::rendezvous::{ToHub, ToServer};
use std::time::Duration;
use support::hub::Hub;
use support::wire::{end, hear, say};
use support::{server, token};

#[tokio::test]
async fn hubs_of_a_mesh_hear_of_each_other_and_others_do_not() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (ann, bob, eve) = (Hub::new(address), Hub::new(address), Hub::new(address));
    let mut ann_in = ann.enter(1).await;
    assert!(ann_in.observed.starts_with("/ip4/127.0.0.1/tcp/"));
    assert!(ann_in.others(0).await.is_empty());
    let mut eve_in = eve.enter(2).await;
    let mut bob_in = bob.enter(1).await;
    assert_eq!(ann_in.others(1).await, [bob.peer.to_base58()]);
    assert_eq!(bob_in.others(1).await, [ann.peer.to_base58()]);
    assert!(eve_in.others(0).await.is_empty());
    let seen = server.snapshot().await.unwrap();
    assert_eq!((seen.meshes, seen.hubs, seen.connections), (2, 3, 3));
    drop(bob);
    assert!(ann_in.others(0).await.is_empty());
}

#[tokio::test]
async fn a_hub_that_comes_again_takes_the_place_of_its_old_connection() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let ann = Hub::new(address);
    let mut first = ann.enter(1).await;
    let mut second = ann.enter(1).await;
    end(&mut first.stream).await;
    assert!(second.others(0).await.is_empty());
    assert_eq!(server.snapshot().await.unwrap().hubs, 1);
}

#[tokio::test]
async fn a_hub_changes_its_namespaces_on_the_same_stream() {
    let server = server(|_| {}).await;
    let address = &server.addresses()[0];
    let (ann, bob) = (Hub::new(address), Hub::new(address));
    let mut ann_in = ann.enter(1).await;
    let mut bob_in = bob.enter(1).await;
    ann_in.others(1).await;
    let tokens = [token(2), token(3)].map(ecorelay_protocol::Bytes).to_vec();
    let enter = ToServer::Enter {
        tokens,
        software: String::new(),
    };
    say(&mut bob_in.stream, &enter).await.unwrap();
    assert!(ann_in.others(0).await.is_empty());
    let seen = server.snapshot().await.unwrap();
    assert_eq!((seen.meshes, seen.hubs), (3, 2));
}

#[tokio::test]
async fn a_hub_that_says_nothing_is_dropped_and_one_that_pings_is_not() {
    let server = server(|config| config.timing.silence = Duration::from_secs(2)).await;
    let address = &server.addresses()[0];
    let (ann, bob) = (Hub::new(address), Hub::new(address));
    let mut ann_in = ann.enter(1).await;
    let mut bob_in = bob.enter(1).await;
    ann_in.others(1).await;
    for beat in 0..8 {
        say(&mut ann_in.stream, &ToServer::Ping(beat))
            .await
            .unwrap();
        loop {
            match hear(&mut ann_in.stream).await.unwrap() {
                ToHub::Pong(value) => break assert_eq!(value, beat),
                ToHub::Present { peers, .. } if peers.is_empty() => return,
                _ => {}
            }
        }
        let silence = tokio::time::timeout(Duration::from_millis(600), end(&mut bob_in.stream));
        if silence.await.is_ok() {
            break;
        }
    }
    assert!(ann_in.others(0).await.is_empty());
}

#[tokio::test]
async fn wrong_tokens_and_too_many_messages_are_refused_in_words() {
    let server = server(|config| config.limits.messages_per_minute = 10).await;
    let address = &server.addresses()[0];
    let hub = Hub::new(address);
    for tokens in [
        vec![],
        vec![vec![1; 31]],
        (0..5).map(token).collect::<Vec<_>>(),
    ] {
        let refused = hub.enter_with(tokens).await.unwrap_err();
        assert!(matches!(refused, ToHub::Refused { code, .. } if code == "bad_message"));
    }
    let mut entered = hub.enter(1).await;
    for beat in 0..10 {
        say(&mut entered.stream, &ToServer::Ping(beat))
            .await
            .unwrap();
    }
    loop {
        match hear(&mut entered.stream).await.unwrap() {
            ToHub::Refused { code, .. } => break assert_eq!(code, "too_many"),
            ToHub::Pong(_) | ToHub::Present { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    end(&mut entered.stream).await;
}

#[tokio::test]
async fn a_private_server_takes_only_the_meshes_on_its_list() {
    let namespace = ecorelay_protocol::rendezvous::namespace(&token(1));
    let server = server(|config| config.allow = Some([namespace].into())).await;
    let address = &server.addresses()[0];
    let (ann, eve) = (Hub::new(address), Hub::new(address));
    let _ann_in = ann.enter(1).await;
    let refused = eve.enter_with(vec![token(2)]).await.unwrap_err();
    assert!(matches!(refused, ToHub::Refused { code, .. } if code == "not_allowed"));
    let refused = eve.enter_with(vec![token(1), token(2)]).await.unwrap_err();
    assert!(matches!(refused, ToHub::Refused { code, .. } if code == "not_allowed"));
    assert_eq!(server.snapshot().await.unwrap().meshes, 1);
}

#[tokio::test]
async fn a_full_mesh_and_a_full_server_say_so() {
    let server = server(|config| {
        config.limits.hubs_per_mesh = 2;
        config.limits.meshes = 1;
    })
    .await;
    let address = &server.addresses()[0];
    let hubs: Vec<_> = (0..3).map(|_| Hub::new(address)).collect();
    let _one = hubs[0].enter(1).await;
    let _other = hubs[1].enter(1).await;
    for mesh in [1, 2] {
        let refused = hubs[2].enter_with(vec![token(mesh)]).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, ToHub::Refused { code, .. } if code == "full"));
    }
}

#[tokio::test]
async fn a_server_that_stops_tells_its_hubs_and_comes_back_as_the_same() {
    let identity = ecorelay_rendezvous::Identity::generate();
    let first = server(|config| config.identity = identity.clone()).await;
    let hub = Hub::new(&first.addresses()[0]);
    let mut entered = hub.enter(1).await;
    entered.others(0).await;
    let began = std::time::Instant::now();
    first.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20));
    let last = hear(&mut entered.stream).await.unwrap();
    assert!(matches!(last, ToHub::Refused { code, .. } if code == "closing"));
    let second = server(|config| config.identity = identity).await;
    assert_eq!(second.peer_id(), hub.server.to_base58());
    Hub::new(&second.addresses()[0]).enter(1).await;
}
