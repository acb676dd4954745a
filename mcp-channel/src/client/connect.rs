//! Opening a connection to a hub, and making sure that it is one.

use crate::platform;
use ecorelay_config::DataDir;
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A connection to a hub's local socket.
pub type HubStream = Stream;

/// How long a hub may take to answer the first ping. A busy one needs milliseconds.
const PONG_WITHIN: Duration = Duration::from_secs(2);
/// The question every hub answers, and the answer, exact to the byte.
const PING: &[u8] = b"{\"type\":\"ping\",\"req_id\":\"bootstrap\"}\n";
const PONG: &[u8] = b"{\"type\":\"pong\",\"req_id\":\"bootstrap\"}";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens there.
    #[error("no hub is running (nothing listens on {path})")]
    NoHub {
        /// The socket.
        path: String,
    },
    /// Something listens, but did not answer in time or hung up: a hub that starts, ends or hangs.
    #[error("the hub on {path} does not answer{}", remedy(*.pid))]
    Silent {
        /// The socket.
        path: String,
        /// The process that listens, where the platform tells.
        pid: Option<u32>,
    },
    /// Something else answers.
    #[error(
        "what listens on {path} is not an EcoRelay hub; set RELAY_HUB_SOCKET or ECORELAY_DATA_DIR to another place"
    )]
    NotAHub {
        /// The socket.
        path: String,
    },
    /// The hub belongs to another user.
    #[error(
        "the hub on {path} belongs to another user; set RELAY_HUB_SOCKET or ECORELAY_DATA_DIR to a place of your own"
    )]
    OtherUser {
        /// The socket.
        path: String,
    },
    /// The system refuses the connection.
    #[error("cannot connect to {path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// The socket's path cannot be used.
    #[error("{0}")]
    Path(#[from] ecorelay_config::ConfigError),
}

impl ConnectError {
    /// Returns whether a hub may be reachable here in a moment: one that starts or is started.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::NoHub { .. } | Self::Silent { .. })
    }
}

/// Returns what to do about a hub that does not answer: it cannot be asked to end.
fn remedy(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!(
            ". It is process {pid}: if it stays like this, `kill -9 {pid}` ends it, and the next command starts another. No accepted message is lost by that"
        ),
        None => "; if it stays like this, end its process".to_owned(),
    }
}

/// Returns a connection to the running hub of this data directory; starts nothing.
///
/// # Errors
/// When nothing, or something else than a hub of this user, answers within two seconds.
pub async fn connect(dir: &DataDir) -> Result<HubStream, ConnectError> {
    dir.check_socket_path()?;
    let path = || dir.socket().display().to_string();
    // 0: not known yet.
    let listener = AtomicU32::new(0);
    let silent = || ConnectError::Silent {
        path: path(),
        pid: Some(listener.load(Ordering::Relaxed)).filter(|pid| *pid != 0),
    };
    let shake_hands = async {
        let name = dir
            .socket()
            .to_fs_name::<GenericFilePath>()
            .map_err(|source| ConnectError::Io {
                path: path(),
                source,
            })?;
        let mut stream = Stream::connect(name)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ConnectError::NoHub { path: path() }
                }
                // The hub's queue of new connections is full.
                io::ErrorKind::WouldBlock => silent(),
                _ => ConnectError::Io {
                    path: path(),
                    source,
                },
            })?;
        if !platform::same_user(&stream) {
            return Err(ConnectError::OtherUser { path: path() });
        }
        listener.store(platform::listener(&stream).unwrap_or(0), Ordering::Relaxed);
        // A hub that ends hangs up: that is silence, not another kind of server.
        let hung_up = |_| silent();
        stream.write_all(PING).await.map_err(hung_up)?;
        let mut answer = Vec::with_capacity(64);
        while !answer.contains(&b'\n') && answer.len() <= PONG.len() {
            if stream.read_buf(&mut answer).await.map_err(hung_up)? == 0 {
                return Err(silent());
            }
        }
        match answer.strip_suffix(b"\n") {
            Some(PONG) => Ok(stream),
            _ => Err(ConnectError::NotAHub { path: path() }),
        }
    };
    tokio::time::timeout(PONG_WITHIN, shake_hands)
        .await
        .unwrap_or_else(|_| Err(silent()))
}
