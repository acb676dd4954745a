//! Why a node cannot start or had to end. Every sentence says what to do.

use crate::mesh::{IdentityError, MeshKeyError};
use crate::store::OpenError;
use ecorelay_config::ConfigError;
use ecorelay_hub::StoreError;

/// Why a node cannot start or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A setting, or a folder or key file of the data directory.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory is not the user's own.
    #[error("{message}. {remedy}")]
    Folder {
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: String,
    },
    /// Another hub has the data directory.
    #[error(
        "a hub is already running in {folder}{}. Use it, or end it with: ecorelay node stop",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    AlreadyRunning {
        /// Its process id, where it is known.
        pid: Option<u32>,
        /// The data directory.
        folder: String,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store was opened and then could not be read: the hub cannot go on.
    #[error(
        "the hub ended because its store cannot be read ({0}). Check the disk of the data directory, then: ecorelay node start"
    )]
    StoreLost(StoreError),
    /// The identity key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The mesh's key cannot be used.
    #[error(transparent)]
    MeshKey(#[from] MeshKeyError),
    /// The local socket cannot be made.
    #[error(
        "the socket {path} cannot be made: {source}. Set RELAY_HUB_SOCKET to a path in a folder you own"
    )]
    Socket {
        /// Its path.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file or the system refused something else.
    #[error("{action} {path}: {source}. {}", remedy(.source))]
    Io {
        /// What was tried, such as "cannot lock".
        action: &'static str,
        /// What with.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file that the hub stands on was taken from under it.
    #[error(
        "the hub ended because {path} was deleted or replaced while it ran; what it had accepted is where that file is. Sessions start another hub by themselves"
    )]
    FileLost {
        /// Which file.
        path: String,
    },
    /// The hub thread ended without a word: a bug.
    #[error(
        "the hub ended because of a bug; its last words are in the logs folder of the data directory. No accepted message is lost. Start it again with: ecorelay node start"
    )]
    Died,
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => "Free some space on the disk of the data directory",
        _ => "The data directory must be writable for you",
    }
}
