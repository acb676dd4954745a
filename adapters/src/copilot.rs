//! GitHub Copilot CLI: an MCP server, and an extension that brings messages into its sessions.
//!
//! Copilot starts both for each session and names the session to both, so they find each other;
//! after `/clear` it starts both anew. Extensions run only where a feature flag says so. Measured
//! with 1.0.102.

use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use crate::{Machine, Version, plugin, settings};
use serde_json::json;
use std::path::PathBuf;

/// The version this was tried with.
const TRIED: Version = Version(1, 0, 102);
/// How long a tool call may take, in milliseconds; the tools' own limit is below a minute.
const TOOL_MS: u32 = 120_000;
/// The extension's own part.
const EXTENSION: &str = include_str!("../assets/copilot/extension.mjs");
/// What a person is asked before extensions are switched on.
const SWITCH_ON: &str = "May Copilot CLI run extensions? Without that, messages do not reach a live session and wait in its inbox. It sets the one feature flag EXTENSIONS and nothing else that is experimental; it holds for every extension in ~/.copilot/extensions, and for those in .github/extensions of a project that you trust.";

/// GitHub Copilot CLI.
#[derive(Debug)]
pub(crate) struct CopilotCli;

impl Setup for CopilotCli {
    fn id(&self) -> &'static str {
        "copilot-cli"
    }

    fn title(&self) -> &'static str {
        "GitHub Copilot CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["copilot", "github-copilot"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "extension (with consent)",
            busy_push: "extension, after the running turn",
            cold_start: "yes",
            receipt: "the message is in the conversation",
            tested: "1.0.102",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::look(machine, "copilot", &folder(machine))
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        let folder = folder(machine);
        let keys = |keys: [&str; 2]| keys.map(str::to_owned).to_vec();
        let server = json!({
            "type": "local",
            "command": machine.program.to_string_lossy(),
            "args": machine.args(&["mcp"]),
            "tools": ["*"],
            "timeout": TOOL_MS,
        });
        Plan {
            steps: vec![
                Step {
                    file: folder.join("mcp-config.json"),
                    why: "the model has the tools",
                    edit: Edit::Json {
                        at: keys(["mcpServers", "ecorelay"]),
                        value: server,
                    },
                    consent: None,
                },
                Step {
                    file: folder.join("extensions/ecorelay/extension.mjs"),
                    why: "messages reach a session, idle or busy",
                    edit: Edit::File {
                        text: plugin::text(machine, EXTENSION),
                    },
                    consent: None,
                },
                Step {
                    file: settings_file(machine),
                    why: "Copilot runs that extension",
                    edit: Edit::Json {
                        at: keys(["enabledFeatureFlags", "EXTENSIONS"]),
                        value: true.into(),
                    },
                    consent: Some(SWITCH_ON),
                },
            ],
            notes: vec![
                "Restart the sessions of Copilot CLI that are open.".into(),
                "Copilot CLI has no setting that allows tools for good: it asks before it sends the first message, unless it is started with `copilot --allow-tool=ecorelay`.".into(),
            ],
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = Vec::new();
        if found.program.is_none() {
            checks.push(Check::doubtful(
                "The folder of Copilot CLI is there, but no program `copilot` is on the path.",
                "npm install --global @github/copilot",
            ));
        }
        if let Some(version) = found.version.filter(|version| *version < TRIED) {
            checks.push(Check::doubtful(
                format!(
                    "Copilot CLI {version} is older than {TRIED}, with which this was tried; it may have no extensions."
                ),
                "npm install --global @github/copilot@latest",
            ));
        }
        if !runs_extensions(machine) {
            checks.push(Check::doubtful(
                "Copilot CLI does not run extensions: messages wait in the inbox of a session.",
                "ecorelay install copilot, and answer yes to its question",
            ));
        }
        checks
    }
}

/// Returns whether some setting lets extensions run: the flag, its variable, or everything that
/// is experimental.
fn runs_extensions(machine: &Machine) -> bool {
    let settings = settings::read(&settings_file(machine)).unwrap_or_default();
    let flags = machine.var("COPILOT_CLI_ENABLED_FEATURE_FLAGS");
    settings["enabledFeatureFlags"]["EXTENSIONS"] == true
        || settings["experimental"] == true
        || flags.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "EXTENSIONS"))
}

fn folder(machine: &Machine) -> PathBuf {
    machine.folder("COPILOT_HOME", ".copilot")
}

fn settings_file(machine: &Machine) -> PathBuf {
    folder(machine).join("settings.json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn machine(home: &std::path::Path) -> Machine {
        Machine {
            home: home.into(),
            program: "/usr/bin/ecorelay".into(),
            ..Machine::default()
        }
    }

    #[test]
    fn only_the_flag_needs_consent_and_nothing_else_is_switched_on() {
        let plan = CopilotCli.plan(&machine("/h".as_ref()), &Found::default());
        let asked: Vec<_> = plan.steps.iter().filter(|s| s.consent.is_some()).collect();
        assert_eq!(asked.len(), 1);
        assert_eq!(
            asked[0].edit,
            Edit::Json {
                at: vec!["enabledFeatureFlags".into(), "EXTENSIONS".into()],
                value: true.into()
            }
        );
    }

    #[test]
    fn another_folder_and_data_directory_are_kept_to() {
        let mut machine = machine("/h".as_ref());
        machine.vars.insert("COPILOT_HOME".into(), "/c".into());
        machine.data_dir = Some("/d".into());
        let plan = CopilotCli.plan(&machine, &Found::default());
        assert!(plan.steps.iter().all(|step| step.file.starts_with("/c")));
        match &plan.steps[0].edit {
            Edit::Json { value, .. } => {
                assert_eq!(value["args"], json!(["mcp", "--data-dir", "/d"]));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_session_that_cannot_be_pushed_to_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = machine(folder.path());
        assert_eq!(CopilotCli.find(&machine), None);
        std::fs::create_dir(folder.path().join(".copilot")).unwrap();
        assert_eq!(CopilotCli.find(&machine), Some(Found::default()));
        let found = Found {
            program: Some("/usr/bin/copilot".into()),
            version: Some(TRIED),
        };
        assert_eq!(CopilotCli.check(&machine, &found).len(), 1);
        let settings = "{ // mine\n \"enabledFeatureFlags\": {\"EXTENSIONS\": true} }";
        std::fs::write(settings_file(&machine), settings).unwrap();
        assert!(CopilotCli.check(&machine, &found).is_empty());
        std::fs::write(settings_file(&machine), "nonsense").unwrap();
        let flags = "OTHER, EXTENSIONS".to_owned();
        machine
            .vars
            .insert("COPILOT_CLI_ENABLED_FEATURE_FLAGS".into(), flags);
        assert!(CopilotCli.check(&machine, &found).is_empty());
    }
}
