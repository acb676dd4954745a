//! The inbox socket of a Claude Code session: a connection per text, without an answer.

use super::{About, Verdict};
use ecorelay_adapters::Parcel;
use ecorelay_adapters::claude_code::{SessionFile, inbox_lines};
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// How long one write may take. The sender's hub waits 400 ms for a confirmation.
const WITHIN: Duration = Duration::from_millis(300);
/// Why nothing is tried.
const UNKNOWN: &str = "no inbox socket is known";

/// The socket, where it was last found.
#[derive(Debug)]
pub(crate) struct InboxSocket {
    about: About,
    socket: Option<PathBuf>,
}

impl InboxSocket {
    pub(crate) fn new(about: About) -> Self {
        let socket = about.around.inbox_socket.clone();
        Self { about, socket }
    }

    /// Returns why it cannot be tried.
    pub(crate) fn hindrance(&self) -> Option<String> {
        let known =
            self.socket.is_some() || SessionFile::read(&self.about.around).inbox_socket.is_some();
        (!known).then(|| UNKNOWN.to_owned())
    }

    /// Writes a text; on failure once more to where the session file says the socket is now.
    pub(crate) async fn deliver(&mut self, parcel: &Parcel) -> Verdict {
        let around = &self.about.around;
        let lines = inbox_lines(around.inbox_token.as_deref(), &parcel.text);
        let first = match &self.socket {
            Some(path) => write(path, &lines).await,
            None => Err(UNKNOWN.into()),
        };
        let Err(why) = first else {
            return Verdict::handed();
        };
        let Some(path) = SessionFile::read(around).inbox_socket else {
            return Verdict::refused(why);
        };
        match write(&path, &lines).await {
            Ok(()) => {
                self.socket = Some(path);
                Verdict::handed()
            }
            Err(why) => Verdict::refused(why),
        }
    }
}

async fn write(path: &Path, lines: &[u8]) -> Result<(), String> {
    let write = async {
        let name = path.to_fs_name::<GenericFilePath>()?;
        let mut stream = interprocess::local_socket::tokio::Stream::connect(name).await?;
        stream.write_all(lines).await
    };
    match timeout(WITHIN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the session's inbox socket: {error}")),
        Err(_) => Err("the session's inbox socket takes nothing at the moment".into()),
    }
}
