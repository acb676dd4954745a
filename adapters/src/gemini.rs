//! Gemini CLI: its settings, its hooks, and the background command that wakes it.
//!
//! It has no way into a running session from outside. Two things reach its model all the same:
//! what a hook answers while a turn runs, and the output of a background command that ends,
//! where two settings are switched on. Measured with 0.61.0.

mod hook;

pub(crate) use hook::HOOKS;

use crate::settings;
use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use crate::{Machine, Version};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The version this was tried with.
const TRIED: Version = Version(0, 61, 0);
/// Its npm package.
const PACKAGE: &str = "@google/gemini-cli";
/// By this name the hooks are listed; nobody else's have it.
const HOOK_NAME: &str = "ecorelay-messages";
/// How long a hook may take, in milliseconds. It asks a process on this machine.
const HOOK_MS: u32 = 10_000;
/// How long a tool call may take, in milliseconds; the tools' own limit is below a minute.
const TOOL_MS: u32 = 120_000;
/// When the hooks run.
const EVENTS: [&str; 4] = ["SessionStart", "BeforeAgent", "AfterTool", "AfterAgent"];
/// What a person is asked before background commands may wake a session.
const WAKE: &str = "May a background command that ends start a turn in Gemini CLI? Without that, messages wait until the session works again. It holds for every background command, and what you type while the model works then goes into the running turn (experimental.modelSteering).";

/// Gemini CLI.
#[derive(Debug)]
pub(crate) struct GeminiCli;

impl Setup for GeminiCli {
    fn id(&self) -> &'static str {
        "gemini-cli"
    }

    fn title(&self) -> &'static str {
        "Gemini CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["gemini"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "background command (with consent)",
            busy_push: "hooks, in the running turn",
            cold_start: "no",
            receipt: "hook or command has handed it over",
            tested: "0.61.0",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::of(machine.find("gemini"), &settings_file(machine), |program| {
            let package = machine.package_version(program, PACKAGE);
            package.or_else(|| machine.version(program))
        })
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        let settings = settings_file(machine);
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let set = |keys: &[&str], value: Value, why, consent| Step {
            file: settings.clone(),
            why,
            edit: Edit::Json {
                at: path(keys),
                value,
            },
            consent,
        };
        let mut steps = vec![set(
            &["mcpServers", "ecorelay"],
            json!({
                "command": machine.program.to_string_lossy(),
                "args": machine.args(&["mcp"]),
                "timeout": TOOL_MS,
                "trust": true,
            }),
            "the model has the tools, without being asked for each call",
            None,
        )];
        steps.extend(EVENTS.iter().map(|event| Step {
            file: settings.clone(),
            why: "messages reach a session that is working",
            edit: Edit::JsonItem {
                at: path(&["hooks", event]),
                value: json!({"matcher": "*", "hooks": [{
                    "name": HOOK_NAME,
                    "type": "command",
                    "command": machine.command_line(&["hook", "gemini"]),
                    "timeout": HOOK_MS,
                }]}),
                ours: HOOK_NAME.to_owned(),
            },
            consent: None,
        }));
        steps.push(Step {
            file: folder(machine).join("policies/ecorelay.toml"),
            why: "the command that waits for a message runs without being asked for",
            edit: Edit::File {
                text: policy(machine),
            },
            consent: None,
        });
        let wakes = "a message wakes an idle session";
        steps.push(set(
            &["tools", "shell", "backgroundCompletionBehavior"],
            "inject".into(),
            wakes,
            Some(WAKE),
        ));
        steps.push(set(
            &["experimental", "modelSteering"],
            true.into(),
            wakes,
            Some(WAKE),
        ));
        Plan {
            steps,
            notes: vec![
                "Restart the sessions of Gemini CLI that are open.".into(),
                "A session can be woken from its first turn on: there its model starts the command that waits.".into(),
            ],
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(version) = found.version.filter(|version| *version < TRIED) {
            checks.push(Check::doubtful(
                format!("Gemini CLI {version} is older than {TRIED}, with which this was tried."),
                "npm install --global @google/gemini-cli@latest",
            ));
        }
        let file = settings_file(machine);
        let settings = settings::read(&file).unwrap_or_default();
        checks.extend(hindrances(&settings, &file.display().to_string()));
        checks
    }
}

/// Returns what in the settings keeps messages from a session.
fn hindrances(settings: &Value, file: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    if settings["hooksConfig"]["enabled"] == false {
        checks.push(Check::doubtful(
            "Hooks are switched off, so messages do not reach a session that is working.",
            format!("Set hooksConfig.enabled to true in {file}."),
        ));
    }
    if has(&settings["hooksConfig"]["disabled"], HOOK_NAME) {
        checks.push(Check::doubtful(
            format!("The hook {HOOK_NAME} is switched off, so messages do not reach a session that is working."),
            format!("/hooks enable {HOOK_NAME}"),
        ));
    }
    let allowed = &settings["mcp"]["allowed"];
    if has(&settings["mcp"]["excluded"], "ecorelay")
        || (allowed.is_array() && !has(allowed, "ecorelay"))
    {
        checks.push(Check::bad(
            "The MCP server ecorelay is shut out by mcp.allowed or mcp.excluded.",
            format!("Let it in there, in {file}."),
        ));
    }
    if !hook::wakes(settings) {
        checks.push(Check::doubtful(
            "An idle session is not woken: messages wait until it works again.",
            "ecorelay install gemini, and answer yes to its question",
        ));
    }
    checks
}

fn has(list: &Value, item: &str) -> bool {
    list.as_array()
        .is_some_and(|list| list.iter().any(|value| value == item))
}

fn folder(machine: &Machine) -> PathBuf {
    let home = machine.var("GEMINI_CLI_HOME").map(PathBuf::from);
    home.unwrap_or_else(|| machine.home.clone()).join(".gemini")
}

/// Returns the user's settings file.
fn settings_file(machine: &Machine) -> PathBuf {
    folder(machine).join("settings.json")
}

/// Returns the command that waits for a message, as the model is to run it. It only wakes the
/// session; a hook of the turn that begins then brings the text.
fn wait_command(machine: &Machine) -> String {
    machine.command_line(&["wake", "gemini"])
}

/// Returns the rule that allows the waiting command, whole, and nothing else: another command
/// behind it, or another argument, is asked for as always.
fn policy(machine: &Machine) -> String {
    // The rule is tried on the JSON of the call, so the command is looked for as it stands there.
    let command = Value::from(wait_command(machine)).to_string();
    let mut pattern = String::new();
    for c in command.trim_start_matches('"').chars() {
        if r"\^$.|?*+()[]{}".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    let pattern = toml_edit::Value::from(pattern).to_string();
    format!(
        "# Written by `ecorelay install gemini`; `ecorelay uninstall gemini` removes it.\n\
         [[rule]]\n\
         toolName = \"run_shell_command\"\n\
         commandRegex = {pattern}\n\
         decision = \"allow\"\n\
         priority = 100\n"
    )
}

#[cfg(test)]
mod tests;
