//! `mesh.key`: the key that the hubs of a mesh share, in libp2p's swarm-key format.

use super::identity::write_new;
use crate::platform;
use ecorelay_protocol::Psk;
use std::io::ErrorKind;
use std::path::Path;

/// Why the mesh's key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MeshKeyError {
    /// The file cannot be read or made.
    #[error("{action} the mesh key {path}: {source}. The file must be yours and readable")]
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
        "the mesh key {path} is damaged. It was not touched. Move it away (mv {path} {path}.damaged): a hub that belongs to a mesh has the key in its store too, and writes the file again"
    )]
    Damaged {
        /// The file.
        path: String,
    },
}

/// Returns the key in the file at `path`, or `None` where there is no file.
pub(super) fn load(path: &Path) -> Result<Option<Psk>, MeshKeyError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(path, "cannot read", source)),
    };
    platform::restrict_file(path);
    let text = std::str::from_utf8(&bytes).ok();
    match text.and_then(|text| Psk::from_file(text).ok()) {
        Some(psk) => Ok(Some(psk)),
        None => Err(MeshKeyError::Damaged {
            path: path.display().to_string(),
        }),
    }
}

/// Puts the key into the file at `path`, whole or not at all. Another key that is there is kept
/// beside it, as `mesh.key.old`.
pub(super) fn save(path: &Path, psk: &Psk) -> Result<(), MeshKeyError> {
    match load(path) {
        Ok(Some(there)) if there == *psk => return Ok(()),
        Ok(None) => {}
        Ok(Some(_)) | Err(MeshKeyError::Damaged { .. }) => {
            let mut old = path.as_os_str().to_owned();
            old.push(".old");
            std::fs::rename(path, old).map_err(|e| io(path, "cannot move away", e))?;
        }
        Err(error) => return Err(error),
    }
    write_new(path, psk.to_file().as_bytes()).map_err(|e| io(path, "cannot write", e))
}

fn io(path: &Path, action: &'static str, source: std::io::Error) -> MeshKeyError {
    MeshKeyError::Io {
        action,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_key_comes_back_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mesh.key");
        assert_eq!(load(&path).unwrap(), None);
        let psk = Psk::new([7; 32]);
        save(&path, &psk).unwrap();
        save(&path, &psk).unwrap();
        assert_eq!(load(&path).unwrap(), Some(psk));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn another_key_is_kept_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mesh.key");
        save(&path, &Psk::new([1; 32])).unwrap();
        save(&path, &Psk::new([2; 32])).unwrap();
        assert_eq!(load(&path).unwrap(), Some(Psk::new([2; 32])));
        let old = load(&dir.path().join("mesh.key.old")).unwrap();
        assert_eq!(old, Some(Psk::new([1; 32])));
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mesh.key");
        for bytes in [
            &b""[..],
            b"/key/swarm/psk/1.0.0/\n/base16/\nabc\n",
            &[0xff; 90],
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = load(&path).unwrap_err();
            assert!(matches!(error, MeshKeyError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("mesh.key.damaged"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
