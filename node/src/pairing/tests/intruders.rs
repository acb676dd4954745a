//! Strangers at the pairing listener, and hosts that are not what they say.

use super::*;
use crate::pairing::keys::{Exchange, Transcript};
use crate::pairing::seal::{Opener, Sealer};
use crate::pairing::wire::{frame_to, read};
use ecorelay_hub::Keys as _;
use ecorelay_protocol::pairing::{
    Answer, CLEAR_BYTES, Clear, Confirm, Opening, PAIRING_VERSION, PairingCode, Proof,
};
use ecorelay_protocol::{from_cbor, to_cbor};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn send(stream: &mut TcpStream, message: &Clear) {
    let mut bytes = Vec::new();
    frame_to(&mut bytes, &to_cbor(message));
    stream.write_all(&bytes).await.unwrap();
}

async fn receive(stream: &mut TcpStream) -> Option<Clear> {
    let message = timeout(SOON, read(stream, CLEAR_BYTES))
        .await
        .expect("no answer");
    message.ok().map(|bytes| from_cbor(&bytes).unwrap())
}

fn opening(method: &Method, peer: &PeerId, share: Vec<u8>) -> Clear {
    Clear::Opening(Opening {
        version: PAIRING_VERSION,
        method: method.clone(),
        peer: peer.clone(),
        share: Bytes(share),
    })
}

/// Waits until the other side has closed the connection; returns what it said and how long that
/// took.
async fn closed(mut stream: TcpStream) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let mut said = Vec::new();
    let end = timeout(SOON, stream.read_to_end(&mut said)).await;
    // A reset is as good as an end.
    let _ = end.expect("it stays open");
    (said, started.elapsed())
}

#[tokio::test]
async fn scanners_are_dropped_at_their_first_word_and_the_silent_soon() {
    let mut host = Body::start();
    let at = host.open(code_door(7, "otter-lamp")).await;
    for greeting in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaa",
        b"\x13/multistream/1.0.0\n",
        b"\x00\x00\x00\x04\xff\xff\xff\xff",
        b"SSH-2.0-x\r\n",
    ] {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        stream.write_all(greeting).await.unwrap();
        let (said, took) = closed(stream).await;
        assert!(said.is_empty() && took < Duration::from_secs(3), "{took:?}");
    }
    let silent = TcpStream::connect(&at).await.unwrap();
    let mut slow = TcpStream::connect(&at).await.unwrap();
    // It promises a message and sends a byte of it now and then.
    slow.write_all(&[0, 0, 1, 0, 1]).await.unwrap();
    let ((said, took), (_, slow_took)) = tokio::join!(closed(silent), closed(slow));
    assert!(said.is_empty());
    for took in [took, slow_took] {
        assert!(
            (Duration::from_secs(4)..Duration::from_secs(12)).contains(&took),
            "{took:?}"
        );
    }
    // None of it has used up the code.
    let mut guest = Body::start();
    guest.dial(1, Method::Code(7), b"otter-lamp", &[at]);
    guest.sealed().await;
    host.sealed().await;
}

#[tokio::test]
async fn a_guest_that_goes_away_with_the_answer_has_used_up_the_code() {
    let mut host = Body::start();
    let at = host.open(code_door(7, "otter-lamp")).await;
    let mut stream = TcpStream::connect(&at).await.unwrap();
    let method = Method::Code(7);
    let (_, share) = Exchange::guest(&method, b"a-guess");
    send(&mut stream, &opening(&method, &some_peer(), share)).await;
    assert!(matches!(receive(&mut stream).await, Some(Clear::Answer(_))));
    drop(stream);
    assert_eq!(host.burnt().await.0, 7);
}

#[tokio::test]
async fn two_guesses_at_the_same_time_are_one() {
    let mut host = Body::start();
    let at = host.open(code_door(7, "otter-lamp")).await;
    let method = Method::Code(7);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        let (_, share) = Exchange::guest(&method, b"a-guess");
        send(&mut stream, &opening(&method, &some_peer(), share)).await;
        let answer = receive(&mut stream).await.unwrap();
        streams.push((stream, matches!(answer, Clear::Answer(_)), answer));
    }
    assert_eq!(
        streams.iter().filter(|(_, answered, _)| *answered).count(),
        1
    );
    for (_, answered, answer) in &streams {
        if let (false, Clear::Refuse(why)) = (answered, answer) {
            assert_eq!(why.code, PairingCode::Busy);
        }
    }
    drop(streams);
    host.burnt().await;
}

#[tokio::test]
async fn a_member_with_anothers_signature_is_not_heard() {
    let mut host = Body::start();
    let at = host
        .open(Door {
            members: true,
            ..Door::default()
        })
        .await;
    // It takes the name of a member, and has another key.
    let (liar, member) = (some_identity(), some_identity());
    let mut stream = TcpStream::connect(&at).await.unwrap();
    let method = Method::Member;
    let (exchange, share) = Exchange::guest(&method, b"");
    let first = opening(&method, member.peer(), share);
    send(&mut stream, &first).await;
    let Some(Clear::Answer(Answer { peer, share, .. })) = receive(&mut stream).await else {
        panic!("no answer");
    };
    assert_eq!(peer, host.peer());
    let transcript = Transcript::new(&to_cbor(&first), &peer, &share.0);
    let keys = exchange.finish(&share.0, &transcript).unwrap();
    let confirm = Bytes::from(&keys.guest_confirms);
    send(&mut stream, &Clear::Confirm(Confirm { confirm })).await;
    let mut sealer = Sealer::new(&keys.guest_seals);
    let signature = Bytes(liar.sign(&transcript.to_sign(true)));
    let proof = sealer.seal(&to_cbor(&Proof { signature }));
    send(&mut stream, &Clear::Sealed(proof)).await;
    assert_eq!(receive(&mut stream).await, None);
    // The brain has heard nothing of it: what it hears next is of a true member.
    let guest = Body::start();
    guest.dial(1, Method::Member, b"", &[at]);
    assert_eq!(host.sealed().await.1, guest.peer());
}

/// Answers one guest of a code as a host with this secret and this key would, up to its proof.
async fn answer(listener: &TcpListener, secret: &[u8], named: &PeerId, signer: &Identity) -> bool {
    let (mut stream, _) = listener.accept().await.unwrap();
    let bytes = read(&mut stream, CLEAR_BYTES).await.unwrap();
    let Clear::Opening(opening) = from_cbor(&bytes).unwrap() else {
        panic!("no opening");
    };
    let (exchange, share) = Exchange::host(&opening.method, secret);
    let transcript = Transcript::new(&bytes, named, &share);
    let keys = exchange.finish(&opening.share.0, &transcript).unwrap();
    let answer = Answer {
        peer: named.clone(),
        share: Bytes(share),
        confirm: Bytes::from(&keys.host_confirms),
    };
    send(&mut stream, &Clear::Answer(answer)).await;
    let Some(Clear::Confirm(_)) = receive(&mut stream).await else {
        return false;
    };
    let Some(Clear::Sealed(sealed)) = receive(&mut stream).await else {
        return false;
    };
    Opener::new(&keys.guest_seals).open(&sealed).unwrap();
    let signature = Bytes(signer.sign(&transcript.to_sign(false)));
    let proof = Sealer::new(&keys.host_seals).seal(&to_cbor(&Proof { signature }));
    send(&mut stream, &Clear::Sealed(proof)).await;
    true
}

#[tokio::test]
async fn a_third_party_that_answers_gets_one_wrong_guess_and_the_guest_says_so() {
    let mut guest = Body::start();
    let third = some_identity();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    guest.dial(1, Method::Code(7), b"otter-lamp", &[at]);
    assert!(!answer(&listener, b"a-guess", third.peer(), &third).await);
    assert_eq!(guest.failure().await, PairingFailure::WrongCode);
}

#[tokio::test]
async fn a_host_that_names_anothers_key_is_not_believed() {
    let mut guest = Body::start();
    let (third, other) = (some_identity(), some_identity());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    guest.dial_by(1, Method::Code(7), b"otter-lamp", &[at], &[], 2_000);
    assert!(answer(&listener, b"otter-lamp", other.peer(), &third).await);
    let failure = guest.failure().await;
    assert!(matches!(failure, PairingFailure::Broken(_)), "{failure:?}");
}

#[tokio::test]
async fn sealed_words_that_are_repeated_or_swapped_end_the_conversation() {
    for swapped in [false, true] {
        let mut host = Body::start();
        let at = host.open(code_door(7, "otter-lamp")).await;
        // A relay between the two that plays with what it cannot read.
        let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let between = relay.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (guest, _) = relay.accept().await.unwrap();
            let host = TcpStream::connect(at).await.unwrap();
            let (mut guest_reads, mut guest_writes) = guest.into_split();
            let (mut host_reads, mut host_writes) = host.into_split();
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut host_reads, &mut guest_writes).await;
            });
            let mut messages = Vec::new();
            while let Ok(message) = read(&mut guest_reads, CLEAR_BYTES).await {
                messages.push(message);
                let send = match messages.len() {
                    // Opening, confirmation and proof pass.
                    1..=3 => vec![messages.len() - 1],
                    4 if swapped => vec![],
                    4 => vec![3, 3],
                    5 if swapped => vec![4, 3],
                    at => vec![at - 1],
                };
                let mut bytes = Vec::new();
                for at in send {
                    frame_to(&mut bytes, &messages[at]);
                }
                if host_writes.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let mut guest = Body::start();
        guest.dial(1, Method::Code(7), b"otter-lamp", &[between]);
        let (here, ..) = host.sealed().await;
        let (there, ..) = guest.sealed().await;
        guest.say(there, Word::Taken);
        guest.say(there, Word::Done);
        if !swapped {
            assert_eq!(host.word().await, Word::Taken);
        }
        match host.next().await {
            PairingInput::Ended { attempt } => assert_eq!(attempt, here),
            PairingInput::Listening { .. } => host.ended(here).await,
            other => panic!("{other:?}"),
        }
        guest.ended(there).await;
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_the_room() {
    let mut host = Body::start();
    let at = host
        .open(Door {
            members: true,
            ..Door::default()
        })
        .await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(TcpStream::connect(&at).await.unwrap());
    }
    // The ones too many are closed at once, long before their time is up.
    let mut gone = 0;
    for stream in &mut streams {
        let mut byte = [0];
        if let Ok(Ok(0) | Err(_)) = timeout(Duration::from_secs(2), stream.read(&mut byte)).await {
            gone += 1;
        }
        if gone == 4 {
            break;
        }
    }
    assert_eq!(gone, 4);
}
