//! A terminal for programs that want one: a tmux server of its own per program.

use super::home::TestHome;
use super::process::{Finished, run};
use super::{found_within, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program may take to end once its terminal is gone.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A program in a terminal; it is ended when this is dropped.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs `program` in a terminal. tmux hands its own environment and folder on to it.
    pub(crate) fn start(home: &TestHome, name: &str, program: &Command) -> Self {
        let terminal = Self {
            socket: home.path().join(format!("{name}.tmux")),
        };
        let mut tmux = terminal.tmux(&["new-session", "-d", "-s", "main", "-x", "150", "-y", "50"]);
        tmux.env_clear();
        for (key, value) in program.get_envs() {
            if let Some(value) = value {
                tmux.env(key, value);
            }
        }
        if let Some(folder) = program.get_current_dir() {
            tmux.current_dir(folder);
        }
        tmux.env("TERM", "xterm-256color");
        // More than one argument: tmux then starts the program itself, without a shell.
        tmux.arg("env")
            .arg(program.get_program())
            .args(program.get_args());
        run(tmux).expect_code(0);
        terminal
    }

    /// As [`Terminal::type_line`]; presses Enter again where the program has not `taken` the line
    /// after a while, for some lose a key that comes while they end a turn.
    pub(crate) fn type_until(&self, text: &str, taken: impl Fn() -> bool) {
        const PATIENCE: Duration = Duration::from_secs(5);
        const TIMES: usize = 12;
        self.type_line(text);
        for _ in 0..TIMES {
            if found_within(PATIENCE, || taken().then_some(())).is_some() {
                return;
            }
            self.press("Enter");
        }
        panic!("\"{text}\" was typed and not taken:\n{}", self.screen());
    }

    /// Types `text`, waits until it stands on the screen, and presses Enter.
    pub(crate) fn type_line(&self, text: &str) {
        self.type_draft(text);
        self.press("Enter");
    }

    /// Types `text` and waits until it stands on the screen.
    pub(crate) fn type_draft(&self, text: &str) {
        run(self.tmux(&["send-keys", "-t", "main", "-l", text])).expect_code(0);
        self.wait_for(text);
    }

    /// Presses a key: `Enter`, `Escape`, `C-c` …
    pub(crate) fn press(&self, key: &str) {
        run(self.tmux(&["send-keys", "-t", "main", key])).expect_code(0);
    }

    /// Waits until the screen shows `text`; a line break may stand in place of each space.
    pub(crate) fn wait_for(&self, text: &str) {
        wait_until(&format!("{text:?} on the screen"), || {
            self.shows(text).then_some(())
        });
    }

    /// Waits until the screen ends with a prompt that stands alone.
    pub(crate) fn wait_for_prompt(&self, prompt: &str) {
        wait_until(&format!("the prompt {prompt:?}"), || {
            let screen = self.screen();
            let last = screen.lines().last()?;
            (last.trim() == prompt).then_some(())
        });
    }

    /// Returns whether the screen shows `text` now.
    pub(crate) fn shows(&self, text: &str) -> bool {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        plain(&self.screen()).contains(&plain(text))
    }

    /// Returns what stands on the screen; empty once the program has ended.
    pub(crate) fn screen(&self) -> String {
        let Finished { stdout, .. } = run(self.tmux(&["capture-pane", "-p", "-t", "main"]));
        let lines = stdout.lines().map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Returns the number of the program's process.
    fn program(&self) -> Option<i32> {
        let mut panes = self.tmux(&["list-panes", "-t", "main", "-F", "#{pane_pid}"]);
        let said = String::from_utf8(panes.output().ok()?.stdout).ok()?;
        said.trim().parse().ok()
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket);
        command.args(["-f", "/dev/null"]).args(args);
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "--- the screen of {}\n{}",
                self.socket.display(),
                self.screen()
            );
        }
        let program = self.program();
        let _ = self.tmux(&["kill-server"]).output();
        let Some(program) = program else { return };
        // Until it is gone it may write its settings, also those that are looked at next.
        let over = || is_over(program).then_some(());
        if found_within(LAST_WORDS, over).is_none() {
            let pid = Pid::from_raw(program);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            let _ = found_within(LAST_WORDS, over);
        }
    }
}

/// Returns whether a process has ended, also where nobody has asked yet how.
fn is_over(pid: i32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline"));
    command.is_ok_and(|words| words.is_empty()) || !Path::new(&format!("/proc/{pid}")).exists()
}
