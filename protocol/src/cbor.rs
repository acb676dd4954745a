//! CBOR, read strictly: one value, nothing behind it.
//!
//! cbor4ii bounds the depth of what it reads and serde what it allocates ahead; that trailing
//! bytes are an error is ours.

use cbor4ii::core::dec::Read as _;
use cbor4ii::core::utils::SliceReader;
use cbor4ii::serde::Deserializer;
use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why bytes are not the value they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid: {0}")]
pub struct CborError(String);

impl CborError {
    /// Returns the error for a signature that is not its author's.
    pub(crate) fn signature() -> Self {
        Self("the signature is not its author's".into())
    }
}

/// Returns a value as CBOR. Values of this crate can always be written.
pub fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), value).unwrap_or_default()
}

/// Returns the one value in these bytes.
///
/// # Errors
/// When they are not CBOR, are another type, or something follows.
pub fn from_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    let of = |e: &dyn fmt::Display| CborError(e.to_string());
    let mut deserializer = Deserializer::new(SliceReader::new(bytes));
    let value = T::deserialize(&mut deserializer).map_err(|e| of(&e))?;
    let mut rest = deserializer.into_inner();
    let trailing = rest.fill(1).map_err(|e| of(&e))?;
    if !trailing.as_ref().is_empty() {
        return Err(CborError("bytes follow the value".into()));
    }
    Ok(value)
}

/// Bytes that stand as a byte string, not as a list of numbers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = to_cbor(&Bytes(vec![1, 2, 3]));
        assert_eq!(from_cbor::<Bytes>(&bytes), Ok(Bytes(vec![1, 2, 3])));
        bytes.push(0);
        assert!(from_cbor::<Bytes>(&bytes).is_err());
        assert!(from_cbor::<Bytes>(&bytes[..2]).is_err());
        assert!(from_cbor::<Bytes>(&[]).is_err());
    }
}
