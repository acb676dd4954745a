//! Keys without cryptography, for tests and the simulator.

use crate::Keys;
use ecorelay_protocol::PeerId;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

/// Keys that sign with a plain hash: whoever knows the PeerId can sign. The same in every run.
#[derive(Debug, Clone)]
pub struct PlainKeys {
    peer: PeerId,
}

impl PlainKeys {
    /// Returns the keys of the hub with this number; their PeerIds are ordered as the numbers.
    pub fn numbered(n: u8) -> Self {
        let digit = |v: u8| char::from(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZ"[usize::from(v % 32)]);
        let text = format!("12D3KooW{}{}{}", digit(n / 32), digit(n), "x".repeat(42));
        match text.parse() {
            Ok(peer) => Self { peer },
            Err(_) => unreachable!("52 base58 characters are a PeerId"),
        }
    }

    fn hash(peer: &PeerId, message: &[u8]) -> Vec<u8> {
        let mut hasher = DefaultHasher::new();
        (peer, message).hash(&mut hasher);
        hasher.finish().to_be_bytes().to_vec()
    }
}

impl Keys for PlainKeys {
    fn peer_id(&self) -> &PeerId {
        &self.peer
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        Self::hash(&self.peer, message)
    }

    fn verify(&self, peer: &PeerId, message: &[u8], signature: &[u8]) -> bool {
        Self::hash(peer, message) == signature
    }
}
