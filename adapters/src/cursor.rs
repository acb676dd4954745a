//! Cursor CLI (`cursor-agent`): its settings, its hooks, and the background command whose
//! output wakes a session.
//!
//! Never run against the real program, which needs an account: all of this is what its
//! documentation and public notes say, tried with a program of the tests that does the same.

use crate::hooks::{HookCall, HookFormat, Wake, id};
use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use crate::{Assistant, ChannelNotifications, Machine, PushPath, Registration};
use serde_json::{Value, json};
use std::path::PathBuf;

/// With this a line begins that the waiting command prints: the pattern on which a background
/// shell of Cursor starts a turn.
const WAKE_MARK: &str = "ECORELAY_MSG";
/// Turns in a row that messages may start at the end of a turn.
const LOOP_LIMIT: u32 = 10;
/// When the hooks run. Only events that every known build has: one unknown name voids the whole
/// file, without a word.
const EVENTS: [&str; 3] = ["sessionStart", "postToolUse", "stop"];
/// Every element of ours has it inside.
const OURS: &str = "hook cursor";

/// The row of Cursor CLI; by which name it presents itself is known of the editor only.
pub(crate) const CURSOR: Assistant = Assistant {
    id: "cursor-cli",
    client_names: &["cursor-vscode", "cursor-cli", "cursor-agent", "cursor"],
    registration: Registration::AtStart,
    notifications: ChannelNotifications::Ignored,
    paths: &[PushPath::Wait, PushPath::Hook],
    several_sessions: false,
    resumes: false,
    overlaps: false,
    remedy: "Write to it once: its model starts the command that waits. If it does not: ecorelay install cursor, and start the session anew.",
};

/// Cursor CLI.
#[derive(Debug)]
pub(crate) struct CursorCli;

impl Setup for CursorCli {
    fn id(&self) -> &'static str {
        "cursor-cli"
    }

    fn title(&self) -> &'static str {
        "Cursor CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["cursor", "cursor-agent"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "background command",
            busy_push: "hooks, in the running turn or after it",
            cold_start: "no",
            receipt: "hook or command has handed it over",
            tested: "only a stand-in, never the real program",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::look(machine, "cursor-agent", &folder(machine))
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        let hooks = folder(machine).join("hooks.json");
        let keys = |at: &[&str]| at.iter().map(|key| (*key).to_owned()).collect();
        let mut steps = vec![
            Step {
                file: folder(machine).join("mcp.json"),
                why: "the model has the tools",
                edit: Edit::Json {
                    at: keys(&["mcpServers", "ecorelay"]),
                    value: json!({
                        "command": machine.program.to_string_lossy(),
                        "args": machine.args(&["mcp"]),
                    }),
                },
                consent: None,
            },
            Step {
                file: hooks.clone(),
                why: "Cursor reads the hooks",
                edit: Edit::Json {
                    at: keys(&["version"]),
                    value: 1.into(),
                },
                consent: None,
            },
        ];
        let command = machine.command_line(&["hook", "cursor"]);
        for event in EVENTS {
            let mut value = json!({"command": command});
            if event == "stop" {
                value["loop_limit"] = LOOP_LIMIT.into();
            }
            steps.push(Step {
                file: hooks.clone(),
                why: "messages reach a session that is working",
                edit: Edit::JsonItem {
                    at: keys(&["hooks", event]),
                    value,
                    ours: OURS.to_owned(),
                },
                consent: None,
            });
        }
        Plan {
            steps,
            notes: vec![
                "This was never tried with the real Cursor CLI: `ecorelay doctor cursor` shows what is in place.".into(),
                "Let its tools in with `cursor-agent mcp enable ecorelay`, and restart the sessions that are open.".into(),
            ],
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let version = found
            .version
            .map_or("of an unknown version".to_owned(), |v| v.to_string());
        let mut checks = vec![Check::doubtful(
            format!("Cursor CLI {version} was never tried with this program, only a stand-in was."),
            "Send it a message and look with `ecorelay why` what became of it.",
        )];
        if let Some(hooks) = crate::settings::read(&folder(machine).join("hooks.json")) {
            for event in strangers(&hooks) {
                checks.push(Check::doubtful(
                    format!("The hooks file has the event \"{event}\"; where Cursor CLI does not know it, it ignores the whole file."),
                    "Take it out of ~/.cursor/hooks.json if hooks do not run.",
                ));
            }
        }
        checks
    }
}

/// Every event that public notes name; a build may know fewer.
const KNOWN_EVENTS: [&str; 20] = [
    "sessionStart",
    "sessionEnd",
    "preToolUse",
    "postToolUse",
    "postToolUseFailure",
    "subagentStart",
    "subagentStop",
    "beforeShellExecution",
    "afterShellExecution",
    "beforeMCPExecution",
    "afterMCPExecution",
    "beforeReadFile",
    "afterFileEdit",
    "beforeSubmitPrompt",
    "preCompact",
    "stop",
    "afterAgentResponse",
    "afterAgentThought",
    "beforeTabFileRead",
    "afterTabFileEdit",
];
/// Unknown events that are named one by one, and characters of each.
const SHOWN: (usize, usize) = (5, 40);

fn strangers(hooks: &Value) -> Vec<String> {
    let events = hooks["hooks"].as_object().into_iter().flatten();
    let unknown = events.filter(|(event, _)| !KNOWN_EVENTS.contains(&event.as_str()));
    unknown
        .map(|(event, _)| {
            event
                .chars()
                .filter(|c| !c.is_control())
                .take(SHOWN.1)
                .collect()
        })
        .take(SHOWN.0)
        .collect()
}

fn folder(machine: &Machine) -> PathBuf {
    machine.home.join(".cursor")
}

/// How its hooks speak.
pub(crate) const HOOKS: HookFormat = HookFormat {
    name: "cursor",
    agent: "cursor-cli",
    read,
    answer,
    wake: Some(Wake::Text { mark: WAKE_MARK }),
    waits: None,
};

fn read(input: &Value) -> HookCall {
    let event = id(input, "hook_event_name").unwrap_or_default();
    let takes = match event.as_str() {
        "postToolUse" => true,
        // A turn that its person has broken off is not gone on with.
        "stop" => input["status"] == "completed",
        _ => false,
    };
    HookCall {
        session: id(input, "conversation_id"),
        busy: match event.as_str() {
            "postToolUse" => Some(true),
            "stop" => Some(false),
            _ => None,
        },
        event,
        takes,
    }
}

fn answer(call: &HookCall, text: Option<&str>, machine: &Machine) -> Option<Value> {
    match call.event.as_str() {
        "sessionStart" => Some(json!({"additional_context": arm(&wait_command(machine))})),
        "postToolUse" => Some(json!({"additional_context": text?})),
        // Submitted as if it had been typed, when the turn is over.
        "stop" if call.takes => Some(json!({"followup_message": text?})),
        _ => None,
    }
}

/// Returns the command that waits for a message, as the model is to run it.
fn wait_command(machine: &Machine) -> String {
    machine.command_line(&["wake", "cursor"])
}

/// Returns the words that make a model start the waiting command.
fn arm(wait: &str) -> String {
    format!(
        "[ecorelay] To be woken by messages of other sessions while this one is idle: in your first turn, start `{wait}` with the Shell tool in the background, with notify_on_output for the pattern ^{WAKE_MARK}. It ends when a message has come and shows it; then start it again in the same turn."
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn machine() -> Machine {
        Machine {
            home: "/home/me".into(),
            program: "/usr/bin/ecorelay".into(),
            ..Machine::default()
        }
    }

    #[test]
    fn only_known_events_are_written() {
        let plan = CursorCli.plan(&machine(), &Found::default());
        let mut events = 0;
        for step in &plan.steps {
            if let Edit::JsonItem { at, value, ours } = &step.edit {
                assert!(KNOWN_EVENTS.contains(&at[1].as_str()), "{at:?}");
                assert!(value["command"].as_str().unwrap().contains(ours.as_str()));
                events += 1;
            }
        }
        assert_eq!(events, EVENTS.len());
    }

    #[test]
    fn a_hook_answers_in_the_form_of_its_event() {
        let said = |input: Value| {
            let call = (HOOKS.read)(&input);
            (HOOKS.answer)(&call, Some("hi"), &machine())
        };
        assert_eq!(
            said(json!({"hook_event_name": "stop", "status": "completed"})),
            Some(json!({"followup_message": "hi"}))
        );
        assert_eq!(
            said(json!({"hook_event_name": "stop", "status": "aborted"})),
            None
        );
        assert_eq!(
            said(json!({"hook_event_name": "postToolUse"})),
            Some(json!({"additional_context": "hi"}))
        );
        assert_eq!(said(json!({"hook_event_name": "beforeReadFile"})), None);
        let start = said(json!({"hook_event_name": "sessionStart"})).unwrap();
        let words = start["additional_context"].as_str().unwrap();
        assert!(words.contains("`/usr/bin/ecorelay wake cursor`"));
        assert!(words.contains("pattern ^ECORELAY_MSG."), "{words}");
    }

    #[test]
    fn an_event_that_may_void_the_file_is_named() {
        let hooks = json!({"hooks": {"stop": [], "on\u{1b}Magic": []}});
        assert_eq!(strangers(&hooks), ["onMagic"]);
        assert!(strangers(&json!([])).is_empty());
        let many: serde_json::Map<_, _> = (0..99).map(|n| (format!("x{n}"), json!([]))).collect();
        assert_eq!(strangers(&json!({"hooks": many})).len(), SHOWN.0);
    }
}
