//! One conversation over a stream in memory, with everything that can go wrong on the way.

use super::*;
use crate::pairing::conversation::{Call, Established, guest, host};
use crate::pairing::door::Door as Gate;
use crate::pairing::wire::{ByteStream, TalkError, frame_to, read};
use ecorelay_protocol::pairing::{CLEAR_BYTES, Clear, Confirm};
use ecorelay_protocol::{from_cbor, to_cbor};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

type Outcome = Result<Established<DuplexStream>, TalkError>;

fn gate(door: &Door) -> Gate {
    let gate = Gate::default();
    gate.set(door);
    gate
}

fn call(method: Method, secret: &[u8]) -> Call {
    Call {
        method,
        secret: Bytes(secret.to_vec()),
        peer: None,
    }
}

/// What a man in the middle does with a message: the guest's first, or the host's.
type Meddle = Box<dyn FnMut(bool, usize, Vec<u8>) -> Option<Vec<u8>> + Send>;

/// Holds a conversation through `meddle`; returning `None` from it cuts the line.
async fn through(gate: &Gate, call: &Call, meddle: Meddle) -> (Outcome, Outcome) {
    let ours = [some_identity(), some_identity()];
    let (near, mut near_middle) = duplex(1 << 16);
    let (mut far_middle, far) = duplex(1 << 16);
    let middle = async move {
        let mut meddle = meddle;
        let mut count = [0, 0];
        loop {
            let (from_guest, read) = tokio::select! {
                message = read(&mut near_middle, CLEAR_BYTES) => (true, message),
                message = read(&mut far_middle, CLEAR_BYTES) => (false, message),
            };
            let side = usize::from(!from_guest);
            let Ok(message) = read else {
                return;
            };
            count[side] += 1;
            let Some(message) = meddle(from_guest, count[side], message) else {
                return;
            };
            let mut bytes = Vec::new();
            frame_to(&mut bytes, &message);
            let to = if from_guest {
                &mut far_middle
            } else {
                &mut near_middle
            };
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let talk = async {
        tokio::join!(
            guest(near, &ours[0], call),
            host(far, &ours[1], gate, "there")
        )
    };
    // It ends with the line, or when both have said everything.
    let middle = tokio::spawn(middle);
    let outcome = timeout(SOON, talk).await;
    middle.abort();
    outcome.expect("it goes on")
}

fn honest() -> Meddle {
    Box::new(|_, _, message| Some(message))
}

#[tokio::test]
async fn what_is_sealed_can_be_opened_by_the_other_and_by_nobody_else() {
    let gate = gate(&code_door(7, "otter-lamp"));
    let call = call(Method::Code(7), b"otter-lamp");
    let (guest, host) = through(&gate, &call, honest()).await;
    let (mut guest, mut host) = (guest.unwrap(), host.unwrap());
    let sealed = guest.sealer.seal(b"hello");
    assert_eq!(host.opener.open(&sealed).unwrap(), b"hello");
    let sealed = host.sealer.seal(b"hello");
    assert!(host.opener.open(&sealed).is_err());
    assert_eq!(guest.opener.open(&sealed).unwrap(), b"hello");
}

#[tokio::test]
async fn a_wrong_word_ends_it_on_both_sides_and_uses_the_code_up() {
    let gate = gate(&code_door(7, "otter-lamp"));
    let call = call(Method::Code(7), b"otter-wolf");
    let (guest, host) = through(&gate, &call, honest()).await;
    assert!(matches!(guest, Err(TalkError::WrongSecret)), "{guest:?}");
    assert!(matches!(host, Err(TalkError::Refused(_))), "{host:?}");
    assert_eq!(gate.take_burnt(), Some((7, "there".into())));
    assert!(gate.window().is_none());
}

#[tokio::test]
async fn a_line_that_is_cut_at_any_message_leaves_neither_side_believing_alone() {
    // The guest's opening, confirmation and proof; the host's answer and proof.
    for (of_guest, at) in [(true, 1), (true, 2), (true, 3), (false, 1), (false, 2)] {
        let gate = gate(&code_door(7, "otter-lamp"));
        let call = call(Method::Code(7), b"otter-lamp");
        let cut: Meddle = Box::new(move |from_guest, count, message| {
            (from_guest != of_guest || count != at).then_some(message)
        });
        let (guest, host) = through(&gate, &call, cut).await;
        assert!(guest.is_err(), "{of_guest} {at}");
        let last = !of_guest && at == 2;
        assert_eq!(host.is_ok(), last, "{of_guest} {at}");
        let answered = !(of_guest && at == 1);
        assert_eq!(
            gate.take_burnt().is_some(),
            answered && !last,
            "{of_guest} {at}"
        );
    }
}

#[tokio::test]
async fn a_message_that_was_changed_at_any_place_is_noticed() {
    for (of_guest, at) in [(true, 1), (true, 2), (true, 3), (false, 1), (false, 2)] {
        for place in [0.5, 0.99] {
            let gate = gate(&code_door(7, "otter-lamp"));
            let call = call(Method::Code(7), b"otter-lamp");
            let change: Meddle = Box::new(move |from_guest, count, mut message| {
                if from_guest == of_guest && count == at {
                    let length = message.len();
                    #[allow(
                        clippy::cast_precision_loss,
                        clippy::cast_sign_loss,
                        clippy::cast_possible_truncation
                    )]
                    let byte = (length as f64 * place) as usize;
                    message[byte] ^= 1;
                }
                Some(message)
            });
            let (guest, host) = through(&gate, &call, change).await;
            // Only of its own last message the host cannot know what became of it.
            assert!(guest.is_err(), "{of_guest} {at} {place}");
            assert_eq!(
                host.is_ok(),
                !of_guest && at == 2,
                "{of_guest} {at} {place}"
            );
        }
    }
}

#[tokio::test]
async fn what_one_side_said_cannot_be_sent_back_to_it() {
    let gate = gate(&code_door(7, "otter-lamp"));
    let call = call(Method::Code(7), b"otter-lamp");
    let mut proof = None;
    let mirror: Meddle = Box::new(move |from_guest, count, message| {
        match (from_guest, count) {
            (true, 3) => proof = Some(message.clone()),
            (false, 2) => return proof.take(),
            _ => {}
        }
        Some(message)
    });
    let (guest, _) = through(&gate, &call, mirror).await;
    assert!(matches!(guest, Err(TalkError::Tampered)), "{guest:?}");
}

#[tokio::test]
async fn another_name_than_the_keys_own_is_noticed() {
    for of_guest in [true, false] {
        let gate = gate(&Door {
            members: true,
            ..Door::default()
        });
        let rename: Meddle = Box::new(move |from_guest, count, message| {
            if from_guest != of_guest || count != 1 {
                return Some(message);
            }
            Some(to_cbor(&match from_cbor(&message).unwrap() {
                Clear::Opening(mut opening) => {
                    opening.peer = some_peer();
                    Clear::Opening(opening)
                }
                Clear::Answer(mut answer) => {
                    answer.peer = some_peer();
                    Clear::Answer(answer)
                }
                other => other,
            }))
        });
        let (guest, host) = through(&gate, &call(Method::Member, b""), rename).await;
        assert!(guest.is_err() && host.is_err(), "{of_guest}");
    }
}

#[tokio::test]
async fn a_confirmation_in_place_of_the_first_message_is_refused_without_an_answer() {
    let gate = gate(&code_door(7, "otter-lamp"));
    for message in [
        to_cbor(&Clear::Confirm(Confirm {
            confirm: Bytes(vec![0; 32]),
        })),
        to_cbor(&"nonsense"),
        vec![0xff; 100],
        Vec::new(),
    ] {
        let (mut near, far) = duplex(1 << 16);
        let mut bytes = Vec::new();
        frame_to(&mut bytes, &message);
        near.write_all(&bytes).await.unwrap();
        let outcome = host(far, &some_identity(), &gate, "there").await;
        assert!(outcome.is_err());
        let answer = read(&mut near, CLEAR_BYTES).await;
        assert!(matches!(answer, Err(TalkError::HungUp)), "{answer:?}");
    }
    assert!(gate.window().is_some() && gate.take_burnt().is_none());
}

/// Compiles only where both kinds of stream can carry a conversation.
fn _carries(stream: Box<dyn ByteStream>) -> impl ByteStream {
    stream
}
