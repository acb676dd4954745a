//! A hub's identity on the mesh, as text.

use crate::Refusal;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Shortest and longest PeerId in base58 that is taken: an ed25519 one has 52 characters, the
/// hash of a long key 46.
const CHARS: std::ops::RangeInclusive<usize> = 46..=60;

/// A libp2p PeerId in base58. Says nothing about whether the key behind it exists. Cheap to
/// clone; ordered as text, the same on every hub.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// Returns the PeerId as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PeerId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let base58 = |b: u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
        if CHARS.contains(&text.len()) && text.bytes().all(base58) {
            Ok(Self(text.into()))
        } else {
            Err(Refusal::bad_args("This is not a PeerId."))
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|refusal: Refusal| de::Error::custom(refusal.message))
    }
}
