//! The real Cline CLI in a terminal, with a mock model.

use super::mock_model::MockModel;
use super::process::run;
use super::scene::Scene;
use super::terminal::Terminal;
use super::wait_until;
use std::path::Path;

/// What every process of Cline is started with. It goes on without its plugins where they take
/// longer than 4 s to start.
const VARIABLES: [(&str, &str); 2] = [
    ("CLINE_NO_AUTO_UPDATE", "1"),
    ("CLINE_PLUGIN_IMPORT_TIMEOUT_MS", "60000"),
];

/// A list of servers as a person has it; Cline takes no comments there.
pub(crate) const SERVERS: &str = "{\n   \"mcpServers\" : {\n     \"other\": {\"command\": \"/bin/cat\", \"disabled\": true}\n   },\n\n   \"mine\": [1,\n 2]}";

/// Writes the settings of a user who has chosen a model and has other servers.
pub(crate) fn prepare(scene: &Scene, project: &Path, model: &MockModel) {
    let url = format!("{}/v1", model.url());
    let mut auth = scene.command("cline", project);
    auth.args(["auth", "-p", "openai-compatible", "-k", "dummy"])
        .args(["-m", "mock-model", "-b", &url]);
    run(auth).expect_code(0);
    scene.write(".cline/data/settings/cline_mcp_settings.json", SERVERS);
}

/// Closes the advertisement that the first start shows; a key that is pressed too early is lost.
pub(crate) fn close_notice(terminal: &Terminal) {
    const NOTICE: &str = "Try ClinePass";
    terminal.wait_for(NOTICE);
    terminal.press("Escape");
    wait_until("the notice to be gone", || {
        (!terminal.shows(NOTICE)).then_some(())
    });
}

/// Starts a session.
pub(crate) fn start(scene: &Scene, label: &str, project: &Path) -> Terminal {
    let mut cline = scene.command("cline", project);
    cline.arg("-i").env("COLORTERM", "truecolor");
    cline.envs(VARIABLES);
    scene.terminal(label, &cline)
}

/// Starts Cline's hub, which then runs the sessions of all terminals. `more` are variables that it
/// gets as well.
pub(crate) fn start_hub(scene: &Scene, more: &[(&str, &str)]) {
    let mut hub = scene.command("cline", &scene.project("elsewhere"));
    hub.args(["hub", "start"]);
    hub.envs(VARIABLES.into_iter().chain(more.iter().copied()));
    run(hub).expect_code(0);
}
