//! The plugins that EcoRelay puts into assistants: one shared part that finds the session's
//! channel, and the assistant's own part behind it, in one file.

use crate::Machine;
use serde_json::Value;

/// The part that all of them share.
const ATTACH: &str = include_str!("../assets/attach.mjs");
/// The line of it that names the data directory.
const USUAL_DIR: &str = "const DATA_DIR = \"\";";

/// Returns the text of a plugin whose own part is `own`.
pub(crate) fn text(machine: &Machine, own: &str) -> String {
    let dir = match &machine.data_dir {
        Some(dir) => Value::from(dir.to_string_lossy()).to_string(),
        None => "\"\"".into(),
    };
    let shared = ATTACH.replacen(USUAL_DIR, &format!("const DATA_DIR = {dir};"), 1);
    format!("{shared}{own}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_data_directory_of_its_own_stands_in_the_plugin_as_a_string() {
        let mut machine = Machine::default();
        assert!(text(&machine, "// own").contains(USUAL_DIR));
        machine.data_dir = Some("/a \"b\"\\n".into());
        let text = text(&machine, "// own");
        assert!(
            text.contains(r#"const DATA_DIR = "/a \"b\"\\n";"#),
            "{text}"
        );
        assert!(text.ends_with("// own"));
    }
}
