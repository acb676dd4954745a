//! Sealed messages: ChaCha20-Poly1305, one key per direction, the message's number as nonce. What
//! was changed, left out, repeated or put in another order cannot be opened.

use super::keys::KEY_BYTES;
use super::wire::TalkError;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use ecorelay_protocol::Bytes;

/// The numbers of the messages that go in one direction.
struct Counter(u64);

impl Counter {
    /// Returns the next nonce. 2^64 messages do not fit into a conversation's time.
    fn next(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.0.to_be_bytes());
        self.0 += 1;
        nonce.into()
    }
}

/// Seals what this side says.
pub(super) struct Sealer {
    cipher: ChaCha20Poly1305,
    counter: Counter,
}

impl Sealer {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            counter: Counter(0),
        }
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Bytes {
        // Fails only beyond 256 GiB.
        let sealed = self.cipher.encrypt(&self.counter.next(), plain);
        Bytes(sealed.unwrap_or_default())
    }
}

/// Opens what the other side says.
pub(super) struct Opener {
    cipher: ChaCha20Poly1305,
    counter: Counter,
}

impl Opener {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            counter: Counter(0),
        }
    }

    /// Returns what was sealed. After an error nothing more can be opened.
    pub(super) fn open(&mut self, sealed: &Bytes) -> Result<Vec<u8>, TalkError> {
        self.cipher
            .decrypt(&self.counter.next(), sealed.0.as_slice())
            .map_err(|_| TalkError::Tampered)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn pair() -> (Sealer, Opener) {
        (Sealer::new(&[7; KEY_BYTES]), Opener::new(&[7; KEY_BYTES]))
    }

    #[test]
    fn a_message_opens_once_and_in_its_place() {
        let (mut sealer, mut opener) = pair();
        let [first, second] = [sealer.seal(b"one"), sealer.seal(b"two")];
        assert_eq!(opener.open(&first).unwrap(), b"one");
        assert!(opener.open(&first).is_err());
        let (_, mut other) = pair();
        assert!(other.open(&second).is_err());
        let (_, mut wrong) = pair();
        wrong.cipher = ChaCha20Poly1305::new(&[8; KEY_BYTES].into());
        assert!(wrong.open(&first).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_message_does_not_open(
            plain in proptest::collection::vec(any::<u8>(), 0..64), at: usize, flip in 1_u8..,
        ) {
            let (mut sealer, mut opener) = pair();
            let mut sealed = sealer.seal(&plain);
            let at = at % sealed.0.len();
            sealed.0[at] ^= flip;
            prop_assert!(opener.open(&sealed).is_err());
        }

        #[test]
        fn any_bytes_do_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(pair().1.open(&Bytes(bytes)).is_err());
        }
    }
}
