//! A conversation up to the point where both sides have the same secret and have proven who they
//! are: [`guest`] calls, [`host`] answers, and what comes out is [`Established`].
//!
//! The host confirms the key first, so that a guest learns nothing that it could try guesses on;
//! a host that guesses sees no more than whether its one guess was right.

use super::door::{Claim, Door};
use super::keys::{Exchange, Keys, Transcript, same};
use super::seal::{Opener, Sealer};
use super::wire::{ByteStream, TalkError, read, write};
use crate::mesh::Identity;
use ecorelay_hub::Keys as _;
use ecorelay_protocol::pairing::{
    Answer, CLEAR_BYTES, Clear, Confirm, Method, Opening, PAIRING_VERSION, PairingCode,
    PairingRefuse, Proof,
};
use ecorelay_protocol::{Bytes, PeerId, from_cbor, to_cbor};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// The guest's first message must be there after this long: it needs no thought.
const OPENING_TIME: Duration = Duration::from_secs(5);
/// Everything up to the proof takes four trips and a millisecond of arithmetic.
const PROOF_TIME: Duration = Duration::from_secs(10);
/// How long a refusal may take to leave.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// What is read and thrown away after a refusal, in bytes, so that hanging up does not destroy it
/// on its way.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// Whom a guest calls, and with what.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) secret: Bytes,
    /// Who must be there, where that is known.
    pub(super) peer: Option<PeerId>,
}

/// A conversation in which both sides have the same secret and have proven their keys.
pub(super) struct Established<S> {
    pub(super) peer: PeerId,
    pub(super) method: Method,
    pub(super) stream: S,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

impl<S> std::fmt::Debug for Established<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Established({})", self.peer)
    }
}

/// Calls a host.
pub(super) async fn guest<S: ByteStream>(
    mut stream: S,
    identity: &Identity,
    call: &Call,
) -> Result<Established<S>, TalkError> {
    let outcome = timeout(PROOF_TIME, call_on(&mut stream, identity, call)).await;
    match outcome.unwrap_or(Err(TalkError::TimedOut)) {
        Ok((peer, sealer, opener)) => Ok(Established {
            peer,
            method: call.method.clone(),
            stream,
            sealer,
            opener,
        }),
        Err(error) => {
            if matches!(error, TalkError::WrongSecret) {
                refuse(&mut stream, &wrong_code()).await;
            }
            Err(error)
        }
    }
}

/// Answers a guest that comes from `from`. What it claims at the door is let go of, or used up,
/// by what comes of the conversation.
pub(super) async fn host<S: ByteStream>(
    mut stream: S,
    identity: &Identity,
    door: &Door,
    from: &str,
) -> Result<Established<S>, TalkError> {
    let outcome = timeout(PROOF_TIME, answer_on(&mut stream, identity, door, from)).await;
    match outcome.unwrap_or(Err(TalkError::TimedOut)) {
        Ok((peer, method, sealer, opener)) => Ok(Established {
            peer,
            method,
            stream,
            sealer,
            opener,
        }),
        Err(error) => {
            match &error {
                TalkError::WrongSecret => refuse(&mut stream, &wrong_code()).await,
                TalkError::RefusedHere(why) => refuse(&mut stream, why).await,
                // Who broke the rules is told nothing.
                _ => {}
            }
            Err(error)
        }
    }
}

async fn call_on<S: ByteStream>(
    stream: &mut S,
    identity: &Identity,
    call: &Call,
) -> Result<(PeerId, Sealer, Opener), TalkError> {
    let own = identity.peer();
    let (exchange, share) = Exchange::guest(&call.method, &call.secret.0);
    let opening = Clear::Opening(Opening {
        version: PAIRING_VERSION,
        method: call.method.clone(),
        peer: own.clone(),
        share: Bytes(share),
    });
    write(stream, std::slice::from_ref(&opening)).await?;
    let Answer {
        peer,
        share,
        confirm,
    } = match next(stream).await?.1 {
        Clear::Answer(answer) => answer,
        Clear::Refuse(why) => return Err(TalkError::Refused(why)),
        _ => return Err(TalkError::OutOfPlace),
    };
    if peer == *own {
        return Err(TalkError::Own);
    }
    if call.peer.as_ref().is_some_and(|expected| *expected != peer) {
        return Err(TalkError::WrongPeer);
    }
    let transcript = Transcript::new(&to_cbor(&opening), &peer, &share.0);
    let keys = exchange.finish(&share.0, &transcript)?;
    if !same(&confirm.0, &keys.host_confirms) {
        return Err(TalkError::WrongSecret);
    }
    let (mut sealer, mut opener) = (
        Sealer::new(&keys.guest_seals),
        Opener::new(&keys.host_seals),
    );
    let confirm = Clear::Confirm(Confirm {
        confirm: Bytes::from(&keys.guest_confirms),
    });
    let proof = proof(identity, &transcript.to_sign(true), &mut sealer);
    write(stream, &[confirm, proof]).await?;
    check(
        stream,
        identity,
        &peer,
        &transcript.to_sign(false),
        &mut opener,
    )
    .await?;
    Ok((peer, sealer, opener))
}

async fn answer_on<S: ByteStream>(
    stream: &mut S,
    identity: &Identity,
    door: &Door,
    from: &str,
) -> Result<(PeerId, Method, Sealer, Opener), TalkError> {
    let own = identity.peer();
    let first = timeout(OPENING_TIME, next(stream)).await;
    let (bytes, Clear::Opening(opening)) = first.unwrap_or(Err(TalkError::TimedOut))? else {
        return Err(TalkError::OutOfPlace);
    };
    if opening.version != PAIRING_VERSION {
        return Err(refused(
            PairingCode::Version,
            "The two hubs speak different versions of pairing: update the older one.",
        ));
    }
    if opening.peer == *own {
        return Err(refused(
            PairingCode::BadMessage,
            "A hub cannot pair with itself.",
        ));
    }
    let claim = door.admit(&opening.method, from);
    let mut claim = claim.map_err(TalkError::RefusedHere)?;
    let (exchange, share) = Exchange::host(&opening.method, claim.secret());
    let transcript = Transcript::new(&bytes, own, &share);
    let keys = exchange.finish(&opening.share.0, &transcript)?;
    let answer = Clear::Answer(Answer {
        peer: own.clone(),
        share: Bytes(share),
        confirm: Bytes::from(&keys.host_confirms),
    });
    // From here on the guest may have had its one guess.
    claim.answered();
    write(stream, &[answer]).await?;
    let (sealer, opener) = confirmed(stream, identity, &opening.peer, &transcript, &keys).await?;
    Claim::sealed(claim);
    Ok((opening.peer, opening.method, sealer, opener))
}

/// The host's half of the confirmation and the proof.
async fn confirmed<S: ByteStream>(
    stream: &mut S,
    identity: &Identity,
    guest: &PeerId,
    transcript: &Transcript,
    keys: &Keys,
) -> Result<(Sealer, Opener), TalkError> {
    match next(stream).await?.1 {
        Clear::Confirm(confirm) if same(&confirm.confirm.0, &keys.guest_confirms) => {}
        Clear::Confirm(_) => return Err(TalkError::WrongSecret),
        Clear::Refuse(why) => return Err(TalkError::Refused(why)),
        _ => return Err(TalkError::OutOfPlace),
    }
    let (mut sealer, mut opener) = (
        Sealer::new(&keys.host_seals),
        Opener::new(&keys.guest_seals),
    );
    let to_sign = transcript.to_sign(true);
    check(stream, identity, guest, &to_sign, &mut opener).await?;
    let proof = proof(identity, &transcript.to_sign(false), &mut sealer);
    write(stream, &[proof]).await?;
    Ok((sealer, opener))
}

/// Returns the next message and its bytes.
async fn next<S: ByteStream>(stream: &mut S) -> Result<(Vec<u8>, Clear), TalkError> {
    let bytes = read(stream, CLEAR_BYTES).await?;
    let message = from_cbor(&bytes)?;
    Ok((bytes, message))
}

/// Returns this side's proof of its key.
fn proof(identity: &Identity, to_sign: &[u8], sealer: &mut Sealer) -> Clear {
    let proof = Proof {
        signature: Bytes(identity.sign(to_sign)),
    };
    Clear::Sealed(sealer.seal(&to_cbor(&proof)))
}

/// Takes the other side's proof.
async fn check<S: ByteStream>(
    stream: &mut S,
    identity: &Identity,
    peer: &PeerId,
    to_sign: &[u8],
    opener: &mut Opener,
) -> Result<(), TalkError> {
    let sealed = match next(stream).await?.1 {
        Clear::Sealed(sealed) => sealed,
        Clear::Refuse(why) => return Err(TalkError::Refused(why)),
        _ => return Err(TalkError::OutOfPlace),
    };
    let proof: Proof = from_cbor(&opener.open(&sealed)?)?;
    if identity.verify(peer, to_sign, &proof.signature.0) {
        Ok(())
    } else {
        Err(TalkError::Unproven)
    }
}

fn refused(code: PairingCode, message: &str) -> TalkError {
    TalkError::RefusedHere(PairingRefuse {
        code,
        message: message.into(),
    })
}

fn wrong_code() -> PairingRefuse {
    PairingRefuse {
        code: PairingCode::WrongCode,
        message: "The other machine has another code.".into(),
    }
}

/// Says no and hangs up.
async fn refuse<S: ByteStream>(stream: &mut S, why: &PairingRefuse) {
    let said = async {
        write(stream, &[Clear::Refuse(why.clone())]).await?;
        stream.shutdown().await?;
        // A socket that is closed with something unread takes back what it has sent.
        let mut rest = stream.take(FAREWELL_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        Ok::<_, TalkError>(())
    };
    // Whoever does not listen need not hear it.
    let _ = timeout(FAREWELL_TIME, said).await;
}
