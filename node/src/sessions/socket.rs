//! The local socket: a Unix socket, or a named pipe on Windows. Only processes of the same user
//! are let in.

use super::{AcceptFailures, Door, connection};
use crate::platform::{self, FileId};
use ecorelay_hub::Origin;
use ecorelay_protocol::{ErrorCode, HubLine};
use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// How often to look whether the socket's file is still there: programs that clean up old
/// files take it away, and then nobody finds the hub any more.
const LOOK: Duration = Duration::from_secs(10);
/// How long a client that is turned away has to take its one line.
const TURN_AWAY: Duration = Duration::from_millis(50);

/// The bound socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct SocketListener {
    listener: Listener,
    path: PathBuf,
    /// Which file it is, so that the socket of a later hub is left alone.
    file: Option<FileId>,
}

impl SocketListener {
    /// Binds the socket; what a dead hub left at its place is removed. The caller holds the
    /// hub's lock.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self {
            listener: listen(path)?,
            path: path.to_owned(),
            file: platform::file_id(path).ok(),
        })
    }

    /// Lets clients in, for ever.
    pub(crate) async fn run(mut self, door: Door) {
        let (mut told, mut failures) = (false, AcceptFailures::default());
        loop {
            match timeout(LOOK, self.listener.accept()).await {
                Err(_) => self.look(),
                Ok(Err(error)) => failures.note(&error).await,
                Ok(Ok(stream)) if !platform::is_same_user(&stream) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("another user tried to connect and was turned away");
                    }
                }
                Ok(Ok(stream)) => self.let_in(stream, &door).await,
            }
        }
    }

    async fn let_in(&self, stream: Stream, door: &Door) {
        let Some(place) = door.enter() else {
            let line = HubLine::Err {
                code: ErrorCode::RateLimited,
                message: "The hub has too many connections. Close some sessions.".into(),
                req_id: None,
                ask_id: None,
            };
            let _ = timeout(TURN_AWAY, (&stream).write_all(&line.encode())).await;
            return;
        };
        let hub = door.hub.clone();
        tokio::spawn(async move {
            connection::serve(&stream, &stream, Origin::Socket, &hub).await;
            drop(place);
        });
    }

    /// Binds again where the socket's file has gone.
    fn look(&mut self) {
        if cfg!(unix) && !self.path.exists() {
            match listen(&self.path) {
                Ok(listener) => {
                    tracing::warn!("the socket's file was gone; it was made again");
                    self.listener = listener;
                    self.file = platform::file_id(&self.path).ok();
                }
                Err(error) => tracing::error!(%error, "the socket's file cannot be made again"),
            }
        }
    }
}

fn listen(path: &Path) -> io::Result<Listener> {
    platform::remove_stale_socket(path)?;
    let listener = ListenerOptions::new()
        .name(platform::socket_name(path)?)
        .reclaim_name(false)
        .create_tokio()?;
    platform::restrict_file(path);
    Ok(listener)
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        if platform::file_id(&self.path).ok() != self.file {
            return;
        }
        if let Err(error) = platform::remove_stale_socket(&self.path) {
            tracing::warn!(%error, "the socket's file stays");
        }
    }
}
