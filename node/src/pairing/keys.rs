//! From a shared secret to keys: SPAKE2, bound by the transcript to both hubs and to how they met.
//!
//! The guest cannot know who the host is before it answers, so the PeerIds are not SPAKE2's own
//! identities; the transcript's hash, which holds everything said in clear, salts every key
//! instead: with one byte of it changed on the way, the two sides have different keys.

use super::wire::TalkError;
use ecorelay_protocol::pairing::Method;
use ecorelay_protocol::{PeerId, to_cbor};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};

/// Length of a key, of a confirmation and of the transcript's hash, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// One side's half of the exchange, used up by the other's share.
pub(super) struct Exchange(Spake2<Ed25519Group>);

impl Exchange {
    /// Returns the guest's half and its share.
    pub(super) fn guest(method: &Method, secret: &[u8]) -> (Self, Vec<u8>) {
        let (guest, host) = roles(method);
        let (half, share) = Spake2::start_a(&Password::new(secret), &guest, &host);
        (Self(half), share)
    }

    /// Returns the host's half and its share.
    pub(super) fn host(method: &Method, secret: &[u8]) -> (Self, Vec<u8>) {
        let (guest, host) = roles(method);
        let (half, share) = Spake2::start_b(&Password::new(secret), &guest, &host);
        (Self(half), share)
    }

    /// Returns the keys that the other's share and the transcript lead to. They are the same on
    /// both sides only if the secrets are.
    pub(super) fn finish(self, share: &[u8], transcript: &Transcript) -> Result<Keys, TalkError> {
        let shared = self.0.finish(share).map_err(|_| TalkError::OutOfPlace)?;
        let hkdf = Hkdf::<Sha256>::new(Some(&transcript.0), &shared);
        let derive = |purpose: &str| {
            let mut bytes = [0; KEY_BYTES];
            // One block of the hash: never too long.
            let _ = hkdf.expand(purpose.as_bytes(), &mut bytes);
            bytes
        };
        Ok(Keys {
            host_confirms: derive("ecorelay pairing 1 host confirms"),
            guest_confirms: derive("ecorelay pairing 1 guest confirms"),
            host_seals: derive("ecorelay pairing 1 host seals"),
            guest_seals: derive("ecorelay pairing 1 guest seals"),
        })
    }
}

/// SPAKE2's identities: the two roles, and how the hubs met.
fn roles(method: &Method) -> (Identity, Identity) {
    let met = to_cbor(method);
    let role = |name: &[u8]| Identity::new(&[name, &[0], met.as_slice()].concat());
    (
        role(b"ecorelay pairing 1 guest"),
        role(b"ecorelay pairing 1 host"),
    )
}

/// What the two sides agree on. The confirmations are one use each: made from the shared key and
/// the transcript for this purpose alone.
pub(super) struct Keys {
    pub(super) host_confirms: [u8; KEY_BYTES],
    pub(super) guest_confirms: [u8; KEY_BYTES],
    pub(super) host_seals: [u8; KEY_BYTES],
    pub(super) guest_seals: [u8; KEY_BYTES],
}

/// The hash of everything the keys rest on, as it was on the wire.
pub(super) struct Transcript(pub(super) [u8; KEY_BYTES]);

impl Transcript {
    /// `opening` are the bytes of the guest's first message.
    pub(super) fn new(opening: &[u8], host: &PeerId, host_share: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"ecorelay pairing 1");
        for part in [opening, host.as_str().as_bytes(), host_share] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Returns what the guest (or the host) signs with its own key.
    pub(super) fn to_sign(&self, guest: bool) -> Vec<u8> {
        let domain: &[u8] = if guest {
            b"ecorelay-pairing-guest-1"
        } else {
            b"ecorelay-pairing-host-1"
        };
        [domain, &[0], &self.0].concat()
    }
}

/// Returns whether a confirmation is the one it should be, in a time that says nothing of where
/// they differ.
pub(super) fn same(came: &[u8], expected: &[u8; KEY_BYTES]) -> bool {
    let differ = came
        .iter()
        .zip(expected)
        .fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    came.len() == KEY_BYTES && differ == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::pairing::tests::some_peer;

    fn confirmations(
        methods: [&Method; 2],
        secrets: [&[u8]; 2],
        openings: [&[u8]; 2],
        hosts: [&PeerId; 2],
    ) -> bool {
        let (guest, guest_share) = Exchange::guest(methods[0], secrets[0]);
        let (host, host_share) = Exchange::host(methods[1], secrets[1]);
        let transcript = |side: usize| Transcript::new(openings[side], hosts[side], &host_share);
        let guest = guest.finish(&host_share, &transcript(0)).unwrap();
        let host = host.finish(&guest_share, &transcript(1)).unwrap();
        assert_ne!(guest.guest_confirms, guest.host_confirms);
        assert_ne!(guest.guest_seals, guest.host_seals);
        same(&guest.host_confirms, &host.host_confirms)
            && same(&host.guest_confirms, &guest.guest_confirms)
    }

    #[test]
    fn the_keys_are_the_same_only_if_everything_is() {
        let (seven, eight) = (Method::Code(7), Method::Code(8));
        let (one, other) = (some_peer(), some_peer());
        let opening: &[u8] = b"opening";
        assert!(confirmations(
            [&seven; 2],
            [b"otter"; 2],
            [opening; 2],
            [&one; 2]
        ));
        assert!(!confirmations(
            [&seven; 2],
            [b"otter", b"otteR"],
            [opening; 2],
            [&one; 2]
        ));
        assert!(!confirmations(
            [&seven, &eight],
            [b"otter"; 2],
            [opening; 2],
            [&one; 2]
        ));
        assert!(!confirmations(
            [&seven; 2],
            [b"otter"; 2],
            [opening, b"changed"],
            [&one; 2]
        ));
        assert!(!confirmations(
            [&seven; 2],
            [b"otter"; 2],
            [opening; 2],
            [&one, &other]
        ));
        assert!(confirmations(
            [&Method::Member; 2],
            [b""; 2],
            [opening; 2],
            [&one; 2]
        ));
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        let transcript = Transcript::new(b"", &some_peer(), b"");
        for share in [&b""[..], &[0; 33], &[0x41; 33], &[0x42; 32], &[0xff; 5000]] {
            let (guest, _) = Exchange::guest(&Method::Member, b"");
            assert!(guest.finish(share, &transcript).is_err());
        }
        assert!(!same(&[], &[0; KEY_BYTES]) && !same(&[0; 31], &[0; KEY_BYTES]));
    }
}
