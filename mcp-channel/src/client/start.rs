//! Starting a hub where there is none, so that many clients at the same instant end on one.
//!
//! Only the holder of a file lock starts a hub, and looks once more before it does. The hub is
//! a process of its own: it does not end with the client that started it.

use super::connect::{ConnectError, HubStream, connect};
use super::error::ClientError;
use crate::platform;
use ecorelay_config::DataDir;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long a start may take, waiting for another client's start included.
const START_WITHIN: Duration = Duration::from_secs(10);
/// First and longest pause between two looks.
const LOOK_FIRST: Duration = Duration::from_millis(3);
const LOOK_LONGEST: Duration = Duration::from_millis(100);
/// Last words of a hub that could not start, in bytes.
const LAST_WORDS: u64 = 2_000;

/// The variables a hub may inherit. It lives longer than the session that started it, so the
/// session's own (keys, tokens) are none of its business.
const INHERITED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "HOSTNAME",
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    // Windows
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "USERPROFILE",
    "USERNAME",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "TEMP",
    "TMP",
    "COMSPEC",
    "PATHEXT",
    "COMPUTERNAME",
];
const INHERITED_PREFIXES: &[&str] = &["LC_", "ECORELAY_"];

/// How a hub is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartHub {
    /// The program; this one by default.
    pub program: PathBuf,
    /// Its arguments; `node run --auto` by default.
    pub args: Vec<OsString>,
}

impl Default for StartHub {
    fn default() -> Self {
        Self {
            // Without a path of our own, the name: a start that fails says why.
            program: std::env::current_exe().unwrap_or_else(|_| "ecorelay".into()),
            args: ["node", "run", "--auto"].map(OsString::from).to_vec(),
        }
    }
}

/// Returns a connection to the hub of this data directory, starting one where none runs.
///
/// # Errors
/// [`ClientError::HubCannotStart`] with the hub's last words when it ends instead of answering;
/// [`ClientError::HubUnreachable`] when nothing answers within ten seconds.
pub async fn ensure_hub(dir: &DataDir, how: &StartHub) -> Result<HubStream, ClientError> {
    match connect(dir).await {
        Ok(stream) => return Ok(stream),
        Err(error) if !error.may_pass() => return Err(cannot(&error)),
        Err(_) => {}
    }
    dir.create().map_err(|error| cannot(&error))?;
    let deadline = Instant::now() + START_WITHIN;
    let lock = match lock_or_connect(dir, deadline).await? {
        Turn::Ours(lock) => lock,
        Turn::HubIsThere(stream) => return Ok(stream),
    };
    let started = start(dir, how, deadline).await;
    drop(lock);
    started
}

/// What waiting for the lock led to.
enum Turn {
    Ours(File),
    HubIsThere(HubStream),
}

/// Waits until this process may start a hub, or another one has.
async fn lock_or_connect(dir: &DataDir, deadline: Instant) -> Result<Turn, ClientError> {
    let path = dir.root().join("hub.start.lock");
    let lock = private_file(&path, false).map_err(|e| cannot_write(&path, &e))?;
    let mut pause = LOOK_FIRST;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Turn::Ours(lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot_write(&path, &error)),
        }
        if let Ok(Ok(stream)) = timeout_at(deadline, connect(dir)).await {
            return Ok(Turn::HubIsThere(stream));
        }
        if Instant::now() >= deadline {
            return Err(ClientError::HubUnreachable(format!(
                "Another program has been starting the hub for {} seconds without success. `ecorelay doctor` finds out why.",
                START_WITHIN.as_secs()
            )));
        }
        rest(&mut pause, deadline).await;
    }
}

/// Starts a hub and waits for its answer. Called by the holder of the lock only.
async fn start(dir: &DataDir, how: &StartHub, deadline: Instant) -> Result<HubStream, ClientError> {
    // Somebody may have started one while this process waited for the lock. Where a hub listens
    // and is silent, a second one leaves with success at once; where something else does, it
    // takes the place.
    let mut last = match connect(dir).await {
        Ok(stream) => return Ok(stream),
        Err(error) if error.may_pass() => error,
        Err(error) => return Err(cannot(&error)),
    };
    let mut child = spawn(dir, how)?;
    let mut pause = LOOK_FIRST;
    loop {
        rest(&mut pause, deadline).await;
        match timeout_at(deadline, connect(dir)).await {
            Ok(Ok(stream)) => {
                reap_in_background(child);
                return Ok(stream);
            }
            Ok(Err(error)) if !error.may_pass() => return Err(cannot(&error)),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
        match child.try_wait() {
            Ok(Some(status)) if !status.success() => {
                return Err(ClientError::HubCannotStart(format!(
                    "The hub could not start ({status}). {}",
                    last_words(&words_file(dir))
                )));
            }
            // It met another hub and left with success. When that one does not listen any more
            // it is about to end, and its place becomes free.
            Ok(Some(_)) if matches!(last, ConnectError::NoHub { .. }) => {
                child = spawn(dir, how)?;
            }
            _ => {}
        }
        if Instant::now() >= deadline {
            reap_in_background(child);
            return Err(ClientError::HubUnreachable(format!(
                "No hub has answered for {} seconds: {last}. `ecorelay doctor` finds out why.",
                START_WITHIN.as_secs()
            )));
        }
    }
}

fn spawn(dir: &DataDir, how: &StartHub) -> Result<Child, ClientError> {
    let words = words_file(dir);
    let stderr = private_file(&words, true).map_err(|e| cannot_write(&words, &e))?;
    let mut command = Command::new(&how.program);
    command
        .args(&how.args)
        .current_dir(dir.root())
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| inherited(&name.to_string_lossy())))
        .env("ECORELAY_DATA_DIR", dir.root())
        .env("RELAY_HUB_SOCKET", dir.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    platform::detach(&mut command);
    command.spawn().map_err(|error| {
        ClientError::HubCannotStart(format!(
            "The hub could not be started: cannot run {}: {error}.",
            how.program.display()
        ))
    })
}

fn inherited(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    INHERITED.contains(&name.as_str()) || INHERITED_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Collects the exit status of a started hub when it comes, so that it does not stay as a
/// zombie for as long as this session lives.
fn reap_in_background(mut child: Child) {
    let reaper = std::thread::Builder::new()
        .name("reap-hub".into())
        .stack_size(64 * 1024);
    // Without a thread to spare, a zombie is the smaller evil.
    drop(reaper.spawn(move || child.wait()));
}

/// Where a starting hub's standard error goes. One file per data directory, emptied at every
/// start, so that it cannot grow.
fn words_file(dir: &DataDir) -> PathBuf {
    dir.root().join("hub.start.err")
}

fn last_words(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LAST_WORDS).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let words = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    match words.trim() {
        "" => "It said nothing; `ecorelay doctor` finds out why.".to_owned(),
        words => ecorelay_protocol::visible(words),
    }
}

fn private_file(path: &Path, truncate: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn rest(pause: &mut Duration, deadline: Instant) {
    tokio::select! {
        () = sleep(*pause) => {}
        () = sleep_until(deadline) => {}
    }
    *pause = (*pause * 2).min(LOOK_LONGEST);
}

fn cannot(error: &dyn std::fmt::Display) -> ClientError {
    let words = error.to_string();
    let words = words.trim_end_matches('.');
    ClientError::HubCannotStart(format!("The hub cannot be reached: {words}."))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::HubCannotStart(format!(
        "The hub cannot be started: cannot write {}: {error}.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_inherits_no_secrets_of_the_session() {
        for name in ["HOME", "LC_ALL", "ECORELAY_WS_PORT", "Path"] {
            assert!(inherited(name), "{name}");
        }
        for name in [
            "ANTHROPIC_API_KEY",
            "CLAUDE_CODE_MESSAGING_TOKEN",
            "RELAY_PEER_ID",
        ] {
            assert!(!inherited(name), "{name}");
        }
    }
}
