//! Cline CLI: an MCP server, and a plugin that brings messages into its sessions.
//!
//! The first session of a machine runs in its own process; later ones run in Cline's hub, one
//! process for all of them. Each session has a channel and a plugin process of its own, both
//! started by the process in which it runs. Where the plugin has ended, the hub takes messages
//! for the sessions that it runs ([`hub`]). Measured with 3.0.65.

pub mod hub;

use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use crate::{Machine, Version, plugin};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The version this was tried with.
const TRIED: Version = Version(3, 0, 65);
/// How long a tool call may take, in seconds; the tools' own limit is below a minute.
const TOOL_S: u32 = 120;
/// The plugin's own part.
const PLUGIN: &str = include_str!("../assets/cline/ecorelay.js");

/// Cline CLI.
#[derive(Debug)]
pub(crate) struct Cline;

impl Setup for Cline {
    fn id(&self) -> &'static str {
        "cline"
    }

    fn title(&self) -> &'static str {
        "Cline CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["cline"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "plugin (needs node), else Cline's hub",
            busy_push: "after the running turn",
            cold_start: "yes",
            receipt: "a run has begun with the message",
            tested: "3.0.65",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::look(machine, "cline", &data_folder(machine))
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        Plan {
            steps: vec![
                Step {
                    file: servers_file(machine),
                    why: "the model has the tools",
                    edit: Edit::Json {
                        at: vec!["mcpServers".into(), "ecorelay".into()],
                        value: json!({
                            "command": machine.program.to_string_lossy(),
                            "args": machine.args(&["mcp"]),
                            "disabled": false,
                            "timeout": TOOL_S,
                        }),
                    },
                    consent: None,
                },
                Step {
                    file: folder(machine).join("plugins/ecorelay.js"),
                    why: "messages reach a session, idle or busy",
                    edit: Edit::File {
                        text: plugin::text(machine, PLUGIN),
                    },
                    consent: None,
                },
            ],
            notes: vec![
                "Restart the sessions of Cline that are open; where its hub runs, `cline hub stop` too.".into(),
                "Cline runs plugins with node, which must be on the path.".into(),
                "Cline ends a plugin when its session was idle for half an hour. Messages then go through Cline's hub; those of a session that runs in its own terminal (the first one, where `cline hub start` was not called before) wait in the inbox until it works again. CLINE_PLUGIN_IDLE_TIMEOUT_MS in its environment makes that time longer.".into(),
                "On a slow machine Cline may go on without its plugins: it gives them 4 s to start, or as long as CLINE_PLUGIN_IMPORT_TIMEOUT_MS in its environment says.".into(),
            ],
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = Vec::new();
        if found.program.is_none() {
            checks.push(Check::doubtful(
                "The folder of Cline CLI is there, but no program `cline` is on the path.",
                "npm install --global cline",
            ));
        }
        if let Some(version) = found.version.filter(|version| *version < TRIED) {
            checks.push(Check::doubtful(
                format!("Cline CLI {version} is older than {TRIED}, with which this was tried."),
                "npm install --global cline@latest",
            ));
        }
        if runtime(machine).is_none() {
            checks.push(Check::bad(
                "Cline runs plugins with node, and there is none on the path: only sessions that Cline's hub runs get messages, those of their own terminal keep them in the inbox.",
                "Install Node.js (https://nodejs.org), or let CLINE_JS_RUNTIME_PATH name one.",
            ));
        }
        let file = servers_file(machine);
        if std::fs::read(&file).is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_err()) {
            checks.push(Check::bad(
                format!(
                    "{} is not plain JSON; Cline then starts none of the servers in it, without a word. It allows no comments there.",
                    file.display()
                ),
                "Take the comments, and commas before a closing bracket, out of it.",
            ));
        }
        checks
    }
}

/// Returns what runs Cline's plugins.
fn runtime(machine: &Machine) -> Option<PathBuf> {
    let set = machine.var("CLINE_JS_RUNTIME_PATH").map(PathBuf::from);
    set.filter(|program| program.is_file())
        .or_else(|| machine.find("node"))
}

fn folder(machine: &Machine) -> PathBuf {
    machine.folder("CLINE_DIR", ".cline")
}

fn data_folder(machine: &Machine) -> PathBuf {
    let set = machine.var("CLINE_DATA_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| folder(machine).join("data"))
}

/// Returns the file from which Cline really reads its servers; `~/.cline/mcp.json`, of which its
/// documentation speaks, is not read.
fn servers_file(machine: &Machine) -> PathBuf {
    let set = machine.var("CLINE_MCP_SETTINGS_PATH").map(PathBuf::from);
    set.unwrap_or_else(|| data_folder(machine).join("settings/cline_mcp_settings.json"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::path::Path;

    #[test]
    fn the_folders_that_cline_is_told_are_kept_to() {
        let mut machine = Machine {
            home: "/h".into(),
            ..Machine::default()
        };
        let file = |machine: &Machine| servers_file(machine).to_string_lossy().into_owned();
        let usual = "/h/.cline/data/settings/cline_mcp_settings.json";
        assert_eq!(file(&machine), usual);
        for (name, value, wanted) in [
            (
                "CLINE_DIR",
                "/c",
                "/c/data/settings/cline_mcp_settings.json",
            ),
            (
                "CLINE_DATA_DIR",
                "/d",
                "/d/settings/cline_mcp_settings.json",
            ),
            ("CLINE_MCP_SETTINGS_PATH", "/m.json", "/m.json"),
        ] {
            machine.vars.insert(name.into(), value.into());
            assert_eq!(file(&machine), wanted);
        }
        let plan = Cline.plan(&machine, &Found::default());
        assert_eq!(plan.steps[1].file, Path::new("/c/plugins/ecorelay.js"));
    }

    #[test]
    fn a_missing_node_and_comments_where_cline_allows_none_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = Machine {
            home: folder.path().into(),
            ..Machine::default()
        };
        let found = Found {
            program: Some("/usr/bin/cline".into()),
            version: Some(TRIED),
        };
        let messages = |machine: &Machine| -> String {
            let checks = Cline.check(machine, &found);
            checks.into_iter().map(|check| check.message).collect()
        };
        assert!(messages(&machine).contains("node"));
        let node = folder.path().join("a-node");
        std::fs::write(&node, "").unwrap();
        let node = node.to_string_lossy().into_owned();
        machine.vars.insert("CLINE_JS_RUNTIME_PATH".into(), node);
        assert_eq!(messages(&machine), "");
        let file = servers_file(&machine);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for (text, good) in [("{}", true), ("{} // mine", false), ("", false)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(messages(&machine).is_empty(), good, "{text}");
        }
    }
}
