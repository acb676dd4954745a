//! The socket on which `status` asks: private, and one answer per connection.

use crate::error::ServerError;
use crate::event_loop::Command;
use crate::snapshot::Snapshot;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const ANSWER: u64 = 64 * 1024;

/// Asks the event loop how things are.
pub(crate) async fn snapshot(commands: &mpsc::Sender<Command>) -> Option<Snapshot> {
    let (reply, answer) = oneshot::channel();
    commands.send(Command::Snapshot(reply)).await.ok()?;
    answer.await.ok()
}

/// Opens the socket and answers in a task until it is aborted.
#[cfg(unix)]
pub(crate) fn open(
    path: &Path,
    commands: mpsc::Sender<Command>,
) -> Result<tokio::task::JoinHandle<()>, ServerError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |source| ServerError::Open {
        place: path.display().to_string(),
        source,
    };
    // Of a server that was killed. One that runs has the port, so that this one would not be here.
    let _ = std::fs::remove_file(path);
    let listener = tokio::net::UnixListener::bind(path).map_err(failed)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).map_err(failed)?;
    Ok(tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = listener.accept().await else {
                // Out of file descriptors, most likely.
                tokio::time::sleep(PATIENCE).await;
                continue;
            };
            // One at a time: only the operator asks.
            let _ = timeout(PATIENCE, async {
                let snapshot = snapshot(&commands).await?;
                let text = serde_json::to_vec(&snapshot).ok()?;
                socket.write_all(&text).await.ok()?;
                socket.shutdown().await.ok()
            })
            .await;
        }
    }))
}

/// Asks the server whose socket this is.
///
/// # Errors
/// When no server runs there, or it does not answer.
#[cfg(unix)]
pub async fn ask(path: &Path) -> io::Result<Snapshot> {
    let asked = async {
        let socket = tokio::net::UnixStream::connect(path).await?;
        let mut text = Vec::new();
        socket.take(ANSWER).read_to_end(&mut text).await?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    };
    timeout(PATIENCE, asked).await?
}
