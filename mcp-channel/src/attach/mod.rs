//! The socket at which whatever gets messages into the live session meets the channel: a plugin
//! in the assistant's process, a hook, a command that waits, a terminal wrapper.
//!
//! A channel listens on `push/<client pid>-<channel pid>.sock` in the data directory, so that
//! who attaches finds it by the process that it lives in. Types to know: [`Attach`],
//! [`FromAttacher`] and [`FromChannel`] (the lines, which [`Lines`] cuts), [`client`] (the other side,
//! for commands).

#[cfg(unix)]
pub mod client;
#[cfg(unix)]
mod connection;
#[cfg(unix)]
mod place;
pub(crate) mod protocol;

pub use protocol::{Attach, FromAttacher, FromChannel, Kind, Lines, State, VERSION};

use crate::sessions::Sessions;
use ecorelay_config::DataDir;
use std::sync::Arc;

/// Lets others attach, for as long as the process lives; without a data directory, or where no
/// socket can be made, nobody can.
#[cfg(unix)]
pub(crate) async fn listen(dir: Option<DataDir>, client: u32, sessions: Arc<Sessions>) {
    use std::io::Write as _;
    let bound = match &dir {
        Some(dir) => place::Place::bind(dir.root(), client),
        None => return std::future::pending().await,
    };
    match bound {
        Ok((listener, place)) => {
            accept(&listener, &sessions).await;
            drop(place);
        }
        Err(why) => {
            // Without a standard error nobody listens.
            let _ = writeln!(
                std::io::stderr(),
                "ecorelay mcp: plugins and hooks cannot attach: {why}"
            );
        }
    }
    std::future::pending().await
}

/// Returns how many channels a client has started, this process among them.
#[cfg(unix)]
pub(crate) fn channels_of(dir: &DataDir, client: u32) -> usize {
    let all = place::entries(&dir.root().join(place::FOLDER));
    all.iter().filter(|entry| entry.client == client).count()
}

/// Returns whether this process is a channel that `client` has started, and is there.
#[cfg(unix)]
pub(crate) fn is_channel_of(dir: &DataDir, client: u32, channel: u32) -> bool {
    let mut all = place::entries(&dir.root().join(place::FOLDER)).into_iter();
    all.any(|entry| (entry.client, entry.channel) == (client, channel) && !entry.is_dead())
}

/// Returns the sockets of the other channels that a client has started.
#[cfg(unix)]
pub(crate) fn others_of(dir: &DataDir, client: u32) -> Vec<std::path::PathBuf> {
    let all = place::entries(&dir.root().join(place::FOLDER)).into_iter();
    let others = all.filter(|entry| entry.client == client && entry.channel != std::process::id());
    others.map(|entry| entry.socket).collect()
}

/// Nothing tells on this platform.
#[cfg(not(unix))]
pub(crate) fn is_channel_of(_dir: &DataDir, _client: u32, _channel: u32) -> bool {
    false
}

/// Nothing tells on this platform.
#[cfg(not(unix))]
pub(crate) fn channels_of(_dir: &DataDir, _client: u32) -> usize {
    0
}

/// There is no such socket on this platform.
#[cfg(not(unix))]
pub(crate) async fn listen(_dir: Option<DataDir>, _client: u32, _sessions: Arc<Sessions>) {
    std::future::pending().await
}

/// Returns where a channel's socket is, if the path is short enough.
#[cfg(all(test, unix))]
pub(crate) fn place_of(
    data_dir: &std::path::Path,
    client: u32,
    channel: u32,
) -> std::path::PathBuf {
    let name = format!("{client}-{channel}.{}", place::SOCKET);
    data_dir.join(place::FOLDER).join(name)
}

#[cfg(unix)]
async fn accept(listener: &tokio::net::UnixListener, sessions: &Arc<Sessions>) {
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    /// Connections at a time; a session has one plugin and now and then a hook.
    const CONNECTIONS: usize = 80;
    /// Pause after an accept that failed: no more files, most likely.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut last_id = 0;
    loop {
        // Taken before the connection is: who finds no place waits in the system's queue.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if !is_same_user(&stream) {
            continue;
        }
        last_id += 1;
        let sessions = sessions.clone();
        connections.spawn(async move {
            connection::serve(stream, last_id, sessions).await;
            drop(place);
        });
    }
}

/// Returns whether the process at the other end belongs to this user.
#[cfg(unix)]
fn is_same_user(stream: &tokio::net::UnixStream) -> bool {
    let own = crate::platform::user_id();
    stream.peer_cred().is_ok_and(|other| other.uid() == own)
}
