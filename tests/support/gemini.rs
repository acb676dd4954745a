//! The real Gemini CLI in a terminal, with a mock model.

use super::mock_model::{MockModel, Reply};
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use super::wait_until;
use super::waking::Waking;
use serde_json::json;
use std::path::Path;

/// A person's settings, with things in them that are none of ours.
pub(crate) const SETTINGS: &str = r#"{
  // No questions at the start.
  "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": false } },
  "general": { "enableAutoUpdate": false },
  "privacy": { "usageStatisticsEnabled": false }, /* at work */
  "model": { "name": "gemini-2.5-flash" },
  "hooks": {
    "AfterTool": [{ "matcher": "write_file", "hooks": [{ "type": "command", "command": "true" }] }]
  }
}
"#;

/// How its model starts the waiting command.
pub(crate) const WAKING: Waking = Waking {
    tool: |tool| format!("mcp_ecorelay_{tool}"),
    told: ("call run_shell_command with command `", "`"),
    ended: "[Background command completed",
    start: |command| {
        Reply::tool(
            "run_shell_command",
            json!({"command": command, "is_background": true, "description": "wait for messages"}),
        )
    },
};

/// What the model hears once the waiting command runs.
const RUNS: &str = "Command moved to background";

/// Starts a session as its user would, and waits until it takes input.
pub(crate) fn start(scene: &Scene, project: &Path, model: &MockModel) -> Terminal {
    let mut gemini = scene.command("gemini", project);
    gemini
        .env("GEMINI_API_KEY", "dummy")
        .env("GOOGLE_GEMINI_BASE_URL", model.url());
    let terminal = scene.terminal(name_of(project), &gemini);
    terminal.wait_for("Type your message");
    terminal
}

/// Waits until the command that waits has been started so many times.
pub(crate) fn wait_until_armed(model: &MockModel, times: usize) {
    wait_until("the waiting command to run", || {
        (model.heard(RUNS) >= times).then_some(())
    });
}
