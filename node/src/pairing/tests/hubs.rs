//! Two bodies on the loopback device.

use super::*;
use ecorelay_protocol::pairing::{PairingCode, PairingRefuse};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn two_hubs_with_one_code_talk_and_know_each_other() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(3, Method::Code(7), b"otter-lamp", &[at]);
    let (here, peer, method, side) = host.sealed().await;
    assert_eq!((peer, side), (guest.peer(), PairingSide::Host));
    assert_eq!(method, Method::Code(7));
    let (there, peer, _, side) = guest.sealed().await;
    assert_eq!((peer, side), (host.peer(), PairingSide::Guest(3)));

    guest.say(there, Word::Taken);
    guest.say(there, Word::Done);
    assert_eq!(host.word().await, Word::Taken);
    assert_eq!(host.word().await, Word::Done);
    let no = PairingRefuse {
        code: PairingCode::OtherMesh,
        message: "no".into(),
    };
    host.say(here, Word::Refuse(no.clone()));
    host.slot.apply(PairingEffect::Close { attempt: here });
    assert_eq!(guest.word().await, Word::Refuse(no));
    guest.ended(there).await;
    host.ended(here).await;
}

#[tokio::test]
async fn a_wrong_code_is_told_on_both_sides_and_there_is_no_second_guess() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(1, Method::Code(7), b"otter-wolf", std::slice::from_ref(&at));
    assert_eq!(guest.failure().await, PairingFailure::WrongCode);
    assert_eq!(host.burnt().await, (7, "127.0.0.1".into()));
    guest.dial_by(2, Method::Code(7), b"otter-lamp", &[at], &[], 3_000);
    let failure = guest.failure().await;
    assert!(
        matches!(
            failure,
            PairingFailure::Unreachable(_) | PairingFailure::Refused(_)
        ),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_used_code_shuts_the_listener_and_the_conversation_goes_on() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(1, Method::Code(7), b"otter-lamp", std::slice::from_ref(&at));
    host.sealed().await;
    let (there, ..) = guest.sealed().await;
    host.until(|input| match input {
        PairingInput::Listening { addresses } => addresses.is_empty().then_some(()),
        _ => None,
    })
    .await;
    assert!(TcpStream::connect(&at).await.is_err());
    guest.say(there, Word::Taken);
    assert_eq!(host.word().await, Word::Taken);
}

#[tokio::test]
async fn a_code_with_another_number_is_refused_and_nothing_is_burnt() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(1, Method::Code(8), b"otter-lamp", std::slice::from_ref(&at));
    match guest.failure().await {
        PairingFailure::Refused(why) => assert_eq!(why.code, PairingCode::Unknown),
        other => panic!("{other:?}"),
    }
    guest.dial(2, Method::Code(7), b"otter-lamp", &[at]);
    host.sealed().await;
}

#[tokio::test]
async fn a_ticket_works_at_whichever_member_answers() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let (id, secret) = (Bytes(vec![1; 16]), Bytes(vec![2; 32]));
    let at = host
        .open(Door {
            tickets: vec![(id.clone(), secret.clone())],
            members: true,
            ..Door::default()
        })
        .await;
    // Somebody else lives at the first address, and nobody at the second.
    let mut stranger = Body::start();
    let strange = stranger.open(code_door(7, "otter-lamp")).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    guest.dial(
        1,
        Method::Ticket(id.clone()),
        &secret.0,
        &[strange, nobody, at.clone()],
    );
    let (_, peer, method, _) = guest.sealed().await;
    assert_eq!((peer, method), (host.peer(), Method::Ticket(id.clone())));
    host.sealed().await;

    guest.dial(2, Method::Ticket(id), &[3; 32], std::slice::from_ref(&at));
    assert_eq!(guest.failure().await, PairingFailure::WrongCode);
    guest.dial(
        3,
        Method::Ticket(Bytes(vec![9; 16])),
        &secret.0,
        std::slice::from_ref(&at),
    );
    match guest.failure().await {
        PairingFailure::Refused(why) => assert_eq!(why.code, PairingCode::Unknown),
        other => panic!("{other:?}"),
    }
    guest.dial(4, Method::Member, b"", &[at]);
    assert_eq!(guest.sealed().await.2, Method::Member);
}

#[tokio::test]
async fn another_hub_than_the_one_that_should_be_there_is_not_talked_to() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host
        .open(Door {
            members: true,
            ..Door::default()
        })
        .await;
    guest.slot.apply(PairingEffect::Dial {
        dial: 1,
        method: Method::Member,
        secret: Bytes::default(),
        peer: Some(some_peer()),
        addresses: vec![at],
        rendezvous: Vec::new(),
        until: door::now() + 10_000,
    });
    let failure = guest.failure().await;
    assert!(matches!(failure, PairingFailure::Broken(_)), "{failure:?}");
}

#[tokio::test]
async fn a_dial_that_was_given_up_says_nothing_more() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let stuck = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = stuck.local_addr().unwrap().to_string();
    guest.dial(1, Method::Code(7), b"otter-lamp", &[at]);
    let (mut caller, _) = stuck.accept().await.unwrap();
    guest.slot.apply(PairingEffect::Undial { dial: 1 });
    // The connection is closed, whatever was said on it.
    let mut said = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut caller, &mut said);
    let _ = timeout(SOON, read).await.expect("it goes on");
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(2, Method::Code(7), b"otter-lamp", &[at]);
    assert_eq!(guest.sealed().await.3, PairingSide::Guest(2));
}

#[tokio::test]
async fn nobody_there_is_told_in_time() {
    let mut guest = Body::start();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    guest.dial_by(1, Method::Code(7), b"otter-lamp", &[], &[], 500);
    assert_eq!(guest.failure().await, PairingFailure::NotFound);
    guest.dial_by(
        2,
        Method::Code(7),
        b"otter-lamp",
        std::slice::from_ref(&nobody),
        &[],
        500,
    );
    let failure = guest.failure().await;
    assert!(
        matches!(failure, PairingFailure::Unreachable(_)),
        "{failure:?}"
    );
    guest.dial(3, Method::Member, b"", &[nobody, "nonsense".into()]);
    let failure = guest.failure().await;
    assert!(
        matches!(failure, PairingFailure::Unreachable(_)),
        "{failure:?}"
    );
}

#[tokio::test]
async fn the_listener_is_at_the_same_port_again_and_shut_in_between() {
    let mut host = Body::start();
    let first = host.open(code_door(7, "otter-lamp")).await;
    host.slot.apply(PairingEffect::Door(Door::default()));
    host.until(|input| match input {
        PairingInput::Listening { addresses } => addresses.is_empty().then_some(()),
        _ => None,
    })
    .await;
    assert!(TcpStream::connect(&first).await.is_err());
    assert_eq!(host.open(code_door(8, "otter-lamp")).await, first);
}

#[tokio::test]
async fn last_words_leave_when_the_hub_ends() {
    let (mut host, mut guest) = (Body::start(), Body::start());
    let at = host.open(code_door(7, "otter-lamp")).await;
    guest.dial(1, Method::Code(7), b"otter-lamp", &[at]);
    let (here, ..) = host.sealed().await;
    let (there, ..) = guest.sealed().await;
    host.say(here, Word::Done);
    host.stop.send(()).unwrap();
    assert_eq!(guest.word().await, Word::Done);
    guest.ended(there).await;
    timeout(SOON, host.keeper)
        .await
        .expect("it goes on")
        .unwrap();
}
