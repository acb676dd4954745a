//! The real GitHub Copilot CLI in a terminal, with a mock model.

use super::mock_model::MockModel;
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use serde_json::json;
use std::path::Path;

/// A list of servers as a person has it.
pub(crate) const SERVERS: &str = "{\n  // mine\n  \"mcpServers\": {\n    \"other\": {\"type\": \"local\", \"command\": \"/bin/true\", \"args\": [], \"tools\": [\"none\"]}, // keep\n  },\n}";
/// Settings as a person has them.
pub(crate) const SETTINGS: &str =
    "// colours\n{ \"theme\": \"dark\",\n\n  \"enabledFeatureFlags\": { \"OTHER\": false } }\n";

/// Writes the settings of a user who trusts this project and has other servers.
pub(crate) fn prepare(scene: &mut Scene, project: &Path) {
    // Its 235 MB of unpacked parts are not looked at.
    let cache = scene.home.path().join("cache");
    let cache = cache.to_str().expect("a plain path").to_owned();
    scene.home.set("XDG_CACHE_HOME", &cache);
    scene.home.set("COPILOT_AUTO_UPDATE", "false");
    let config = json!({"trustedFolders": [project], "banner": "never"});
    scene.write(".copilot/config.json", &config.to_string());
    scene.write(".copilot/mcp-config.json", SERVERS);
    scene.write(".copilot/settings.json", SETTINGS);
}

/// Starts a session as the notes of `ecorelay install` say.
pub(crate) fn start(scene: &Scene, project: &Path, model: &MockModel) -> Terminal {
    let mut copilot = scene.command("copilot", project);
    copilot
        .arg("--allow-tool=ecorelay")
        .env("COLORTERM", "truecolor")
        .env("COPILOT_OFFLINE", "true")
        .env("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", model.url()))
        .env("COPILOT_PROVIDER_API_KEY", "dummy")
        .env("COPILOT_PROVIDER_MAX_PROMPT_TOKENS", "100000")
        .env("COPILOT_PROVIDER_MAX_OUTPUT_TOKENS", "4000")
        .env("COPILOT_MODEL", "mock-model");
    scene.terminal(name_of(project), &copilot)
}
