//! Starts a registered MCP server and talks to it as an assistant does.

use ecorelay_adapters::{Edit, Plan};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// The whole talk takes no longer than this; a hub may have to be started for it.
const TALK_WITHIN: Duration = Duration::from_secs(20);
/// Longest line that is read, in bytes: the list of tools has some 20 KiB.
const LINE_BYTES: u64 = 4 * 1024 * 1024;
/// Lines that wait to be looked at.
const LINES: usize = 16;

/// What an assistant starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Command {
    /// Returns it as it is typed.
    pub(super) fn words(&self) -> String {
        let mut words = vec![self.program.as_str()];
        words.extend(self.args.iter().map(String::as_str));
        words.join(" ")
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// How many tools it has.
    pub(super) tools: usize,
    /// How many sessions the hub knows besides this one.
    pub(super) peers: usize,
    /// How long the call took.
    pub(super) took: Duration,
}

/// Returns the MCP server that a plan registers.
pub(super) fn registered(plan: &Plan) -> Option<Command> {
    plan.steps.iter().find_map(|step| match &step.edit {
        Edit::Json { value, .. } | Edit::JsonItem { value, .. } | Edit::Toml { value, .. } => {
            command_in(value)
        }
        Edit::File { text } => serde_json::from_str(text)
            .ok()
            .as_ref()
            .and_then(command_in),
    })
}

/// Returns the server in a value: `command` and `args`, or both as one list.
fn command_in(value: &Value) -> Option<Command> {
    let fields = value.as_object()?;
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    let mut words: Vec<String> = match &value["command"] {
        Value::String(program) => vec![program.clone()],
        list => texts(list),
    };
    words.extend(texts(&value["args"]));
    if words.len() > 1 && words.iter().skip(1).any(|word| word == "mcp") {
        let env = value["env"]
            .as_object()
            .or(value["environment"].as_object());
        let env = env.into_iter().flatten();
        let env = env.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        return Some(Command {
            program: words.remove(0),
            args: words,
            env: env.collect(),
        });
    }
    fields.values().find_map(command_in)
}

/// Talks to the server: who it is, its tools, one call that goes to the hub.
///
/// # Errors
/// In words that follow the command, when it cannot be started or does not answer as it should.
pub(super) fn talk(command: &Command) -> Result<Answer, String> {
    let mut child = std::process::Command::new(&command.program)
        .args(&command.args)
        .envs(command.env.iter().map(|(key, value)| (key, value)))
        // It shows up under a name that says what it is.
        .env("RELAY_PEER_ID", "doctor")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("it cannot be started: {e}."))?;
    let talked = Talk::begin(&mut child).and_then(Talk::run);
    // It ends by itself when its input is closed; it is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    talked
}

struct Talk {
    input: ChildStdin,
    lines: Receiver<String>,
    end: Instant,
    next_id: u64,
}

impl Talk {
    fn begin(child: &mut Child) -> Result<Self, String> {
        let odd = || "it has no standard input and output.".to_owned();
        let input = child.stdin.take().ok_or_else(odd)?;
        let mut output = BufReader::new(child.stdout.take().ok_or_else(odd)?);
        let (sender, lines) = sync_channel(LINES);
        // Ends with the child's output.
        std::thread::spawn(move || {
            loop {
                let mut line = String::new();
                match output.by_ref().take(LINE_BYTES).read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        Ok(Self {
            input,
            lines,
            end: Instant::now() + TALK_WITHIN,
            next_id: 1,
        })
    }

    fn run(mut self) -> Result<Answer, String> {
        self.ask(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "ecorelay-doctor", "version": env!("CARGO_PKG_VERSION")},
            }),
        )?;
        self.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        let tools = self.ask("tools/list", json!({}))?;
        let tools = tools["tools"].as_array().map_or(0, Vec::len);
        let begin = Instant::now();
        let call = json!({"name": "relay_peers", "arguments": {}});
        let result = self.ask("tools/call", call)?;
        let took = begin.elapsed();
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        let document: Value = serde_json::from_str(text).unwrap_or_default();
        if result["isError"] == true {
            let message = document["message"].as_str().unwrap_or(text);
            return Err(format!("relay_peers failed: {message}"));
        }
        let peers = document["peers"]
            .as_array()
            .ok_or("relay_peers gave no list of peers.")?;
        Ok(Answer {
            tools,
            peers: peers
                .iter()
                .filter(|peer| peer["name"] != document["me"])
                .count(),
            took,
        })
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    let limit = TALK_WITHIN.as_secs();
                    return Err(format!("no answer to {method} within {limit} s."));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("it ended before it answered {method}."));
                }
            };
            let answer: Value = serde_json::from_str(&line)
                .map_err(|_| "it writes something that is not MCP.".to_owned())?;
            if answer["id"] != id {
                continue;
            }
            return match answer["error"]["message"].as_str() {
                Some(message) => Err(format!("it refused {method}: {message}.")),
                None => Ok(answer["result"].clone()),
            };
        }
    }

    fn write(&mut self, message: &Value) -> Result<(), String> {
        writeln!(self.input, "{message}")
            .and_then(|()| self.input.flush())
            .map_err(|_| "it ended at once.".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_registered_server_is_found_in_every_form() {
        for (value, words) in [
            (json!({"command": "/e", "args": ["mcp"]}), Some("/e mcp")),
            (
                json!({"command": ["/e", "mcp", "--data-dir", "/d"]}),
                Some("/e mcp --data-dir /d"),
            ),
            (
                json!({"a": {"b": {"command": "/e", "args": ["mcp"]}}}),
                Some("/e mcp"),
            ),
            (json!({"command": "/e hook x"}), None),
            (json!([1]), None),
        ] {
            assert_eq!(command_in(&value).map(|c| c.words()).as_deref(), words);
        }
    }

    #[test]
    fn a_program_that_is_no_server_is_said() {
        let command = |program: &str| Command {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
        };
        let error = talk(&command("/nowhere/ecorelay")).unwrap_err();
        assert!(error.contains("cannot be started"), "{error}");
        let error = talk(&command("true")).unwrap_err();
        assert!(error.contains("it ended"), "{error}");
        let error = talk(&command("cat")).unwrap_err();
        assert!(!error.is_empty());
    }
}
