//! The other side of the socket, for commands that run inside an assistant: finds the channel
//! of the session they are in, attaches to it and takes texts. Blocking, so that a hook that
//! finds nothing is done in a few milliseconds. What takes texts for hours speaks the same lines
//! without it, at one of [`sockets_inside`].

use super::place::{self, FOLDER};
use super::protocol::{Attach, FromAttacher, FromChannel, Lines};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest chain of parents that is followed.
const ANCESTORS: usize = 64;
/// How far above this process the one that started it stands: a shell may be between them.
const STARTERS: usize = 2;
/// How long a channel may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What came of the wish to attach.
#[derive(Debug)]
pub enum Answer {
    /// The channel takes it.
    Attached(Attached),
    /// The channel does not want it, and says why.
    Refused(String),
    /// There is no channel that answers.
    Nobody,
}

/// A connection to a channel.
#[derive(Debug)]
pub struct Attached {
    stream: UnixStream,
    lines: Lines,
    /// The peer's name.
    pub name: String,
    /// The assistant's own id of the session, where the channel knows it.
    pub session: Option<String>,
}

impl Attached {
    /// Attaches to the channel of the session that this process is in: one that an ancestor of
    /// this process has started. `None` where there is none that takes it.
    pub fn here(data_dir: &Path, attach: &Attach) -> Option<Self> {
        let entries = place::entries(&data_dir.join(FOLDER));
        if entries.is_empty() {
            return None;
        }
        for ancestor in ancestors() {
            let mut its = entries.iter().filter(|entry| entry.client == ancestor);
            if let Some(attached) = its.find_map(|entry| Self::at(&entry.socket, attach)) {
                return Some(attached);
            }
        }
        None
    }

    /// Attaches to the channel of the session that has started this process, and to no other:
    /// a session may run inside another one, whose channel is there long before its own.
    pub fn of_starter(data_dir: &Path, attach: &Attach) -> Answer {
        let entries = place::entries(&data_dir.join(FOLDER));
        for starter in ancestors().take(STARTERS) {
            for entry in entries.iter().filter(|entry| entry.client == starter) {
                match Self::ask(&entry.socket, attach) {
                    Answer::Nobody => {}
                    answer => return answer,
                }
            }
        }
        Answer::Nobody
    }

    /// Attaches to the channel on this machine that serves the peer which `attach` names.
    pub fn named(data_dir: &Path, attach: &Attach) -> Option<Self> {
        let entries = place::entries(&data_dir.join(FOLDER));
        entries
            .iter()
            .find_map(|entry| Self::at(&entry.socket, attach))
    }

    /// Attaches to the channel at a socket.
    pub fn at(socket: &Path, attach: &Attach) -> Option<Self> {
        match Self::ask(socket, attach) {
            Answer::Attached(attached) => Some(attached),
            Answer::Refused(_) | Answer::Nobody => None,
        }
    }

    /// Asks the channel at a socket.
    fn ask(socket: &Path, attach: &Attach) -> Answer {
        let Ok(stream) = UnixStream::connect(socket) else {
            return Answer::Nobody;
        };
        let mut attached = Self {
            stream,
            lines: Lines::of_channel(),
            name: String::new(),
            session: None,
        };
        if attached.say(&FromAttacher::Attach(attach.clone())).is_err() {
            return Answer::Nobody;
        }
        match attached.next(ANSWER_WITHIN) {
            Ok(Some(FromChannel::Attached { name, session })) => {
                attached.name = name;
                attached.session = session;
                Answer::Attached(attached)
            }
            Ok(Some(FromChannel::Refused { message })) => Answer::Refused(message),
            _ => Answer::Nobody,
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// When the channel is gone, or reads nothing.
    pub fn say(&mut self, line: &FromAttacher) -> io::Result<()> {
        self.stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        self.stream.write_all(&line.encode())
    }

    /// Returns the next line of the channel; `None` when there was none in time.
    ///
    /// # Errors
    /// When the channel is gone, or says what cannot be read.
    pub fn next(&mut self, within: Duration) -> io::Result<Option<FromChannel>> {
        let end = Instant::now() + within;
        let mut bytes = [0; 16 * 1024];
        loop {
            if let Some(line) = self.lines.cut() {
                let line = FromChannel::read(&line);
                return line.map(Some).ok_or(io::ErrorKind::InvalidData.into());
            }
            if self.lines.is_too_long() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.lines.buffer().extend_from_slice(&bytes[..count]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

/// Returns the sockets of the channels that the process `child`, or one that comes from it, has
/// started: for what stands around an assistant.
pub fn sockets_inside(data_dir: &Path, child: u32) -> Vec<PathBuf> {
    let entries = place::entries(&data_dir.join(FOLDER)).into_iter();
    let inside = entries.filter(|entry| chain(entry.client).any(|pid| pid == child));
    inside.map(|entry| entry.socket).collect()
}

/// Returns the processes that this one descends from, the nearest first.
fn ancestors() -> impl Iterator<Item = u32> {
    chain(std::os::unix::process::parent_id())
}

/// Returns a process and those that it descends from.
fn chain(pid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(pid), |pid| parent(*pid))
        .take_while(|pid| *pid > 0)
        .take(ANCESTORS)
}

/// Returns the parent of a process.
#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parent_in(&stat)
}

/// Returns the parent of a process.
#[cfg(not(target_os = "linux"))]
fn parent(pid: u32) -> Option<u32> {
    let output = std::process::Command::new("ps")
        .args(["-o", "ppid=", "-p", &pid.to_string()])
        .stdin(std::process::Stdio::null())
        .output();
    String::from_utf8(output.ok()?.stdout)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Returns the parent in the text of `/proc/<pid>/stat`: behind the program's name, which may
/// hold anything, and the state.
#[cfg(target_os = "linux")]
fn parent_in(stat: &[u8]) -> Option<u32> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_parent_stands_behind_a_name_that_may_hold_anything() {
        assert_eq!(parent_in(b"7 (a) b) 1 (x) R 41 7 7 0"), Some(41));
        for stat in [
            &b""[..],
            b"7 (sh",
            b"7 (sh) R",
            b"7 (sh) R x",
            b"7 (sh) \xff 1",
        ] {
            assert_eq!(parent_in(stat), None);
        }
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        assert_eq!(
            chain(std::process::id()).nth(1),
            Some(std::os::unix::process::parent_id())
        );
        assert!(ancestors().count() < ANCESTORS);
    }
}
