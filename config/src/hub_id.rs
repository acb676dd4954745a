//! Writing the hub's name into `config.toml`; everything else in there stays as it is.

use crate::secret::write_private;
use crate::{Config, ConfigError, DataDir};
use ecorelay_protocol::HubId;
use std::path::Path;

/// Writes `hub_id` as the hub's name into `config.toml`, comments and all other settings left as
/// they are; makes the file where there is none. Nothing is written where the file sets a name.
///
/// # Errors
/// When the file is not valid as it is, or cannot be read or written.
pub fn set_hub_id(dir: &DataDir, hub_id: &HubId) -> Result<(), ConfigError> {
    if Config::load(dir)?.hub_id.is_some() {
        return Ok(());
    }
    dir.create()?;
    let path = dir.config_file();
    let io = |action, source| ConfigError::Io {
        action,
        path: path.display().to_string(),
        source,
        remedy: "The file must be yours, readable and writable.",
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(io("cannot read", e)),
    };
    // A link stays a link: what it leads to is written.
    let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    write(&target, &with_hub_id(&text, hub_id)).map_err(|e| io("cannot write", e))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    write_private(path, text.as_bytes())
}

/// Returns the text of `config.toml` with the name in front: what stands behind a table's head
/// would belong to that table.
fn with_hub_id(text: &str, hub_id: &HubId) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    format!("hub_id = \"{hub_id}\"\n{text}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_name_is_added_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::at(folder.path().join("data"));
        let desk: HubId = "desk".parse().unwrap();
        set_hub_id(&dir, &desk).unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.config_file()).unwrap(),
            "hub_id = \"desk\"\n"
        );
        let text = "# mine\n# hub_id = \"x\"\n[mesh]\nmdns = false # no\n";
        std::fs::write(dir.config_file(), text).unwrap();
        set_hub_id(&dir, &desk).unwrap();
        let after = std::fs::read_to_string(dir.config_file()).unwrap();
        assert_eq!(after, format!("hub_id = \"desk\"\n{text}"));
        let loaded = Config::load(&dir).unwrap();
        assert_eq!(loaded.hub_id, Some(desk));
        // A name that is set is never replaced.
        set_hub_id(&dir, &"other".parse().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.config_file()).unwrap(), after);
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::at(folder.path());
        std::fs::write(dir.config_file(), "colour = 1\n").unwrap();
        assert!(set_hub_id(&dir, &"desk".parse().unwrap()).is_err());
        assert_eq!(
            std::fs::read_to_string(dir.config_file()).unwrap(),
            "colour = 1\n"
        );
    }
}
