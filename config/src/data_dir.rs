//! The data directory and the paths in it.

use crate::ConfigError;
use std::path::{Path, PathBuf};

/// Longest path of a Unix socket, in bytes (Linux: 108 with the closing zero).
#[cfg(unix)]
const SOCKET_PATH_BYTES: usize = 107;
/// Longest name of a named pipe on Windows.
#[cfg(not(unix))]
const SOCKET_PATH_BYTES: usize = 256;

/// Every path a hub and its clients use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
    socket: PathBuf,
}

impl DataDir {
    /// Returns the data directory of the environment: `ECORELAY_DATA_DIR`, else `~/.eco-relay`;
    /// the socket at `RELAY_HUB_SOCKET`, else `hub.sock` in it. Nothing is created.
    ///
    /// # Errors
    /// Without a home folder.
    pub fn from_env() -> Result<Self, ConfigError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = match set("ECORELAY_DATA_DIR") {
            Some(dir) => absolute(Path::new(&dir)),
            None => std::env::home_dir()
                .filter(|home| !home.as_os_str().is_empty())
                .ok_or(ConfigError::NoHome)?
                .join(".eco-relay"),
        };
        let dir = Self::at(root);
        Ok(match set("RELAY_HUB_SOCKET") {
            Some(socket) => dir.with_socket(absolute(Path::new(&socket))),
            None => dir,
        })
    }

    /// Returns the data directory at `root`, whatever the environment says.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let socket = root.join("hub.sock");
        Self { root, socket }
    }

    /// Returns this data directory with its socket elsewhere.
    #[must_use]
    pub fn with_socket(mut self, socket: impl Into<PathBuf>) -> Self {
        self.socket = socket.into();
        self
    }

    /// Creates the folder, and the socket's, with mode 0700 where they are missing.
    ///
    /// # Errors
    /// When a folder cannot be created, or the socket's path is too long.
    pub fn create(&self) -> Result<(), ConfigError> {
        self.check_socket_path()?;
        create_private(&self.root)?;
        if let Some(parent) = self.socket.parent().filter(|p| *p != self.root) {
            create_private(parent)?;
        }
        create_private(&self.logs())
    }

    /// Checks that the system can bind a socket of this path.
    ///
    /// # Errors
    /// [`ConfigError::SocketPathTooLong`].
    pub fn check_socket_path(&self) -> Result<(), ConfigError> {
        let length = self.socket.as_os_str().len();
        if length > SOCKET_PATH_BYTES {
            return Err(ConfigError::SocketPathTooLong {
                path: self.socket.display().to_string(),
                length,
                limit: SOCKET_PATH_BYTES,
            });
        }
        Ok(())
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the hub's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the file a running hub keeps locked.
    pub fn lock(&self) -> PathBuf {
        self.root.join("hub.lock")
    }

    /// Returns the store.
    pub fn store(&self) -> PathBuf {
        self.root.join("relay.db")
    }

    /// Returns the folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Returns the file with the WebSocket endpoint's token.
    pub fn ws_token(&self) -> PathBuf {
        self.root.join("hub-ws-token")
    }

    /// Returns the file with the hub's identity key.
    pub fn identity_key(&self) -> PathBuf {
        self.root.join("identity.key")
    }

    /// Returns the file with the mesh's key, in libp2p's swarm-key format.
    pub fn mesh_key(&self) -> PathBuf {
        self.root.join("mesh.key")
    }

    /// Returns the settings file.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("config.toml")
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Creates a folder of the user's own; one that exists keeps its mode.
fn create_private(path: &Path) -> Result<(), ConfigError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| ConfigError::Io {
        action: "cannot create",
        path: path.display().to_string(),
        source,
        remedy: "Set ECORELAY_DATA_DIR to a folder you can write.",
    })
}
