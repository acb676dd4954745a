//! OpenCode: an MCP server in its settings, and a plugin that brings messages into its sessions.
//!
//! OpenCode 1.18.33 runs `npm install` for its plugin library in its folder of settings, and an
//! external plugin makes its start wait for that. Without a network npm tries again and again:
//! 80 s (measured). Told not to, it gives up at once. npm reads that from the `.npmrc` beside
//! the nearest `node_modules` or `package.json`, which is why both files are written.

use crate::machine::{Machine, Version};
use crate::setup::{Abilities, Check, Edit, Found, Plan, Setup, Step};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The version with which all of this was tried.
const TRIED: Version = Version(1, 18, 33);
/// How long OpenCode waits for a tool, in milliseconds: its own 60 s are close to our longest
/// call, which waits 55 s.
const TOOL_WITHIN_MS: u32 = 120_000;
/// Most of a file of settings that is read, in bytes.
const SETTINGS_BYTES: u64 = 1024 * 1024;

/// The plugin, as it is without a data directory of its own.
const PLUGIN: &str = include_str!("../assets/opencode/ecorelay.js");
/// The line of the plugin that names the data directory.
const NO_DATA_DIR: &str = "const DATA_DIR = null\n";
/// What npm reads in OpenCode's folder.
const NPMRC: &str = "; Of EcoRelay: without a network OpenCode's start would wait a minute and a half for npm.\nfetch-retries=0\n";
/// What makes npm look for [`NPMRC`] in OpenCode's folder.
const MARKER: &str = "Of EcoRelay: lets npm read the .npmrc of the folder above.\n";

/// The row of OpenCode.
#[derive(Debug, Clone, Copy)]
pub struct OpenCode;

impl Setup for OpenCode {
    fn id(&self) -> &'static str {
        "opencode"
    }

    fn title(&self) -> &'static str {
        "OpenCode"
    }

    fn names(&self) -> &'static [&'static str] {
        &["opencode", "open-code"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "MCP",
            idle_push: "starts a turn (plugin)",
            busy_push: "after the running turn",
            cold_start: "yes: a session is begun and shown",
            receipt: "seen when the turn begins",
            tested: "1.18.33",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        // The second is where OpenCode's own installer puts it, on a path that only new shells have.
        let own = machine.home.join(".opencode/bin/opencode");
        let program = machine
            .find("opencode")
            .or_else(|| own.is_file().then_some(own));
        Found::of(program, &folder(machine), |program| {
            machine.version(program)
        })
    }

    fn plan(&self, machine: &Machine, _found: &Found) -> Plan {
        let folder = folder(machine);
        let settings = settings(&folder);
        let mut steps = vec![Step {
            file: settings.clone(),
            why: "OpenCode has EcoRelay's tools in every session",
            edit: Edit::Json {
                at: vec!["mcp".into(), "ecorelay".into()],
                value: server(machine),
            },
            consent: None,
        }];
        let mut notes =
            vec!["Start OpenCode anew: it reads its settings and plugins only then.".to_owned()];
        match permission(&settings) {
            Permission::Object => steps.push(Step {
                file: settings,
                why: "OpenCode uses EcoRelay's tools without asking",
                edit: Edit::Json {
                    at: vec!["permission".into(), "ecorelay_*".into()],
                    value: "allow".into(),
                },
                consent: None,
            }),
            Permission::Word(word) => notes.push(format!(
                "OpenCode's \"permission\" is \"{word}\" for every tool, EcoRelay's as well; write {{\"*\": \"{word}\", \"ecorelay_*\": \"allow\"}} there to change that."
            )),
            Permission::Open => {}
        }
        steps.push(Step {
            file: folder.join("plugins/ecorelay.js"),
            why: "messages reach OpenCode's sessions",
            edit: Edit::File {
                text: plugin(machine),
            },
            consent: None,
        });
        let npmrc = folder.join(".npmrc");
        let wanted = !library_is_there(&folder) || read(&npmrc) == NPMRC;
        if wanted && (read(&npmrc) == NPMRC || !npmrc.exists()) {
            let why = "OpenCode starts at once without a network";
            for (file, text) in [
                (npmrc, NPMRC),
                (folder.join("node_modules/.ecorelay"), MARKER),
            ] {
                steps.push(Step {
                    file,
                    why,
                    edit: Edit::File { text: text.into() },
                    consent: None,
                });
            }
        } else if wanted {
            notes.push(format!(
                "Without a network OpenCode's start may wait a minute and a half for npm; \"fetch-retries=0\" in {} ends that.",
                npmrc.display()
            ));
        }
        Plan { steps, notes }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = Vec::new();
        match (&found.program, found.version) {
            (None, _) => checks.push(Check::doubtful(
                format!(
                    "OpenCode's folder {} is there, but no program `opencode` is on the path.",
                    folder(machine).display()
                ),
                "Install it with `npm install -g opencode-ai`, or add its folder to PATH.",
            )),
            (Some(_), None) => checks.push(Check::doubtful(
                format!("OpenCode does not say its version; EcoRelay was tried with {TRIED}."),
                "See what `opencode --version` says.",
            )),
            (Some(_), Some(version)) if (version.0, version.1) < (TRIED.0, TRIED.1) => {
                checks.push(Check::doubtful(
                    format!(
                        "This is OpenCode {version}; EcoRelay was tried with {TRIED}, and messages may not reach sessions of older ones."
                    ),
                    "Bring it up to date: `opencode upgrade`.",
                ));
            }
            (Some(_), Some(version)) if version.0 > TRIED.0 => checks.push(Check::doubtful(
                format!("This is OpenCode {version}; EcoRelay was tried with {TRIED}."),
                "If messages do not arrive, see whether there is a newer EcoRelay.",
            )),
            _ => {}
        }
        if machine.var("OPENCODE_PURE").is_some() {
            checks.push(Check::doubtful(
                "OPENCODE_PURE is set: OpenCode loads no plugins, and messages wait in the inbox.",
                "Unset OPENCODE_PURE, and start OpenCode without --pure.",
            ));
        }
        checks
    }
}

/// Returns OpenCode's folder of settings.
fn folder(machine: &Machine) -> PathBuf {
    machine
        .folder("XDG_CONFIG_HOME", ".config")
        .join("opencode")
}

/// Returns the file of settings that the person has: of two, the one that OpenCode reads last.
fn settings(folder: &Path) -> PathBuf {
    let commented = folder.join("opencode.jsonc");
    if commented.exists() {
        commented
    } else {
        folder.join("opencode.json")
    }
}

/// Returns the entry of the MCP server.
fn server(machine: &Machine) -> Value {
    let mut command = vec![json!(machine.program.to_string_lossy()), json!("mcp")];
    if let Some(dir) = &machine.data_dir {
        command.push(json!("--data-dir"));
        command.push(json!(dir.to_string_lossy()));
    }
    json!({
        "type": "local",
        "command": command,
        "enabled": true,
        "timeout": TOOL_WITHIN_MS,
    })
}

/// Returns the plugin for this machine.
fn plugin(machine: &Machine) -> String {
    match &machine.data_dir {
        None => PLUGIN.to_owned(),
        // A JSON string is a JavaScript string.
        Some(dir) => PLUGIN.replace(
            NO_DATA_DIR,
            &format!("const DATA_DIR = {}\n", json!(dir.to_string_lossy())),
        ),
    }
}

/// What the person's settings say of tools that are not named.
enum Permission {
    /// Nothing: every tool is allowed.
    Open,
    /// There is a list of rules that may match ours; a later rule wins.
    Object,
    /// One word for all of them.
    Word(String),
}

fn permission(settings: &Path) -> Permission {
    let value = crate::settings::read(settings);
    match value.as_ref().map(|value| &value["permission"]) {
        Some(Value::String(word)) if word != "allow" => {
            Permission::Word(word.chars().take(16).collect())
        }
        Some(Value::Object(rules)) if rules.contains_key("*") => Permission::Object,
        _ => Permission::Open,
    }
}

/// Returns whether OpenCode has installed its plugin library already: then it does not wait.
fn library_is_there(folder: &Path) -> bool {
    let lock: Value =
        serde_json::from_str(&read(&folder.join("package-lock.json"))).unwrap_or_default();
    let wanted = &lock["packages"][""]["dependencies"]["@opencode-ai/plugin"];
    wanted.is_string() && folder.join("node_modules").is_dir()
}

/// Returns the text of a file; nothing where it cannot be read.
fn read(file: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = std::fs::File::open(file) {
        // What is too long is cut, and then is not what it should be.
        let _ = file.take(SETTINGS_BYTES).read_to_string(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn machine(home: &Path) -> Machine {
        Machine {
            home: home.into(),
            program: "/usr/bin/ecorelay".into(),
            ..Machine::default()
        }
    }

    fn plan(machine: &Machine) -> Plan {
        OpenCode.plan(machine, &Found::default())
    }

    fn files(plan: &Plan) -> Vec<String> {
        let names = plan.steps.iter().map(|step| &step.file);
        names
            .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_server_a_plugin_and_what_keeps_npm_short_are_planned() {
        let home = tempfile::tempdir().unwrap();
        let plan = plan(&machine(home.path()));
        assert_eq!(
            files(&plan),
            ["opencode.json", "ecorelay.js", ".npmrc", ".ecorelay"]
        );
        let Edit::Json { at, value } = &plan.steps[0].edit else {
            panic!("{plan:?}");
        };
        assert_eq!(at, &["mcp", "ecorelay"]);
        assert_eq!(value["command"], json!(["/usr/bin/ecorelay", "mcp"]));
        assert!(plan.steps.iter().all(|step| step.consent.is_none()));
    }

    #[test]
    fn the_persons_own_files_and_folders_are_kept_to() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("elsewhere");
        let folder = config.join("opencode");
        std::fs::create_dir_all(folder.join("node_modules")).unwrap();
        let mut machine = machine(home.path());
        let name = "XDG_CONFIG_HOME".to_owned();
        machine.vars.insert(name, config.display().to_string());
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();

        write(
            "opencode.jsonc",
            "{ /* mine */ \"permission\": { \"*\": \"ask\", }, }",
        );
        write(".npmrc", "registry=https://npm.example\n");
        let planned = plan(&machine);
        assert_eq!(
            files(&planned),
            ["opencode.jsonc", "opencode.jsonc", "ecorelay.js"]
        );
        assert!(
            planned
                .notes
                .iter()
                .any(|note| note.contains("fetch-retries"))
        );

        write("opencode.jsonc", "{\"permission\": \"ask\"}");
        write(
            "package-lock.json",
            r#"{"packages": {"": {"dependencies": {"@opencode-ai/plugin": "1.18.33"}}}}"#,
        );
        let planned = plan(&machine);
        assert_eq!(files(&planned), ["opencode.jsonc", "ecorelay.js"]);
        assert!(planned.notes.iter().any(|note| note.contains("permission")));
    }

    #[test]
    fn nonsense_in_the_persons_files_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/opencode");
        std::fs::create_dir_all(&folder).unwrap();
        for nonsense in [
            "",
            "{",
            "[]",
            "null",
            "{\"permission\": 7}",
            "{\"packages\": []}",
        ] {
            std::fs::write(folder.join("opencode.json"), nonsense).unwrap();
            std::fs::write(folder.join("package-lock.json"), nonsense).unwrap();
            let plan = plan(&machine(home.path()));
            assert_eq!(plan.steps.len(), 4, "{nonsense}");
        }
    }

    #[test]
    fn another_data_directory_stands_in_the_server_and_the_plugin() {
        assert!(PLUGIN.contains(NO_DATA_DIR));
        let mut machine = machine(Path::new("/h"));
        assert_eq!(plugin(&machine), PLUGIN);
        machine.data_dir = Some("/d/\"x\"".into());
        assert!(plugin(&machine).contains("const DATA_DIR = \"/d/\\\"x\\\"\"\n"));
        let command = &server(&machine)["command"];
        assert_eq!(command[2], "--data-dir");
        assert_eq!(command[3], "/d/\"x\"");
    }

    #[test]
    fn versions_and_settings_that_hinder_are_said() {
        let mut machine = machine(Path::new("/h"));
        let found = |version| Found {
            program: Some("/usr/bin/opencode".into()),
            version,
        };
        assert!(OpenCode.check(&machine, &found(Some(TRIED))).is_empty());
        let others = [None, Some(Version(1, 2, 0)), Some(Version(2, 0, 0))];
        for version in others {
            assert_eq!(OpenCode.check(&machine, &found(version)).len(), 1);
        }
        assert_eq!(OpenCode.check(&machine, &Found::default()).len(), 1);
        machine.vars.insert("OPENCODE_PURE".into(), "1".into());
        assert_eq!(OpenCode.check(&machine, &found(Some(TRIED))).len(), 1);
    }
}
