//! The real OpenCode in a terminal, with a mock model.

use super::mock_model::MockModel;
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use serde_json::{Value, json};
use std::path::Path;

/// Where a person's settings stand, below the home.
pub(crate) const SETTINGS_FILE: &str = ".config/opencode/opencode.jsonc";

/// Settings as a person has them: comments, own order and spaces, another server, a comma at the
/// end, no newline.
pub(crate) const SETTINGS: &str = r#"{
    // How I like it.
    "$schema": "https://opencode.ai/config.json",
    "share":"disabled",   "autoupdate": false,
    "permission": { "bash": "ask" /* I want to see them */ },
    "mcp": {
        "other": { "type": "local", "command": ["/bin/cat"], "enabled": false },
    },
}"#;

/// An interactive OpenCode.
pub(crate) struct OpenCode {
    /// Its model.
    pub(crate) model: MockModel,
    /// Its terminal.
    pub(crate) terminal: Terminal,
}

impl OpenCode {
    /// Starts OpenCode in a project folder of a scene, as its user would.
    pub(crate) fn start_in(scene: &Scene, project: &Path, model: MockModel) -> Self {
        Self::start_with(scene, project, model, &[])
    }

    /// As [`OpenCode::start_in`], with words on its command line.
    pub(crate) fn start_with(
        scene: &Scene,
        project: &Path,
        model: MockModel,
        words: &[&str],
    ) -> Self {
        let mut command = scene.command("opencode", project);
        command
            .args(words)
            .env("OPENCODE_CONFIG_CONTENT", provider(&model).to_string())
            .env("OPENCODE_DISABLE_AUTOUPDATE", "1")
            .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
            .env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1");
        let terminal = scene.terminal(name_of(project), &command);
        Self { model, terminal }
    }
}

impl Drop for OpenCode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the model's view\n{}", self.model.seen());
        }
    }
}

/// Returns the settings that name the model.
fn provider(model: &MockModel) -> Value {
    json!({
        "model": "mock/mock-model",
        "small_model": "mock/mock-model",
        "enabled_providers": ["mock"],
        "provider": {"mock": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "dummy"},
            "models": {"mock-model": {
                "tool_call": true,
                "limit": {"context": 100_000, "output": 4_000},
            }},
        }},
    })
}
