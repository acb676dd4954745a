//! A channel that takes the place of another: some assistants begin a new session in the same
//! terminal (`/clear`) and start a channel for it before they end the one there was. To others
//! it is the same peer, so the new channel waits for the end of the old one and takes its name.

use ecorelay_config::DataDir;
#[cfg(unix)]
use std::time::Duration;

/// How long the end of the other channel is waited for. Measured with Copilot CLI on an idle
/// machine: 0.4 s. One that lives on is another session of the same program.
#[cfg(unix)]
const WITHIN: Duration = Duration::from_secs(5);
/// Channels of one program that are waited for.
#[cfg(unix)]
const CHANNELS: usize = 8;

/// Returns the name of the channel that ends in time, of those that `client` has started before
/// this one; nothing where none does.
#[cfg(unix)]
pub(crate) async fn predecessor(dir: &DataDir, client: u32) -> Option<String> {
    use crate::attach::others_of;
    use tokio::task::JoinSet;

    let mut ends = JoinSet::new();
    for socket in others_of(dir, client).into_iter().take(CHANNELS) {
        // Blocking, and with a deadline of its own.
        ends.spawn_blocking(move || end_of(&socket));
    }
    while let Some(end) = ends.join_next().await {
        if let Ok(Some(name)) = end {
            return Some(name);
        }
    }
    None
}

/// Nothing tells on this platform.
#[cfg(not(unix))]
pub(crate) async fn predecessor(_dir: &DataDir, _client: u32) -> Option<String> {
    None
}

/// Waits for the end of the channel at a socket; returns its name if it ends in time.
#[cfg(unix)]
fn end_of(socket: &std::path::Path) -> Option<String> {
    use crate::attach::client::Attached;
    use crate::attach::{Attach, Kind, VERSION};

    let asks = Attach {
        version: VERSION,
        // Takes nothing as long as it does not ask.
        kind: Kind::Hook,
        agent: None,
        session: None,
        name: None,
        program_version: None,
    };
    let mut other = Attached::at(socket, &asks)?;
    // Who asks for nothing hears nothing but the end.
    let end = other.next(WITHIN);
    end.is_err().then_some(other.name)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::attach::place_of;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;

    /// A channel of another process, as far as who attaches sees it.
    fn channel(
        root: &Path,
        client: u32,
        process: u32,
        name: &str,
    ) -> std::thread::JoinHandle<UnixStream> {
        let socket = place_of(root, client, process);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let attached = format!("{{\"type\":\"attached\",\"name\":\"{name}\",\"session\":null}}\n");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert!(line.contains("\"hook\""), "{line}");
            stream.write_all(attached.as_bytes()).unwrap();
            stream
        })
    }

    #[tokio::test]
    async fn the_name_of_the_channel_that_ends_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let lives = channel(root.path(), 41, 1, "web-2");
        let ends = channel(root.path(), 41, 2, "web");
        let _of_another = place_of(root.path(), 42, 3);
        let dir = DataDir::at(root.path());
        let name = tokio::spawn(async move { predecessor(&dir, 41).await });
        let lives = tokio::task::spawn_blocking(|| lives.join().unwrap())
            .await
            .unwrap();
        let ends = tokio::task::spawn_blocking(|| ends.join().unwrap())
            .await
            .unwrap();
        drop(ends);
        assert_eq!(name.await.unwrap().as_deref(), Some("web"));
        drop(lives);
    }

    #[tokio::test]
    async fn where_there_is_no_other_channel_nothing_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::at(root.path());
        assert_eq!(predecessor(&dir, 41).await, None);
    }
}
