//! The mesh's pre-shared key and the text of its file, libp2p's swarm-key format.

use crate::{Bytes, PeerId, Refusal};
use data_encoding::HEXLOWER_PERMISSIVE;
use hkdf::Hkdf;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
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

    /// Returns the token with which the hubs of this mesh enter a rendezvous server. It says
    /// nothing of the key, and is another one for each server: what one server sees is of no use
    /// at another. RFC 5869 (HKDF-SHA256).
    pub fn admission_token(&self, server: &PeerId) -> [u8; 32] {
        self.derive("ecorelay rendezvous admission 1", server)
    }

    /// Returns the place at a rendezvous server where a member that missed a change of this key
    /// asks for the new one.
    pub fn renewal_place(&self, server: &PeerId) -> [u8; 32] {
        self.derive("ecorelay renewal place 1", server)
    }

    fn derive(&self, purpose: &str, server: &PeerId) -> [u8; 32] {
        let mut bytes = [0; 32];
        let info = [purpose.as_bytes(), &[0], server.as_str().as_bytes()].concat();
        // One block of the hash: never too long.
        let _ = Hkdf::<Sha256>::new(None, &self.0).expand(&info, &mut bytes);
        bytes
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
