//! The assistants on this machine.

use super::finding::{Finding, ok, warn};
use crate::claude_code::{Registration, on_path, registrations, settings_file};
use crate::identity::program;
use std::path::Path;

/// Checks whether Claude Code is here and starts this program.
pub(super) fn check() -> Vec<Finding> {
    let Some(claude) = on_path("claude") else {
        let remedy = "Install Claude Code, or add its folder to PATH.";
        return vec![warn("claude code", "`claude` is not on PATH.", remedy)];
    };
    vec![
        ok("claude code", format!("It is {}.", claude.display())),
        match settings_file() {
            None => not_set_up("No home folder is known.".to_owned()),
            Some(file) => set_up(&file),
        },
    ]
}

const CHECK: &str = "claude set-up";

fn not_set_up(message: String) -> Finding {
    warn(
        CHECK,
        message,
        format!("claude mcp add ecorelay -s user -- {} mcp", program()),
    )
}

fn set_up(file: &Path) -> Finding {
    let found = match registrations(file) {
        Ok(found) => found,
        Err(why) => return not_set_up(format!("{} tells nothing: {why}.", file.display())),
    };
    if let Some(broken) = found.iter().find(|r| !runs(r)) {
        return warn(
            CHECK,
            format!("Claude Code starts {}, which is not there.", broken.command),
            format!(
                "claude mcp remove ecorelay -s user; claude mcp add ecorelay -s user -- {} mcp",
                program()
            ),
        );
    }
    match found.iter().find(|r| r.project.is_none()) {
        Some(r) => ok(CHECK, format!("Every session starts {} mcp.", r.command)),
        None if found.is_empty() => not_set_up("Claude Code does not know EcoRelay.".to_owned()),
        None => {
            let projects: Vec<&str> = found.iter().filter_map(|r| r.project.as_deref()).collect();
            ok(
                CHECK,
                format!("Sessions in {} start EcoRelay.", projects.join(", ")),
            )
        }
    }
}

fn runs(registration: &Registration) -> bool {
    let command = Path::new(&registration.command);
    if command.components().count() > 1 {
        command.is_file()
    } else {
        on_path(&registration.command).is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_registration_of_a_program_that_is_gone_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".claude.json");
        let level = |command: &str| {
            let text = format!(
                r#"{{"mcpServers":{{"ecorelay":{{"command":"{command}","args":["mcp"]}}}}}}"#
            );
            std::fs::write(&file, text).unwrap();
            set_up(&file).level
        };
        assert_eq!(level("/nowhere/ecorelay"), Level::Warn);
        let real = folder.path().join("ecorelay");
        std::fs::write(&real, "").unwrap();
        assert_eq!(level(&real.display().to_string()), Level::Ok);
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(set_up(&file).level, Level::Warn);
    }
}
