//! Antigravity CLI (`agy`): its settings, its hooks, and its own command that tells a running
//! session something.
//!
//! Never run against the real program, which needs an account: all of this is what its
//! documentation and public notes say, tried with a program of the tests that does the same.

pub mod session;

use crate::hooks::{HookCall, HookFormat, id};
use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use crate::{Assistant, ChannelNotifications, Machine, PushPath, Registration, Version};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The oldest version of which notes say how it is told something.
const OLDEST: Version = Version(1, 0, 5);
/// The newest version of which anything is known here.
const NEWEST: Version = Version(1, 1, 26);
/// The key of our hooks; nobody else's have it.
const HOOKS_KEY: &str = "ecorelay";

/// The row of Antigravity CLI.
pub(crate) const ANTIGRAVITY: Assistant = Assistant {
    id: "antigravity-cli",
    client_names: &["antigravity-client"],
    registration: Registration::AtStart,
    notifications: ChannelNotifications::Ignored,
    paths: &[PushPath::AgentApi, PushPath::Hook],
    several_sessions: false,
    resumes: false,
    overlaps: false,
    remedy: "Write to it once: before its first turn it has no conversation that could be told.",
};

/// Antigravity CLI.
#[derive(Debug)]
pub(crate) struct Agy;

impl Setup for Agy {
    fn id(&self) -> &'static str {
        "antigravity-cli"
    }

    fn title(&self) -> &'static str {
        "Antigravity CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["agy", "antigravity"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "agentapi",
            busy_push: "hooks, else agentapi",
            cold_start: "no",
            receipt: "its transcript, else unknown",
            tested: "only a stand-in, never the real program",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::look(
            machine,
            "agy",
            &machine.home.join(".gemini/antigravity-cli"),
        )
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        let command = machine.command_line(&["hook", "agy"]);
        let hooks = json!([{"type": "command", "command": command}]);
        let set = |file: PathBuf, at: &[&str], value: Value, why| Step {
            file,
            why,
            edit: Edit::Json {
                at: at.iter().map(|key| (*key).to_owned()).collect(),
                value,
            },
            consent: None,
        };
        let server = json!({
            "command": machine.program.to_string_lossy(),
            "args": machine.args(&["mcp"]),
        });
        Plan {
            steps: vec![
                set(
                    mcp_file(machine),
                    &["mcpServers", "ecorelay"],
                    server,
                    "the model has the tools",
                ),
                set(
                    machine.home.join(".gemini/config/hooks.json"),
                    &[HOOKS_KEY],
                    json!({"PreInvocation": hooks, "Stop": hooks}),
                    "messages reach a session that is working",
                ),
            ],
            notes: vec![
                "This was never tried with the real Antigravity CLI: `ecorelay doctor agy` shows what is in place.".into(),
                "Restart the sessions of Antigravity CLI that are open.".into(),
            ],
        }
    }

    fn check(&self, _machine: &Machine, found: &Found) -> Vec<Check> {
        let remedy = "Send it a message and look with `ecorelay why` what became of it.";
        match found.version {
            None => vec![Check::doubtful(
                "The version of Antigravity CLI is not known.",
                "agy --version",
            )],
            Some(version) if version < OLDEST => vec![Check::doubtful(
                format!(
                    "Antigravity CLI {version} is older than {OLDEST}: messages may wait in the inbox."
                ),
                "Update Antigravity CLI.",
            )],
            Some(version) if version > NEWEST => vec![Check::doubtful(
                format!(
                    "Antigravity CLI {version} is newer than {NEWEST}, the newest that anything is known of here."
                ),
                remedy,
            )],
            Some(version) => vec![Check::doubtful(
                format!(
                    "Antigravity CLI {version} was never tried with this program, only a stand-in was."
                ),
                remedy,
            )],
        }
    }
}

/// Returns the file of the MCP servers: where the newest notes say it is.
fn mcp_file(machine: &Machine) -> PathBuf {
    machine.home.join(".gemini/config/mcp_config.json")
}

/// How its hooks speak.
pub(crate) const HOOKS: HookFormat = HookFormat {
    name: "agy",
    agent: "antigravity-cli",
    read,
    answer,
    wake: None,
    waits: None,
};

/// What a hook is given does not name the event: it is known by what only that one has.
fn read(input: &Value) -> HookCall {
    let session = id(input, "conversationId");
    let event = if session.is_none() {
        ""
    } else if input["invocationNum"].is_number() {
        "PreInvocation"
    } else if input["executionNum"].is_number() {
        "Stop"
    } else {
        ""
    };
    HookCall {
        event: event.to_owned(),
        session,
        takes: !event.is_empty(),
        busy: (!event.is_empty()).then_some(event == "PreInvocation"),
    }
}

fn answer(call: &HookCall, text: Option<&str>, _machine: &Machine) -> Option<Value> {
    match call.event.as_str() {
        "PreInvocation" => Some(json!({"injectSteps": [{"ephemeralMessage": text?}]})),
        // Starts one more turn with the text.
        "Stop" => Some(json!({"decision": "continue", "reason": text?})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::setup::Health;

    #[test]
    fn its_files_stand_where_the_newest_notes_say() {
        let machine = Machine {
            home: "/home/me".into(),
            program: "/usr/bin/ecorelay".into(),
            ..Machine::default()
        };
        let plan = Agy.plan(&machine, &Found::default());
        let files: Vec<_> = plan
            .steps
            .iter()
            .map(|s| s.file.to_str().unwrap())
            .collect();
        assert_eq!(
            files,
            [
                "/home/me/.gemini/config/mcp_config.json",
                "/home/me/.gemini/config/hooks.json"
            ]
        );
        assert!(plan.notes[0].contains("never tried"));
    }

    #[test]
    fn a_hook_answers_in_the_form_of_its_event() {
        let said = |field: &str| {
            let call = (HOOKS.read)(&json!({field: 0, "conversationId": "c-1"}));
            assert_eq!(call.session.as_deref(), Some("c-1"));
            (HOOKS.answer)(&call, Some("hi"), &Machine::default())
        };
        assert_eq!(
            said("invocationNum"),
            Some(json!({"injectSteps": [{"ephemeralMessage": "hi"}]}))
        );
        assert_eq!(
            said("executionNum"),
            Some(json!({"decision": "continue", "reason": "hi"}))
        );
        assert_eq!(said("toolCall"), None);
    }

    #[test]
    fn every_version_is_said_to_be_untried() {
        for version in [
            None,
            Some(Version(1, 0, 4)),
            Some(Version(1, 1, 0)),
            Some(Version(2, 0, 0)),
        ] {
            let found = Found {
                program: None,
                version,
            };
            let checks = Agy.check(&Machine::default(), &found);
            assert_eq!(checks.len(), 1, "{version:?}");
            assert_eq!(checks[0].health, Health::Doubtful);
        }
    }
}
