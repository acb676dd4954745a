//! How Claude Code is set up: as an MCP server of the user, or by the plugin that this
//! repository also is; never both, because a session would then have two channels.

use super::{FIRST_WITH_INBOX, PLUGIN, hook};
use crate::settings;
use crate::setup::{Abilities, Check, Edit, Found, Health, Plan, Setup, Step};
use crate::{Machine, Version};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The rule that lets the model use the tools of EcoRelay, and no others, unasked.
const RULE: &str = "mcp__ecorelay__*";
/// What a person is asked before the tools need no confirmation.
const UNASKED: &str = "May Claude Code's model use the tools of EcoRelay without asking you for each call? Without that, a session that is woken by a message waits for your yes before it can answer.";

/// Claude Code.
#[derive(Debug)]
pub(crate) struct ClaudeCode;

impl Setup for ClaudeCode {
    fn id(&self) -> &'static str {
        "claude-code"
    }

    fn title(&self) -> &'static str {
        "Claude Code"
    }

    fn names(&self) -> &'static [&'static str] {
        &["claude"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "inbox socket; before 2.1.224 a hook that waits",
            busy_push: "with the next tool result or turn",
            cold_start: "yes",
            receipt: "none: written to the socket, or printed by the hook",
            tested: "2.1.330, 2.1.197",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        let program = machine.find("claude");
        if program.is_none() && !state_file(machine).is_file() {
            return None;
        }
        let version = program.as_deref().and_then(|p| machine.version(p));
        Some(Found { program, version })
    }

    fn plan(&self, machine: &Machine, found: &Found) -> Plan {
        let settings = settings_file(machine);
        if has_plugin(machine) {
            return Plan {
                steps: Vec::new(),
                notes: vec![format!(
                    "Claude Code has EcoRelay's plugin, which brings everything: nothing is changed. To be set up without it, run `claude plugin uninstall {PLUGIN}` and install again."
                )],
            };
        }
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let mut steps = vec![
            Step {
                file: state_file(machine),
                why: "every session has the tools and its channel",
                edit: Edit::Json {
                    at: path(&["mcpServers", "ecorelay"]),
                    value: json!({
                        "type": "stdio",
                        "command": machine.program.to_string_lossy(),
                        "args": machine.args(&["mcp"]),
                    }),
                },
                consent: None,
            },
            Step {
                file: settings.clone(),
                why: "the model may use the tools of EcoRelay unasked",
                edit: Edit::JsonItem {
                    at: path(&["permissions", "allow"]),
                    value: RULE.into(),
                    ours: RULE.into(),
                },
                consent: Some(UNASKED),
            },
        ];
        let mut notes = vec!["Restart the sessions of Claude Code that are open.".into()];
        if wants_hooks(found) {
            steps.extend(hook::EVENTS.iter().map(|event| Step {
                file: settings.clone(),
                why: "messages wake a session that has no inbox socket",
                edit: Edit::JsonItem {
                    at: path(&["hooks", event]),
                    value: hook::entry(&machine.command_line(&["hook", "claude"])),
                    ours: hook::OURS.into(),
                },
                consent: None,
            }));
            notes.push(format!(
                "From {FIRST_WITH_INBOX} on Claude Code needs no such hooks: they then end at once, and `ecorelay install claude` takes them out."
            ));
        }
        if found.version.is_none_or(has_inbox) {
            notes.push("A session that bypasses permissions may hold messages back until you let each in, unless crossSessionInbound in its settings is \"accept\". That is your safety control: EcoRelay never changes it.".into());
        }
        Plan { steps, notes }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = Vec::new();
        let file = settings_file(machine);
        let settings = settings::read(&file).unwrap_or_default();
        let state = settings::read(&state_file(machine)).unwrap_or_default();
        if has_plugin(machine) && state["mcpServers"]["ecorelay"].is_object() {
            checks.push(Check {
                health: Health::Bad,
                message: "Claude Code has both the plugin and the MCP server ecorelay: each session has two channels and two names.".into(),
                remedy: "claude mcp remove ecorelay -s user".into(),
            });
        }
        checks.extend(of_version(found, &settings));
        let file = file.display().to_string();
        if found.version.is_none_or(has_inbox) {
            checks.extend(held_back(&settings, &file));
        }
        checks.extend(denied(&settings, &file));
        checks
    }
}

/// Returns whether sessions of this version have an inbox socket.
fn has_inbox(version: Version) -> bool {
    version >= FIRST_WITH_INBOX
}

/// Returns whether the hooks are needed, or nobody knows that they are not: where they are not,
/// they do no harm.
fn wants_hooks(found: &Found) -> bool {
    found.program.is_some() && !found.version.is_some_and(has_inbox)
}

/// Returns which way messages go into sessions of the version that is there.
fn of_version(found: &Found, settings: &Value) -> Option<Check> {
    let program = found.program.as_ref()?;
    let by_hooks = match found.version {
        Some(version) if has_inbox(version) => {
            return Some(Check {
                health: Health::Good,
                message: format!(
                    "Messages reach sessions of {version} through their inbox socket."
                ),
                remedy: String::new(),
            });
        }
        Some(version) => {
            format!("Claude Code {version} has no inbox socket ({FIRST_WITH_INBOX} and newer have)")
        }
        None => format!(
            "{} does not say its version; before {FIRST_WITH_INBOX} there is no inbox socket",
            program.display()
        ),
    };
    Some(if settings["disableAllHooks"] == true {
        doubtful(
            format!(
                "{by_hooks}, and hooks are switched off: messages wait until its model looks into its inbox."
            ),
            "claude update, or take disableAllHooks out of the settings".into(),
        )
    } else if !hook::waits(settings) {
        doubtful(
            format!("{by_hooks}, and its hooks do not wait for messages: they stay in the inbox."),
            "ecorelay install claude".into(),
        )
    } else {
        Check {
            health: Health::Good,
            message: format!("{by_hooks}: messages reach its sessions through hooks that wait."),
            remedy: String::new(),
        }
    })
}

/// Returns what in the settings keeps messages from a session with an inbox socket.
fn held_back(settings: &Value, file: &str) -> Option<Check> {
    let bypasses = settings["permissions"]["defaultMode"] == "bypassPermissions";
    match settings["crossSessionInbound"].as_str() {
        Some("accept") => None,
        Some("refuse") => Some(doubtful(
            "crossSessionInbound is \"refuse\": sessions take no messages; they wait in the inbox.".into(),
            format!("If you want them to arrive, set it to \"accept\" in {file}."),
        )),
        Some(other) => Some(doubtful(
            format!("crossSessionInbound is {other:?}: messages are held until you let each in."),
            format!("If you want them to arrive by themselves, set it to \"accept\" in {file}."),
        )),
        None if bypasses => Some(doubtful(
            "Sessions bypass permissions by default, and such a session may hold messages until you let each in.".into(),
            format!("If you want them to arrive by themselves, set \"crossSessionInbound\": \"accept\" in {file}."),
        )),
        None => None,
    }
}

/// Returns whether the settings keep the tools from the model.
fn denied(settings: &Value, file: &str) -> Option<Check> {
    let rules = settings["permissions"]["deny"].as_array()?;
    let denies = |rule: &Value| {
        rule.as_str()
            .is_some_and(|rule| rule.starts_with("mcp__ecorelay"))
    };
    rules.iter().any(denies).then(|| Check {
        health: Health::Bad,
        message: "Tools of EcoRelay are denied by permissions.deny.".into(),
        remedy: format!("Take the rule mcp__ecorelay… out of {file}."),
    })
}

fn doubtful(message: String, remedy: String) -> Check {
    Check {
        health: Health::Doubtful,
        message,
        remedy,
    }
}

/// Returns the folder of settings.
fn folder(machine: &Machine) -> PathBuf {
    machine.folder("CLAUDE_CONFIG_DIR", ".claude")
}

/// Returns the file with the user's MCP servers; it stands beside the folder, unless the folder
/// was moved.
fn state_file(machine: &Machine) -> PathBuf {
    let moved = machine.var("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    moved
        .unwrap_or_else(|| machine.home.clone())
        .join(".claude.json")
}

fn settings_file(machine: &Machine) -> PathBuf {
    folder(machine).join("settings.json")
}

/// Returns whether the plugin is installed and not switched off.
fn has_plugin(machine: &Machine) -> bool {
    let settings = settings::read(&settings_file(machine)).unwrap_or_default();
    settings["enabledPlugins"][PLUGIN] == true
}

#[cfg(test)]
mod tests;
