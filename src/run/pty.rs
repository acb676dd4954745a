//! The program in a terminal of its own (a PTY): what it shows goes to the person's terminal at
//! once, and a copy to whoever reads along.

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use tokio::sync::{mpsc, oneshot};

/// One read of the program's output, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// Pieces of output that may wait to be looked at; then the program has to wait, as it would
/// for a slow terminal.
const PIECES: usize = 64;
/// Writes that may wait for a program that does not read: the person's keys, and one text.
const WRITES: usize = 256;

/// Columns and rows.
pub(crate) type Size = (NonZeroU16, NonZeroU16);

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables it gets beside those of this process.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// A program that runs.
pub(crate) struct Pty {
    master: Box<dyn MasterPty + Send>,
    input: mpsc::Sender<Vec<u8>>,
    /// Its process id.
    pub(crate) pid: u32,
}

/// What comes of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it shows; ends when nobody has the terminal open any more.
    pub(crate) output: mpsc::Receiver<Vec<u8>>,
    /// What the shell is told when it has ended.
    pub(crate) ended: oneshot::Receiver<u8>,
}

/// Returns a size of the terminal as the PTY wants it.
fn pty_size((columns, rows): Size) -> PtySize {
    PtySize {
        rows: rows.get(),
        cols: columns.get(),
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// Starts a program in a terminal of this size (columns and rows); its output goes to `screen`.
///
/// # Errors
/// Why it cannot be started, as a sentence without its full stop.
pub(crate) fn start(
    program: Program,
    size: Size,
    mut screen: impl std::io::Write + Send + 'static,
) -> Result<(Pty, Outcome), String> {
    let pair = native_pty_system()
        .openpty(pty_size(size))
        .map_err(|error| format!("There is no terminal for it: {error}"))?;
    let mut command = CommandBuilder::from_argv(program.command);
    for (name, value) in program.variables {
        command.env(name, value);
    }
    if let Ok(folder) = std::env::current_dir() {
        command.cwd(folder);
    }
    let mut child = pair
        .slave
        .spawn_command(command)
        .map_err(|error| error.to_string())?;
    // Held by the program alone: its end is the end of the output.
    drop(pair.slave);
    let pid = child.process_id().unwrap_or_default();
    let cannot = |error: &dyn std::fmt::Display| format!("Its terminal cannot be used: {error}");
    let mut reader = pair.master.try_clone_reader().map_err(|e| cannot(&e))?;
    let mut writer = pair.master.take_writer().map_err(|e| cannot(&e))?;

    let (pieces, output) = mpsc::channel(PIECES);
    thread("output", move || {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = match reader.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            // A person's terminal that is gone ends the program by a signal, not here.
            let _ = screen.write_all(&bytes[..count]);
            let _ = screen.flush();
            if pieces.blocking_send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    })?;
    let (input, mut writes) = mpsc::channel::<Vec<u8>>(WRITES);
    thread("input", move || {
        while let Some(bytes) = writes.blocking_recv() {
            if writer
                .write_all(&bytes)
                .and_then(|()| writer.flush())
                .is_err()
            {
                return;
            }
        }
    })?;
    let (end, ended) = oneshot::channel();
    thread("wait", move || {
        // Nobody waits any more when this process ends first.
        let _ = end.send(exit_code(&mut *child));
    })?;
    let pty = Pty {
        master: pair.master,
        input,
        pid,
    };
    Ok((pty, Outcome { output, ended }))
}

impl Pty {
    /// Writes to the program, as its keyboard.
    pub(crate) async fn write(&self, bytes: Vec<u8>) {
        // A program that has ended reads nothing any more.
        let _ = self.input.send(bytes).await;
    }

    /// Returns whether so much waits already that a program seems not to read at all.
    pub(crate) fn is_full(&self) -> bool {
        self.input.capacity() == 0
    }

    /// Tells the program the terminal's size.
    pub(crate) fn resize(&self, size: Size) {
        // It keeps the old one.
        let _ = self.master.resize(pty_size(size));
    }

    /// Returns the name of another program that has the terminal now, started by this one,
    /// where the system tells.
    pub(crate) fn other_in_front(&self) -> Option<String> {
        #[cfg(unix)]
        {
            let leader = u32::try_from(self.master.process_group_leader()?).ok()?;
            let other = leader != self.pid;
            other.then(|| super::processes::name(leader)).flatten()
        }
        #[cfg(not(unix))]
        None
    }
}

/// Waits for the program and returns its exit code; after a signal 128 and the signal's number,
/// as shells say it.
fn exit_code(child: &mut dyn portable_pty::Child) -> u8 {
    #[cfg(unix)]
    if let Some(child) = child.downcast_mut::<std::process::Child>() {
        use std::os::unix::process::ExitStatusExt as _;
        return match child.wait() {
            Ok(status) => {
                let signal = status.signal().map(|signal| 128 + signal);
                let code = status.code().or(signal);
                code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
            }
            Err(_) => 1,
        };
    }
    match child.wait() {
        Ok(status) => u8::try_from(status.exit_code()).unwrap_or(1),
        Err(_) => 1,
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let builder = std::thread::Builder::new().name(format!("run-{name}"));
    builder
        .spawn(run)
        .map(drop)
        .map_err(|error| format!("There is no thread for it: {error}"))
}
