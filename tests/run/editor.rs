//! The program that is run: a small line editor, as command-line assistants have one. It is
//! this test program itself, started under another name.
//!
//! What is entered it notes in a file, one JSON line each. Some words make it do something:
//! `work` (until a file is there), `ask` (a question that Enter would answer), `size`, `exit N`,
//! `die`.

use crate::support::wait_until;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Names the folder in which the editor notes what it gets; only the editor has it.
pub(crate) const FOLDER: &str = "ECORELAY_TEST_EDITOR";

/// Not a test: the editor, when this program is started as one.
#[test]
fn editor() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let code = Editor::new(PathBuf::from(folder)).run();
    std::process::exit(code);
}

struct Editor {
    folder: PathBuf,
    input: std::fs::File,
    line: Vec<u8>,
}

impl Editor {
    fn new(folder: PathBuf) -> Self {
        let mut raw = tcgetattr(std::io::stdin()).expect("a terminal");
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).expect("a raw terminal");
        Self {
            folder,
            input: std::fs::File::open("/dev/tty").expect("the terminal"),
            line: Vec::new(),
        }
    }

    fn run(mut self) -> i32 {
        self.note(&json!({"pid": getpid().as_raw_nonzero().get()}));
        self.show("EDITOR READY\r\n");
        self.prompt();
        let mut pasting = false;
        loop {
            let byte = self.key();
            match byte {
                0x1b => match self.sequence().as_str() {
                    "[200~" => pasting = true,
                    "[201~" => pasting = false,
                    other => self.note(&json!({"sequence": other})),
                },
                b'\r' if pasting => {
                    self.line.push(b'\n');
                    self.show("\r\n");
                }
                b'\r' => {
                    if let Some(code) = self.enter() {
                        return code;
                    }
                    self.prompt();
                }
                0x03 => {
                    self.note(&json!({"key": "Ctrl-C"}));
                    self.line.clear();
                    self.show("\r\n");
                    self.prompt();
                }
                byte => {
                    self.line.push(byte);
                    self.show_bytes(&[byte]);
                }
            }
        }
    }

    /// Deals with what was entered; returns the exit code if it is to end.
    fn enter(&mut self) -> Option<i32> {
        let text = String::from_utf8(std::mem::take(&mut self.line)).expect("text");
        self.note(&json!({"entered": text}));
        self.show("\x1b[?2004l\r\n");
        match text.as_str() {
            "work" => {
                self.show("WORKING\r\n");
                let gate = self.folder.join("gate");
                wait_until("the end of the work", || gate.exists().then_some(()));
                self.show("WORK DONE\r\n");
            }
            "ask" => {
                self.show("\x1b[?2004hRun this? (y/n) > ");
                let key = self.key();
                self.note(&json!({"answered": char::from(key).to_string()}));
                // The question goes out of sight, as it does in the course of a conversation.
                self.show(&"\r\nSO BE IT".repeat(8));
                self.show("\r\n");
            }
            "size" => {
                let size = tcgetwinsize(std::io::stdin()).expect("a size");
                self.show(&format!("SIZE {}x{}\r\n", size.ws_col, size.ws_row));
            }
            "die" => {
                kill_process(getpid(), Signal::TERM).expect("a signal");
                loop {
                    std::thread::park();
                }
            }
            other => {
                if let Some(code) = other.strip_prefix("exit ") {
                    return code.parse().ok();
                }
            }
        }
        None
    }

    fn prompt(&self) {
        self.show("\x1b[?2004h> ");
    }

    fn key(&mut self) -> u8 {
        let mut byte = [0];
        match self.input.read(&mut byte) {
            Ok(1) => byte[0],
            // The terminal is gone.
            _ => std::process::exit(99),
        }
    }

    fn sequence(&mut self) -> String {
        let mut text = String::new();
        loop {
            let byte = self.key();
            text.push(char::from(byte));
            if text.len() > 1 && (0x40..=0x7e).contains(&byte) {
                return text;
            }
        }
    }

    fn note(&self, what: &Value) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(notes(&self.folder))
            .expect("the notes");
        file.write_all(format!("{what}\n").as_bytes())
            .expect("a note");
    }

    fn show(&self, text: &str) {
        self.show_bytes(text.as_bytes());
    }

    fn show_bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .expect("the screen");
    }
}

fn notes(folder: &Path) -> PathBuf {
    folder.join("notes.jsonl")
}

/// Returns what the editor has noted so far.
pub(crate) fn noted(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(notes(folder)).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines.map_while(Result::ok).collect()
}
