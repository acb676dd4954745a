//! Whether Claude Code is on this machine and knows this program.

use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest settings file read, in bytes; it also holds Claude Code's own history.
const SETTINGS_BYTES: u64 = 64 * 1024 * 1024;

/// Where and how Claude Code starts this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The program it starts.
    pub(crate) command: String,
    /// The project it is limited to; `None` for all.
    pub(crate) project: Option<String>,
}

/// Returns the file in which Claude Code keeps its MCP servers.
pub(crate) fn settings_file() -> Option<PathBuf> {
    let folder = match std::env::var_os("CLAUDE_CONFIG_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None => std::env::home_dir()?,
    };
    Some(folder.join(".claude.json"))
}

/// Returns whether a registration for all projects or for the project at hand is there.
pub(crate) fn is_set_up() -> bool {
    let here = std::env::current_dir().ok();
    let here = here.as_deref().map(Path::to_string_lossy);
    settings_file()
        .and_then(|file| registrations(&file).ok())
        .unwrap_or_default()
        .iter()
        .any(|r| r.project.is_none() || r.project.as_deref() == here.as_deref())
}

/// Returns how this program stands in the settings file; nothing where there is no such file.
///
/// # Errors
/// In words, when the file cannot be read or is not JSON.
pub(crate) fn registrations(file: &Path) -> Result<Vec<Registration>, String> {
    let mut text = String::new();
    match std::fs::File::open(file) {
        Ok(open) => open.take(SETTINGS_BYTES).read_to_string(&mut text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => Err(e),
    }
    .map_err(|e| format!("it cannot be read: {e}"))?;
    let settings: Value =
        serde_json::from_str(&text).map_err(|e| format!("it is not valid JSON: {e}"))?;
    let mut found = in_servers(&settings["mcpServers"], None);
    for (project, own) in settings["projects"].as_object().into_iter().flatten() {
        found.extend(in_servers(&own["mcpServers"], Some(project)));
    }
    Ok(found)
}

fn in_servers(servers: &Value, project: Option<&str>) -> Vec<Registration> {
    let servers = servers.as_object().into_iter().flatten();
    servers
        .filter_map(|(_, server)| {
            let command = server["command"].as_str()?;
            let ours = Path::new(command)
                .file_stem()
                .is_some_and(|stem| stem == "ecorelay");
            let serves = server["args"].as_array()?.iter().any(|arg| arg == "mcp");
            (ours && serves).then(|| Registration {
                command: command.to_owned(),
                project: project.map(str::to_owned),
            })
        })
        .collect()
}

/// Returns where a program is found on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| {
            dir.join(program)
                .with_extension(std::env::consts::EXE_EXTENSION)
        })
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    let Ok(about) = std::fs::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    about.is_file() && runs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn registrations_are_found_whatever_the_server_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".claude.json");
        let found = |text: &str| {
            std::fs::write(&file, text).unwrap();
            registrations(&file)
        };
        let text = r#"{"mcpServers":{"relay":{"command":"/b/ecorelay","args":["mcp"]},
            "x":{"command":"ecorelay","args":["doctor"]},"y":{"url":"http://z"}},
            "projects":{"/p":{"mcpServers":{"e":{"command":"ecorelay","args":["mcp","--push","off"]}}},"/q":{}}}"#;
        let places: Vec<_> = found(text)
            .unwrap()
            .into_iter()
            .map(|r| (r.command, r.project))
            .collect();
        assert_eq!(
            places,
            [
                ("/b/ecorelay".into(), None),
                ("ecorelay".into(), Some("/p".to_owned()))
            ]
        );
        assert!(found("{").unwrap_err().contains("JSON"));
        assert_eq!(found("[]").unwrap(), []);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(registrations(&file).unwrap(), []);
    }
}
