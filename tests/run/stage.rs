//! A home with the editor in a terminal of `ecorelay run`, and what the tests look at.

use crate::editor::{FOLDER, noted};
use crate::support::home::{ECORELAY, TestHome};
use crate::support::process::{Finished, run};
use crate::support::raw::RawClient;
use crate::support::terminal::Terminal;
use crate::support::{DEADLINE, found_within, wait_until};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// The editor in a terminal.
pub(crate) struct Stage {
    pub(crate) terminal: Terminal,
    /// Keeps the hub from leaving.
    _keeper: RawClient,
    pub(crate) home: TestHome,
}

impl Stage {
    /// Starts the editor under `ecorelay run`, in a shell that says its exit code and whether
    /// the terminal gathers lines as before.
    pub(crate) fn new() -> Self {
        Self::in_shell(
            "sh",
            &[
                "-c",
                "ecorelay run --as docs -- editor --exact editor::editor --nocapture; echo CODE=$?; stty -a | grep -o -e '-*icanon'; sleep 1000",
            ],
        )
    }

    /// Starts a shell in which the editor is found.
    pub(crate) fn in_shell(shell: &str, args: &[&str]) -> Self {
        let mut home = TestHome::new();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder for programs");
        let own = std::env::current_exe().expect("this program");
        symlink(own, bin.join("editor")).expect("the editor on the path");
        symlink(ECORELAY, bin.join("ecorelay")).expect("ecorelay on the path");
        let path = std::env::var("PATH").unwrap_or_default();
        home.set("PATH", &format!("{}:{path}", bin.display()));
        let folder = home.path().to_string_lossy().into_owned();
        home.set(FOLDER, &folder);
        home.run(&["node", "start"]).expect_code(0);
        let mut keeper = RawClient::connect(&home.socket());
        keeper.send(&json!({"type": "watch"}));
        let mut command: Command = home.command(shell);
        command.args(args);
        let terminal = Terminal::start(&home, "run", &command);
        Self {
            terminal,
            _keeper: keeper,
            home,
        }
    }

    /// Waits until the editor shows its prompt and its session is there.
    pub(crate) fn ready(self) -> Self {
        self.terminal.wait_for("EDITOR READY");
        self.wait_for_peer("docs");
        self
    }

    /// Waits until the hub has a session of this name.
    pub(crate) fn wait_for_peer(&self, name: &str) {
        wait_until(&format!("the session {name}"), || {
            self.peers().contains(&name.to_owned()).then_some(())
        });
    }

    /// Returns the names of the sessions that are there.
    pub(crate) fn peers(&self) -> Vec<String> {
        let answer = self.home.run(&["peers", "--json"]).expect_code(0).json();
        let peers = answer["peers"].as_array().into_iter().flatten();
        peers
            .filter_map(|peer| peer["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// Joins as another session.
    pub(crate) fn peer(&self, name: &str) -> RawClient {
        RawClient::session(&self.home.socket(), name)
    }

    /// Sends a message to the editor's session; returns its id.
    pub(crate) fn send(&self, from: &mut RawClient, text: &str) -> String {
        let answer = from.request(json!({"type": "send", "to": "docs", "text": text}));
        assert_eq!(answer["type"], "send_ack", "{answer}");
        answer["msg_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until something was entered that holds `part`; returns it.
    pub(crate) fn entered(&self, part: &str) -> String {
        let found = found_within(DEADLINE, || {
            let entered = self.all_entered();
            entered.into_iter().find(|text| text.contains(part))
        });
        found.unwrap_or_else(|| panic!("{part:?} was not entered: {:?}", self.notes()))
    }

    /// Returns everything that was entered so far.
    pub(crate) fn all_entered(&self) -> Vec<String> {
        let notes = self.notes();
        let texts = notes.iter().filter_map(|note| note["entered"].as_str());
        texts.map(str::to_owned).collect()
    }

    /// Returns what the editor has noted.
    pub(crate) fn notes(&self) -> Vec<Value> {
        noted(self.home.path())
    }

    /// Waits until the editor has noted this.
    pub(crate) fn wait_for_note(&self, note: &Value) {
        wait_until(&format!("the note {note}"), || {
            self.notes().contains(note).then_some(())
        });
    }

    /// Runs `ecorelay` as a program does that the editor starts.
    pub(crate) fn run_inside(&self, args: &[&str]) -> Finished {
        let environment = format!("/proc/{}/environ", self.editor_pid());
        let environment = std::fs::read(environment).expect("the editor's environment");
        let mut command = self.home.ecorelay(args);
        for variable in environment.split(|byte| *byte == 0) {
            let variable = String::from_utf8_lossy(variable);
            if let Some((name, value)) = variable.split_once('=')
                && name.starts_with("RELAY_")
            {
                command.env(name, value);
            }
        }
        run(command)
    }

    /// Returns the editor's process id.
    pub(crate) fn editor_pid(&self) -> i64 {
        wait_until("the editor's process id", || {
            self.notes().first().and_then(|note| note["pid"].as_i64())
        })
    }

    /// Returns the process id of `ecorelay run`.
    pub(crate) fn wrapper_pid(&self) -> i32 {
        let status = format!("/proc/{}/stat", self.editor_pid());
        let stat = std::fs::read_to_string(status).expect("the editor");
        let after = stat.rsplit_once(") ").expect("a name").1;
        let parent = after.split_whitespace().nth(1).expect("a parent");
        parent.parse().expect("a number")
    }

    /// Lets the editor's work end.
    pub(crate) fn open_gate(&self) {
        std::fs::write(self.home.path().join("gate"), "").expect("the gate");
    }

    /// Waits until `ecorelay why` says these words about a message.
    pub(crate) fn wait_until_said(&self, msg_id: &str, words: &str) {
        let mut said = String::new();
        let found = found_within(DEADLINE, || {
            said = self.home.run(&["why", msg_id, "--json"]).stdout;
            said.contains(words).then_some(())
        });
        assert!(found.is_some(), "not {words:?}: {said}");
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.tmux_socket());
        tmux.args(["resize-window", "-t", "main"]);
        tmux.args(["-x", &columns.to_string(), "-y", &rows.to_string()]);
        run(tmux).expect_code(0);
    }

    fn tmux_socket(&self) -> PathBuf {
        self.home.path().join("run.tmux")
    }
}
