//! The tie to the EcoRelay channel that the program has started: JSON lines over a local Unix
//! socket, as every program does that brings a channel's messages into its session.

use ecorelay_config::DataDir;
use ecorelay_mcp_channel::attach::{
    Attach, FromAttacher, FromChannel, Kind, Lines, State, VERSION,
};
use ecorelay_protocol::{PushResult, visible};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Texts that may wait; a channel hands out one at a time.
const WAITING: usize = 16;
/// How long a channel may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Which channel is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Where channels listen.
    pub(crate) dir: DataDir,
    /// The program; the channel is its own or one of its processes'.
    pub(crate) program: u32,
    /// The program's name.
    pub(crate) agent: String,
    /// The name that the person wants.
    pub(crate) name: Option<String>,
}

/// A channel that hands its messages to this process.
#[derive(Debug)]
pub(crate) struct Attached {
    stream: stream::Stream,
    lines: Lines,
    waiting: VecDeque<(u64, String)>,
}

impl Attached {
    /// Looks for the program's channel and attaches to it.
    pub(crate) async fn find(wanted: &Wanted) -> Option<Self> {
        let attach = FromAttacher::Attach(Attach {
            version: VERSION,
            kind: Kind::Terminal,
            agent: Some(wanted.agent.clone()),
            session: None,
            name: wanted.name.clone(),
            program_version: None,
        });
        for path in sockets(wanted) {
            let tried = tokio::time::timeout(ANSWER_WITHIN, Self::attach(&path, &attach)).await;
            if let Ok(Some(attached)) = tried {
                return Some(attached);
            }
        }
        None
    }

    async fn attach(path: &Path, attach: &FromAttacher) -> Option<Self> {
        let mut attached = Self {
            stream: stream::connect(path).await?,
            lines: Lines::of_channel(),
            waiting: VecDeque::new(),
        };
        attached.write(attach).await?;
        match attached.line().await? {
            Some(FromChannel::Attached { .. }) => Some(attached),
            _ => None,
        }
    }

    /// Returns whether a text waits.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the text that waits longest.
    pub(crate) fn take(&mut self) -> Option<(u64, String)> {
        self.waiting.pop_front()
    }

    /// Reads one line; false when the channel is gone. Safe to give up on and call again.
    pub(crate) async fn read(&mut self) -> bool {
        let Some(line) = self.line().await else {
            return false;
        };
        if let Some(FromChannel::Push { id, text, .. }) = line {
            if self.waiting.len() >= WAITING {
                let why = "too many messages wait for this program".to_owned();
                self.pushed(id, PushResult::Refused, Some(why)).await;
            } else {
                self.waiting.push_back((id, text));
            }
        }
        true
    }

    /// Tells what became of a text.
    pub(crate) async fn pushed(&mut self, id: u64, result: PushResult, detail: Option<String>) {
        let line = FromAttacher::Pushed {
            id,
            result,
            detail: detail.map(|detail| visible(&detail)),
        };
        // A channel that is gone is noticed by the next read.
        let _ = self.write(&line).await;
    }

    /// Tells what the program does.
    pub(crate) async fn state(&mut self, state: State) {
        let _ = self.write(&FromAttacher::State { state }).await;
    }

    /// Tells the name that the session had before its channel was there.
    pub(crate) async fn call_me(&mut self, name: &str) {
        let line = FromAttacher::Session {
            session: None,
            name: Some(name.to_owned()),
        };
        let _ = self.write(&line).await;
    }

    async fn write(&mut self, line: &FromAttacher) -> Option<()> {
        let write = self.stream.write(line.encode());
        tokio::time::timeout(ANSWER_WITHIN, write).await.ok()?
    }

    /// Returns the next line, or nothing in its place where it cannot be understood; nothing at
    /// all when the channel is gone, or says something of endless length.
    async fn line(&mut self) -> Option<Option<FromChannel>> {
        loop {
            if let Some(line) = self.lines.cut() {
                return Some(FromChannel::read(&line));
            }
            if self.lines.is_too_long() {
                return None;
            }
            self.stream.read(self.lines.buffer()).await?;
        }
    }
}

/// Returns the sockets of the channels that the program or one of its processes has started.
#[cfg(unix)]
fn sockets(wanted: &Wanted) -> Vec<PathBuf> {
    ecorelay_mcp_channel::attach::client::sockets_inside(wanted.dir.root(), wanted.program)
}

/// Channels listen on Unix sockets only.
#[cfg(not(unix))]
fn sockets(_wanted: &Wanted) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(unix)]
mod stream {
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    /// One read, in bytes.
    const READ_BYTES: usize = 16 * 1024;

    #[derive(Debug)]
    pub(super) struct Stream(UnixStream);

    pub(super) async fn connect(path: &Path) -> Option<Stream> {
        UnixStream::connect(path).await.ok().map(Stream)
    }

    impl Stream {
        pub(super) async fn read(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
            bytes.reserve(READ_BYTES);
            match self.0.read_buf(bytes).await {
                Ok(count) if count > 0 => Some(()),
                _ => None,
            }
        }

        pub(super) async fn write(&mut self, bytes: Vec<u8>) -> Option<()> {
            self.0.write_all(&bytes).await.ok()
        }
    }
}

/// Channels listen on Unix sockets only.
#[cfg(not(unix))]
mod stream {
    use std::path::Path;

    #[derive(Debug)]
    pub(super) enum Stream {}

    pub(super) async fn connect(_path: &Path) -> Option<Stream> {
        None
    }

    impl Stream {
        pub(super) async fn read(&mut self, _bytes: &mut Vec<u8>) -> Option<()> {
            match *self {}
        }

        pub(super) async fn write(&mut self, _bytes: Vec<u8>) -> Option<()> {
            match *self {}
        }
    }
}
