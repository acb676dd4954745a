//! Running programs under deadlines: to their end ([`run`]), or beside the test ([`Live`]).

use super::DEADLINE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a program that ended has left.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended; `None` in [`ExitStatus::code`] after a signal.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// Returns the exit code.
    pub(crate) fn code(&self) -> i32 {
        match self.status.code() {
            Some(code) => code,
            None => panic!("ended by a signal: {self:?}"),
        }
    }

    /// Returns the one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(e) => panic!("standard output is not one JSON document ({e}): {self:?}"),
        }
    }

    /// Returns itself when the program ended with `code`.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started or does not end before [`DEADLINE`]; it is killed then.
pub(crate) fn run(command: Command) -> Finished {
    run_within(command, DEADLINE)
}

/// As [`run`], with another deadline.
pub(crate) fn run_within(mut command: Command, limit: Duration) -> Finished {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => panic!("cannot start {command:?}: {e}"),
    };
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = match ended_within(&mut child, limit) {
        Some(status) => status,
        None => {
            let _ = child.kill();
            let _ = child.wait();
            // The pipes may still be held by a grandchild: what came so far is not readable.
            panic!("{command:?} did not end within {limit:?}");
        }
    };
    Finished {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

/// Returns how the child ended, or `None` when it still runs after `limit`.
pub(crate) fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    super::found_within(limit, || child.try_wait().expect("wait for a child"))
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// A hub that was started by the program must not hold its pipes, or this would hang.
fn text(reader: JoinHandle<Vec<u8>>) -> String {
    super::wait_until("the end of a program's output", || {
        reader.is_finished().then_some(())
    });
    String::from_utf8(reader.join().expect("collect output")).expect("output is UTF-8")
}

/// A program that runs beside the test: lines go in, lines come out. It is killed when this is
/// dropped.
pub(crate) struct Live {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Live {
    /// Starts it; its standard error goes where the test's goes.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the program");
        let output = BufReader::new(child.stdout.take().expect("its standard output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// Writes one line to its standard input.
    pub(crate) fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open standard input");
        writeln!(input, "{line}").expect("write to the program");
    }

    /// Closes its standard input.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Returns the next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(e) => panic!("no line from the program: {e}"),
        }
    }

    /// Returns the next line of its standard output if it is there already.
    pub(crate) fn try_line(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Returns the next line of its standard output, which is JSON.
    pub(crate) fn json(&mut self) -> Value {
        let line = self.line();
        match serde_json::from_str(&line) {
            Ok(value) => value,
            Err(e) => panic!("not a JSON line ({e}): {line}"),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal the program");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        match ended_within(&mut self.child, DEADLINE) {
            Some(status) => status,
            None => panic!("the program did not end within {DEADLINE:?}"),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
