//! The real Codex CLI in a terminal, with a mock model.

use super::mock_model::MockModel;
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use std::path::Path;
use std::process::Command;

/// Where a person's settings stand, below the home.
pub(crate) const SETTINGS_FILE: &str = ".codex/config.toml";

/// What stands below the box in which a person types, once Codex is ready.
pub(crate) const READY: &str = "Ask Codex to do anything";

/// Returns the settings of a person who has used Codex before.
pub(crate) fn settings(model: &MockModel, project: &Path) -> String {
    format!(
        r#"# Keep this line.
model = "gpt-5.5"
model_provider = "office"   # ours
check_for_update_on_startup = false
approval_policy = "on-request"
sandbox_mode = "read-only"

[analytics]
enabled = false

[model_providers.office]
name = "office"
base_url = "{url}/v1"
env_key = "MOCK_KEY"
wire_api = "responses"
requires_openai_auth = false
supports_websockets = false
request_max_retries = 0
stream_max_retries = 0

[mcp_servers.tickets]   # somebody else's
command = "tickets-mcp"
enabled = false

[notice.model_migrations]
"gpt-5.5" = "gpt-6-sol"

[projects."{project}"]
trust_level = "trusted"
# The end.
"#,
        url = model.url(),
        project = project.display(),
    )
}

/// Returns Codex, to be started in a project folder with these words on its command line.
pub(crate) fn command(scene: &Scene, project: &Path, words: &[&str]) -> Command {
    let mut command = scene.command("codex", project);
    command.args(words).env("MOCK_KEY", "none");
    command
}

/// Starts a session as its user would, and waits until it takes input.
pub(crate) fn start(scene: &Scene, project: &Path, words: &[&str]) -> Terminal {
    let terminal = scene.terminal(name_of(project), &command(scene, project, words));
    terminal.wait_for(READY);
    terminal
}
