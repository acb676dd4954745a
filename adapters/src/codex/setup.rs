//! Setting Codex up: one table in its `config.toml`.

use crate::machine::{Machine, Version};
use crate::setup::{Abilities, Check, Edit, Found, Health, Plan, Setup, Step};
use serde_json::{Value, json};

/// The first version of which it is known that it takes a default approval for one server and
/// has a queue for each thread.
const QUEUE_SINCE: Version = Version(0, 150, 0);
/// The version with which all of this was tried.
const TRIED: Version = Version(0, 169, 0);
/// How long Codex waits for the channel to start, in seconds; it takes some milliseconds.
const START_WITHIN_S: u32 = 10;
/// How long Codex waits for a tool, in seconds; the longest call waits 55.
const TOOL_WITHIN_S: u32 = 60;
/// What the channel needs from Codex's environment: Codex gives its servers next to nothing.
const VARIABLES: [&str; 5] = [
    "CODEX_HOME",
    "ECORELAY_DATA_DIR",
    "ECORELAY_PUSH",
    "RELAY_HUB_SOCKET",
    "RELAY_PEER_ID",
];

/// The row of Codex CLI.
#[derive(Debug, Clone, Copy)]
pub struct Codex;

impl Setup for Codex {
    fn id(&self) -> &'static str {
        "codex"
    }

    fn title(&self) -> &'static str {
        "Codex CLI"
    }

    fn names(&self) -> &'static [&'static str] {
        &["codex", "codex-cli"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "starts a turn",
            busy_push: "after the running turn",
            cold_start: "yes, but not with --no-daemon",
            receipt: "seen in the thread's log",
            tested: "0.169.0",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        Found::look(machine, "codex", &machine.folder("CODEX_HOME", ".codex"))
    }

    fn plan(&self, machine: &Machine, found: &Found) -> Plan {
        let approves = has_queue(found);
        let mut notes = vec![
            "Sessions of Codex that run already get the tools when they are started anew."
                .to_owned(),
        ];
        notes.push(if approves {
            "Codex uses EcoRelay's tools without asking (default_tools_approval_mode of this one server); everything else asks as before.".to_owned()
        } else {
            format!(
                "Codex asks before it uses EcoRelay's tools: {}, and only {QUEUE_SINCE} and later are known to take that setting.",
                version_words(found)
            )
        });
        Plan {
            steps: vec![Step {
                file: machine.folder("CODEX_HOME", ".codex").join("config.toml"),
                why: "Codex has EcoRelay's tools in every session",
                edit: Edit::Toml {
                    at: vec!["mcp_servers".into(), "ecorelay".into()],
                    value: server(machine, approves),
                },
                consent: None,
            }],
            notes,
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        if found.program.is_none() {
            let folder = machine.folder("CODEX_HOME", ".codex");
            return vec![Check::doubtful(
                format!(
                    "Codex's folder {} is there, but no program `codex` is on the path.",
                    folder.display()
                ),
                "Install it with `npm install -g @openai/codex`, or add its folder to PATH.",
            )];
        }
        let mut checks = Vec::new();
        if machine.var("RELAY_PEER_ID").is_some() {
            checks.push(Check::doubtful(
                "RELAY_PEER_ID is set: it names sessions of `codex --no-daemon`, but no thread of a daemon, which has the environment of whoever has started it first.",
                "Name a thread with /rename in Codex.",
            ));
        }
        if !has_queue(found) {
            checks.push(Check::doubtful(
                format!(
                    "{}; messages reach live sessions from {QUEUE_SINCE} on, before that they wait in the inbox.",
                    version_words(found)
                ),
                "Bring it up to date: `npm install -g @openai/codex@latest`, then `ecorelay install codex`.",
            ));
        } else if found.version.is_some_and(|version| version < TRIED) {
            checks.push(Check {
                health: Health::Good,
                message: format!("{}; EcoRelay was tried with {TRIED}.", version_words(found)),
                remedy: String::new(),
            });
        }
        checks
    }
}

/// Returns whether this is a version with a queue and a default approval.
fn has_queue(found: &Found) -> bool {
    found.version.is_some_and(|version| version >= QUEUE_SINCE)
}

fn version_words(found: &Found) -> String {
    match found.version {
        Some(version) => format!("this is Codex {version}"),
        None => "the version of this Codex is not known".into(),
    }
}

/// Returns the table of the MCP server.
fn server(machine: &Machine, approves: bool) -> Value {
    let mut args = vec![json!("mcp")];
    if let Some(dir) = &machine.data_dir {
        args.push(json!("--data-dir"));
        args.push(json!(dir.to_string_lossy()));
    }
    let mut server = json!({
        "command": machine.program.to_string_lossy(),
        "args": args,
        "env_vars": VARIABLES,
        "startup_timeout_sec": START_WITHIN_S,
        "tool_timeout_sec": TOOL_WITHIN_S,
    });
    if approves {
        server["default_tools_approval_mode"] = "approve".into();
    }
    server
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn machine() -> Machine {
        Machine {
            home: "/h".into(),
            program: "/usr/bin/ecorelay".into(),
            ..Machine::default()
        }
    }

    fn found(version: Option<Version>) -> Found {
        Found {
            program: Some("/usr/bin/codex".into()),
            version,
        }
    }

    fn value(version: Option<Version>) -> Value {
        match &Codex.plan(&machine(), &found(version)).steps[0].edit {
            Edit::Toml { at, value } => {
                assert_eq!(at, &["mcp_servers", "ecorelay"]);
                value.clone()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_server_is_registered_and_only_its_tools_are_approved() {
        let value = value(Some(TRIED));
        assert_eq!(value["command"], "/usr/bin/ecorelay");
        assert_eq!(value["args"], json!(["mcp"]));
        assert_eq!(value["default_tools_approval_mode"], "approve");
        assert!(value.get("env").is_none());
    }

    #[test]
    fn an_old_or_unknown_version_gets_no_setting_that_it_may_not_know() {
        for version in [None, Some(Version(0, 98, 0))] {
            assert!(value(version).get("default_tools_approval_mode").is_none());
            let checks = Codex.check(&machine(), &found(version));
            assert_eq!(checks[0].health, Health::Doubtful);
            assert!(!checks[0].remedy.is_empty());
        }
        assert!(Codex.check(&machine(), &found(Some(TRIED))).is_empty());
    }

    #[test]
    fn a_name_that_a_daemon_cannot_give_is_said() {
        let mut machine = machine();
        machine.vars.insert("RELAY_PEER_ID".into(), "api".into());
        let checks = Codex.check(&machine, &found(Some(TRIED)));
        assert_eq!(checks[0].health, Health::Doubtful);
        assert!(checks[0].remedy.contains("/rename"));
    }

    #[test]
    fn another_folder_of_codex_and_another_data_directory_are_kept_to() {
        let mut machine = machine();
        machine.vars.insert("CODEX_HOME".into(), "/c".into());
        machine.data_dir = Some("/d".into());
        let plan = Codex.plan(&machine, &found(None));
        assert_eq!(plan.steps[0].file, std::path::Path::new("/c/config.toml"));
        let value = server(&machine, false);
        assert_eq!(value["args"], json!(["mcp", "--data-dir", "/d"]));
    }

    #[test]
    fn a_folder_without_a_program_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = machine();
        machine.home = folder.path().into();
        assert_eq!(Codex.find(&machine), None);
        std::fs::create_dir(folder.path().join(".codex")).unwrap();
        let found = Codex.find(&machine).unwrap();
        assert_eq!(found, Found::default());
        assert_eq!(Codex.check(&machine, &found).len(), 1);
    }
}
