//! The floors that need another process: this program again, in a hidden role.
//!
//! [`Relay`] passes what one client writes on to others, with nothing between its reads and its
//! writes: what any hub needs at the least. One that keeps a journal then syncs what it passed on
//! and only then answers the source: the least for a hub that promises to lose nothing.
//! [`answerer`] is a process that answers one line.

use super::Outcome;
use super::client::Client;
use super::disk::{self, Journal};
use std::io::{BufRead, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RELAY: &str = "--floor-relay";
const ANSWER: &str = "--floor-answer";

/// Plays the hidden role that the arguments name, if they do.
pub(crate) fn role(arguments: &[String]) -> Option<ExitCode> {
    let played = match arguments {
        [role, socket, sinks] if role == RELAY => relay(Path::new(socket), sinks, None),
        [role, socket, sinks, folder] if role == RELAY => {
            relay(Path::new(socket), sinks, Some(Path::new(folder)))
        }
        [role] if role == ANSWER => answer(),
        _ => return None,
    };
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Accepts the source, then the sinks; passes on until the source closes.
fn relay(socket: &Path, sinks: &str, keeps_in: Option<&Path>) -> Outcome<()> {
    let mut journal = keeps_in.map(Journal::create_in).transpose()?;
    let listener = UnixListener::bind(socket)?;
    let (mut source, _) = listener.accept()?;
    let sinks: usize = sinks.parse()?;
    let mut sinks = (0..sinks)
        .map(|_| Ok(listener.accept()?.0))
        .collect::<Outcome<Vec<_>>>()?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        if sinks.is_empty() {
            source.write_all(&buffer[..n])?;
        }
        for sink in &mut sinks {
            sink.write_all(&buffer[..n])?;
        }
        if let Some(journal) = &mut journal {
            journal.append(&buffer[..n])?;
            source.write_all(b"kept\n")?;
        }
    }
}

/// Answers one line and stays until its input ends.
fn answer() -> Outcome<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    println!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{}}}}");
    std::io::stdin().lock().read_to_string(&mut line)?;
    Ok(())
}

/// Returns the command that starts a process that answers one line.
pub(crate) fn answerer() -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ANSWER);
    Ok(command)
}

/// A running relay with its clients.
#[derive(Debug)]
pub(crate) struct Relay {
    child: Child,
    pub(crate) source: Client,
    pub(crate) sinks: Vec<Client>,
    _folder: TempDir,
    _journal: Option<TempDir>,
}

impl Relay {
    /// Starts a relay to this many sinks; without any it answers its source.
    pub(crate) fn start(sinks: usize) -> Outcome<Self> {
        Self::spawn(sinks, None)
    }

    /// Starts a relay to one sink that keeps a journal.
    pub(crate) fn start_keeping() -> Outcome<Self> {
        Self::spawn(1, Some(disk::folder()?))
    }

    fn spawn(sinks: usize, journal: Option<TempDir>) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let socket = folder.path().join("relay.sock");
        let mut child = Command::new(std::env::current_exe()?)
            .args([RELAY.as_ref(), socket.as_os_str()])
            .arg(sinks.to_string())
            .args(journal.as_ref().map(TempDir::path))
            .stdin(Stdio::null())
            .spawn()?;
        let connected = connect(&socket, &mut child, sinks);
        let (source, sinks) = connected.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self {
            child,
            source,
            sinks,
            _folder: folder,
            _journal: journal,
        })
    }

    /// Sends a line through and returns the time until the last sink has it.
    pub(crate) fn pass(&mut self, line: &str) -> Outcome<Duration> {
        let began = Instant::now();
        self.source.write(line)?;
        if self.sinks.is_empty() {
            self.source.read()?;
        }
        for sink in &mut self.sinks {
            sink.read()?;
        }
        Ok(began.elapsed())
    }

    /// Sends a line through a relay that keeps a journal; returns the times until the sink has
    /// it and until the source knows that it is on the disk.
    pub(crate) fn keep(&mut self, line: &str) -> Outcome<(Duration, Duration)> {
        let began = Instant::now();
        let passed = self.pass(line)?;
        self.source.read()?;
        Ok((passed, began.elapsed()))
    }
}

fn connect(socket: &Path, child: &mut Child, sinks: usize) -> Outcome<(Client, Vec<Client>)> {
    let gone = || match child.try_wait() {
        Ok(None) => None,
        ended => Some(format!("the relay ended: {ended:?}")),
    };
    let source = Client::connect_when_there(socket, gone)?;
    let sinks = (0..sinks).map(|_| Client::connect(socket));
    Ok((source, sinks.collect::<Outcome<_>>()?))
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
