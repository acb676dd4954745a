//! The tie to the EcoRelay channel that the program has started: JSON lines over a local Unix
//! socket, as every program does that brings a channel's messages into its session.

use super::processes;
use ecorelay_config::DataDir;
use ecorelay_protocol::{PushResult, visible};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// Longest line of a channel, in bytes: a text is well under 64 KiB.
const LINE_BYTES: usize = 1024 * 1024;
/// Texts that may wait; a channel hands out one at a time.
const WAITING: usize = 16;
/// How long a channel may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The version of the lines.
const VERSION: u64 = 1;

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

/// A line of a channel.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Attached,
    Refused,
    Push {
        id: u64,
        text: String,
    },
    #[serde(other)]
    Other,
}

/// A channel that hands its messages to this process.
#[derive(Debug)]
pub(crate) struct Attached {
    stream: stream::Stream,
    bytes: Vec<u8>,
    waiting: VecDeque<(u64, String)>,
}

impl Attached {
    /// Looks for the program's channel and attaches to it.
    pub(crate) async fn find(wanted: &Wanted) -> Option<Self> {
        for path in sockets(wanted) {
            let attach = json!({
                "type": "attach", "version": VERSION, "kind": "terminal", "agent": wanted.agent,
                "session": null, "name": wanted.name, "program_version": null,
            });
            let tried = tokio::time::timeout(ANSWER_WITHIN, Self::attach(&path, &attach)).await;
            if let Ok(Some(attached)) = tried {
                return Some(attached);
            }
        }
        None
    }

    async fn attach(path: &std::path::Path, attach: &Value) -> Option<Self> {
        let mut attached = Self {
            stream: stream::connect(path).await?,
            bytes: Vec::new(),
            waiting: VecDeque::new(),
        };
        attached.write(attach).await?;
        match attached.line().await? {
            Line::Attached => Some(attached),
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
        if let Line::Push { id, text } = line {
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
        let line = json!({
            "type": "pushed", "id": id, "result": result.as_str(),
            "detail": visible(&detail.unwrap_or_default()),
        });
        // A channel that is gone is noticed by the next read.
        let _ = self.write(&line).await;
    }

    /// Tells what the program does.
    pub(crate) async fn state(&mut self, state: &str) {
        let _ = self.write(&json!({"type": "state", "state": state})).await;
    }

    /// Tells the name that the session had before its channel was there.
    pub(crate) async fn call_me(&mut self, name: &str) {
        let line = json!({"type": "session", "session": null, "name": name});
        let _ = self.write(&line).await;
    }

    async fn write(&mut self, line: &Value) -> Option<()> {
        let write = self.stream.write(format!("{line}\n").into_bytes());
        tokio::time::timeout(ANSWER_WITHIN, write).await.ok()?
    }

    /// Returns the next line that can be read; nothing when the channel is gone, or says
    /// something of endless length.
    async fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(end) = self.bytes.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap_or(Line::Other));
            }
            if self.bytes.len() > LINE_BYTES {
                return None;
            }
            self.stream.read(&mut self.bytes).await?;
        }
    }
}

/// Returns the sockets of the channels that the program or one of its processes has started.
fn sockets(wanted: &Wanted) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir(wanted.dir.root().join("push")) else {
        return Vec::new();
    };
    let paths = folder.flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let (client, _) = name.strip_suffix(".sock")?.split_once('-')?;
        let client = client.parse().ok()?;
        processes::comes_from(client, wanted.program).then_some(())
    };
    paths.filter(|path| ours(path).is_some()).collect()
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
