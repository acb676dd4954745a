//! The hub's identity: an ed25519 key in `identity.key`, made once. Its PeerId is the hub's
//! identity, and gives the default hub id its suffix.

use crate::platform;
use ecorelay_hub::Keys;
use ecorelay_protocol::{HubId, Name, limits};
use libp2p_identity::{Keypair, PeerId, PublicKey};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// Letters and digits that cannot be mistaken for each other; 32 of them, 5 bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of the suffix: 25 bits, so that machines of one name rarely get the same hub id.
const SUFFIX: usize = 5;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error("{action} the identity key {path}: {source}. The file must be yours and readable")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "the identity key {path} is damaged. It was not touched. Restore it from a backup; or move it away, and this hub gets a new identity (paired hubs must then be paired again)"
    )]
    Damaged {
        /// The file.
        path: String,
    },
}

/// Who this hub is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    keypair: Keypair,
    peer_id: ecorelay_protocol::PeerId,
}

impl Identity {
    /// Reads the key in the file at `path`, or makes one where there is no file.
    pub(crate) fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let display = || path.display().to_string();
        let io = |action, source| IdentityError::Io {
            action,
            path: display(),
            source,
        };
        let damaged = || IdentityError::Damaged { path: display() };
        let keypair = match std::fs::read(path) {
            Ok(bytes) => {
                platform::restrict_file(path);
                let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|_| damaged())?;
                keypair.try_into_ed25519().map_err(|_| damaged())?.into()
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let keypair = Keypair::generate_ed25519();
                let bytes = keypair.to_protobuf_encoding().map_err(|_| damaged())?;
                write_new(path, &bytes).map_err(|e| io("cannot write", e))?;
                keypair
            }
            Err(e) => return Err(io("cannot read", e)),
        };
        let text = keypair.public().to_peer_id().to_base58();
        Ok(Self {
            peer_id: text.parse().map_err(|_| damaged())?,
            keypair,
        })
    }

    /// Returns the PeerId as text.
    pub(crate) fn peer_id(&self) -> String {
        self.peer_id.to_string()
    }

    /// Returns the PeerId.
    pub(crate) fn peer(&self) -> &ecorelay_protocol::PeerId {
        &self.peer_id
    }

    /// Returns the key pair, for the mesh's transport.
    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// Returns the hub id for a hub that was given none: the machine's name and a suffix that
    /// comes from the key.
    pub(crate) fn default_hub_id(&self) -> Option<HubId> {
        self.hub_id_on(&platform::host_name())
    }

    fn hub_id_on(&self, host: &str) -> Option<HubId> {
        let mut slug = Name::slug(host, "hub");
        slug.truncate(limits::HUB_ID_CHARS - 1 - SUFFIX);
        let bytes = self.keypair.public().to_peer_id().to_bytes();
        let suffix: String = bytes
            .iter()
            .rev()
            .take(SUFFIX)
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
            .collect();
        format!("{}-{suffix}", slug.trim_end_matches('-'))
            .parse()
            .ok()
    }
}

impl Keys for Identity {
    fn peer_id(&self) -> &ecorelay_protocol::PeerId {
        &self.peer_id
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        // An ed25519 key always signs.
        self.keypair.sign(message).unwrap_or_default()
    }

    fn verify(&self, peer: &ecorelay_protocol::PeerId, message: &[u8], signature: &[u8]) -> bool {
        let Ok(peer) = peer.as_str().parse::<PeerId>() else {
            return false;
        };
        // The PeerId of an ed25519 key is the key itself.
        let key = PublicKey::try_decode_protobuf(peer.as_ref().digest());
        key.is_ok_and(|key| key.verify(message, signature))
    }
}

/// Writes a new private file, whole or not at all.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    platform::private_file(&mut options);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_identity_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.peer_id(), again.peer_id());
        assert!(first.peer_id().starts_with("12D3Koo"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        for bytes in [&b""[..], b"nonsense", &[8, 1, 18, 64, 1, 2]] {
            std::fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn any_host_name_gives_a_hub_id() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(&dir.path().join("identity.key")).unwrap();
        let long = "long-".repeat(40);
        for host in ["Ann's MacBook Pro", "", "büro", &long] {
            let id = identity.hub_id_on(host).unwrap();
            assert!(id.as_str().len() <= limits::HUB_ID_CHARS);
        }
        let id = identity.hub_id_on("Desk").unwrap();
        assert!(id.as_str().starts_with("desk-") && id.as_str().len() == 10);
    }
}
