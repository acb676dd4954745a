//! What a hub has signed, kept as the bytes it signed.

use crate::cbor::{CborError, from_cbor, to_cbor};
use crate::{Bytes, PeerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A value and its author's signature. The bytes are never encoded again: they are handed on
/// as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Who signed it.
    pub by: PeerId,
    /// The value, as CBOR.
    pub payload: Bytes,
    /// Ed25519 over the domain, a zero byte and the payload.
    pub signature: Bytes,
}

/// A value that is signed in a domain of its own, so that a signature for one kind of value
/// is none for another.
pub trait Signable: Serialize + DeserializeOwned {
    /// The name of the domain.
    const DOMAIN: &'static str;
}

impl Signed {
    /// Returns the bytes that are signed.
    pub fn message(domain: &str, payload: &[u8]) -> Vec<u8> {
        [domain.as_bytes(), &[0], payload].concat()
    }

    /// Returns a value signed with `sign`.
    pub fn new<T: Signable>(by: PeerId, value: &T, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let payload = to_cbor(value);
        let signature = sign(&Self::message(T::DOMAIN, &payload));
        Self {
            by,
            payload: Bytes(payload),
            signature: Bytes(signature),
        }
    }

    /// Returns 16 bytes that are others for every other value or author: the first of a SHA-256
    /// over both.
    pub fn digest(&self) -> Bytes {
        let hash = Sha256::new()
            .chain_update(self.by.as_str())
            .chain_update([0])
            .chain_update(&self.payload.0)
            .finalize();
        Bytes(hash[..16].to_vec())
    }

    /// Returns the value if `verify` says that the signature is the author's.
    ///
    /// # Errors
    /// When it is not, or the payload is something else.
    pub fn open<T: Signable>(
        &self,
        verify: impl FnOnce(&PeerId, &[u8], &[u8]) -> bool,
    ) -> Result<T, CborError> {
        let message = Self::message(T::DOMAIN, &self.payload.0);
        if !verify(&self.by, &message, &self.signature.0) {
            return Err(CborError::signature());
        }
        from_cbor(&self.payload.0)
    }
}
