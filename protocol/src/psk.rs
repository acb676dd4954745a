//! The mesh's pre-shared key and the text of its file, libp2p's swarm-key format.

use crate::{Bytes, Refusal};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The first two lines of the file.
const HEAD: [&str; 2] = ["/key/swarm/psk/1.0.0/", "/base16/"];

/// The pre-shared key of a mesh. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Psk([u8; 32]);

impl Psk {
    /// Returns the key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the text of a key file.
    pub fn to_file(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            HEAD[0],
            HEAD[1],
            HEXLOWER_PERMISSIVE.encode(&self.0)
        )
    }

    /// Returns the key in the text of a key file.
    ///
    /// # Errors
    /// `bad_args` when it is in another format.
    pub fn from_file(text: &str) -> Result<Self, Refusal> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = [lines.next(), lines.next()];
        let key = lines.next().unwrap_or_default();
        let bytes = HEXLOWER_PERMISSIVE.decode(key.as_bytes()).ok();
        match bytes.and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) if head == HEAD.map(Some) && lines.next().is_none() => Ok(Self(bytes)),
            _ => Err(Refusal::bad_args(
                "It is not a swarm key: three lines, \"/key/swarm/psk/1.0.0/\", \"/base16/\" and 64 hexadecimal digits.",
            )),
        }
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(hidden)")
    }
}

impl Serialize for Psk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::from(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Psk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let wrong = |_| de::Error::custom("a key has 32 bytes");
        Ok(Self(bytes.0.try_into().map_err(wrong)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_back() {
        let psk = Psk::new([0xab; 32]);
        assert_eq!(Psk::from_file(&psk.to_file()), Ok(psk.clone()));
        let windows = psk.to_file().replace('\n', "\r\n");
        assert_eq!(Psk::from_file(&windows), Ok(psk.clone()));
        assert!(Psk::from_file("secret").is_err());
        assert!(Psk::from_file(&psk.to_file()[..80]).is_err());
        assert!(!format!("{psk:?}").contains("ab"));
    }
}
