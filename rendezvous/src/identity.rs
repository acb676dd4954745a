//! The server's identity: an ed25519 key, made once and kept in a private file. Hubs know the
//! server by its PeerId, so that a restart must not change it.

use libp2p::PeerId;
use libp2p::identity::Keypair;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error(
        "{action} the identity key {path}: {source}. The file must be this user's own and readable"
    )]
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
        "the identity key {path} is damaged. It was not touched. Restore it from a backup; or move it away, and the server gets a new identity (hubs must then be told its new address)"
    )]
    Damaged {
        /// The file.
        path: String,
    },
}

/// Who a server is.
#[derive(Clone)]
pub struct Identity(Keypair);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.peer_id())
    }
}

impl Identity {
    /// Returns a new one that is kept nowhere.
    pub fn generate() -> Self {
        Self(Keypair::generate_ed25519())
    }

    /// Reads the key in the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is not there, or is something else.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let damaged = || IdentityError::Damaged {
            path: path.display().to_string(),
        };
        let bytes = std::fs::read(path).map_err(|source| io(path, "cannot read", source))?;
        let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|_| damaged())?;
        Ok(Self(
            keypair.try_into_ed25519().map_err(|_| damaged())?.into(),
        ))
    }

    /// Reads the key in the file at `path`, or makes one where there is no file.
    ///
    /// # Errors
    /// As [`Identity::load`], and when the file cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match Self::load(path) {
            Err(IdentityError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            loaded => {
                restrict(path);
                return loaded;
            }
        }
        let identity = Self::generate();
        let bytes = identity.0.to_protobuf_encoding();
        let bytes = bytes.map_err(|_| IdentityError::Damaged {
            path: path.display().to_string(),
        })?;
        write_new(path, &bytes).map_err(|source| io(path, "cannot write", source))?;
        Ok(identity)
    }

    /// Returns the PeerId in base58.
    pub fn peer_id(&self) -> String {
        self.public().to_base58()
    }

    pub(crate) fn public(&self) -> PeerId {
        self.0.public().to_peer_id()
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.0
    }
}

fn io(path: &Path, action: &'static str, source: std::io::Error) -> IdentityError {
    IdentityError::Io {
        action,
        path: path.display().to_string(),
        source,
    }
}

/// Writes a new private file, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// Takes the file from other users who got at it by a careless copy.
fn restrict(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_identity_stays_the_same_and_its_file_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        assert!(Identity::load(&path).is_err());
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.peer_id(), again.peer_id());
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
}
