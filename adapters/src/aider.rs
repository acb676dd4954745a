//! Aider: no MCP, no hooks, nothing to set up. Its session lives in a terminal of
//! `ecorelay run`, which types messages in at the empty prompt; the model answers with the
//! `ecorelay` command, which the person lets it run.

use crate::Machine;
use crate::machine::Version;
use crate::setup::{Abilities, Check, Found, Health, Plan, Setup};
use std::io::Read as _;
use std::path::Path;

/// The version this was tried with.
const TRIED: Version = Version(0, 86, 2);
/// Most of a settings file that is read, in bytes.
const SETTINGS_BYTES: u64 = 256 * 1024;

/// Aider.
#[derive(Debug)]
pub(crate) struct Aider;

impl Setup for Aider {
    fn id(&self) -> &'static str {
        "aider"
    }

    fn title(&self) -> &'static str {
        "Aider"
    }

    fn names(&self) -> &'static [&'static str] {
        &["aider"]
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            tools: "none: /run ecorelay …, or a command the model suggests",
            idle_push: "typed at the empty prompt (ecorelay run)",
            busy_push: "waits for the prompt, also while a question or a draft stands there",
            cold_start: "yes",
            receipt: "the text showed and the prompt took it",
            tested: "0.86.2",
        }
    }

    fn find(&self, machine: &Machine) -> Option<Found> {
        let program = machine.find("aider")?;
        let version = machine.version(&program);
        Some(Found {
            program: Some(program),
            version,
        })
    }

    fn plan(&self, _machine: &Machine, _found: &Found) -> Plan {
        Plan {
            steps: Vec::new(),
            notes: vec![
                "Aider has no MCP, so no file is changed: start it with `ecorelay run -- aider`, and messages are typed in at its empty prompt.".into(),
                "Inside, `/run ecorelay send NAME TEXT` writes to another session and `/run ecorelay reply ID TEXT` answers one.".into(),
            ],
        }
    }

    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check> {
        let mut checks = vec![version(found)];
        let settings = machine.home.join(".aider.conf.yml");
        if switches_off(&settings, "fancy-input") {
            checks.push(Check::doubtful(
                format!(
                    "{} switches fancy-input off: messages are typed as one line then, and long ones are cut.",
                    settings.display()
                ),
                "Take fancy-input out of that file.",
            ));
        }
        checks
    }
}

fn version(found: &Found) -> Check {
    match found.version {
        None => Check::bad(
            "Aider does not say its version; its Python may be missing.",
            "Run `aider --version` and mend what it complains of, or install it anew with `python -m pip install aider-chat`.",
        ),
        Some(version) if version != TRIED => Check::doubtful(
            format!("Aider {version} is here; this was tried with {TRIED}."),
            "Send it a message and look with `ecorelay why` what became of it.",
        ),
        Some(version) => Check {
            health: Health::Good,
            message: format!("Aider {version} is here, started with `ecorelay run -- aider`."),
            remedy: String::new(),
        },
    }
}

/// Returns whether a settings file of plain `key: value` lines switches something off.
fn switches_off(file: &Path, key: &str) -> bool {
    let mut text = Vec::new();
    let read =
        std::fs::File::open(file).and_then(|file| file.take(SETTINGS_BYTES).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    read.is_ok()
        && text.lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let value = line.strip_prefix(key).map(str::trim_start);
            let value = value.and_then(|value| value.strip_prefix(':'));
            value.is_some_and(|value| matches!(value.trim(), "false" | "no" | "off"))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn nothing_is_changed() {
        let machine = Machine::default();
        assert!(Aider.plan(&machine, &Found::default()).steps.is_empty());
        assert_eq!(Aider.find(&machine), None);
    }

    #[test]
    fn what_hinders_is_found_and_nonsense_is_not() {
        let home = tempfile::tempdir().unwrap();
        let machine = Machine {
            home: home.path().into(),
            ..Machine::default()
        };
        let found = Found {
            program: Some("/usr/bin/aider".into()),
            version: Some(TRIED),
        };
        for (settings, checks) in [
            ("# fancy-input: false\nmodel: x\n", 1),
            ("fancy-input: false # slow\n", 2),
            ("fancy-input : no", 2),
            ("fancy-input: true", 1),
            ("fancy-inputs: false", 1),
            ("\0\u{1b}[", 1),
        ] {
            std::fs::write(home.path().join(".aider.conf.yml"), settings).unwrap();
            let found = Aider.check(&machine, &found);
            assert_eq!(found.len(), checks, "{settings:?}");
            assert_eq!(found[0].health, Health::Good);
        }
        let missing = Aider.check(&machine, &Found::default());
        assert_eq!(missing[0].health, Health::Bad);
    }
}
