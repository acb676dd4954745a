//! GitHub Copilot CLI.

use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::terminal::Terminal;
use serde_json::json;
use std::path::Path;

/// A list of servers as a person has it.
const SERVERS: &str = "{\n  // mine\n  \"mcpServers\": {\n    \"other\": {\"type\": \"local\", \"command\": \"/bin/true\", \"args\": [], \"tools\": [\"none\"]}, // keep\n  },\n}";
/// Settings as a person has them.
const SETTINGS: &str =
    "// colours\n{ \"theme\": \"dark\",\n\n  \"enabledFeatureFlags\": { \"OTHER\": false } }\n";

#[test]
fn copilot_cli_sends_is_woken_hears_while_busy_and_answers() {
    let test = "copilot::copilot_cli_sends_is_woken_hears_while_busy_and_answers";
    play(test, &["copilot"], |mut scene| {
        let project = scene.project("web");
        prepare(&mut scene, &project);
        scene.install("copilot");
        let gate = Gate::closed();
        let model = MockModel::speaking(&CHAT, script(&gate));
        let web = start(&scene, &project, &model);
        scene.wait_for_peers(&["web"]);
        let mut vera = scene.peer("vera");

        // Idle, and before its first turn.
        let id = vera.send("web", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "plugin");
        model.wait_for_end_of("question: the port?");

        // Its model sends.
        web.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");
        model.wait_for_end_of("please tell vera");

        // Busy, and the person has begun to type: the message waits for the end of the turn.
        let before = model.turns();
        web.type_line(WORK);
        let (at, _) = model.wait_for("the long work", before, |newest| newest.contains(WORK));
        web.type_draft("a thought of mine");
        let id = vera.send("web", &question("the colour"));
        assert_eq!(model.turns(), at + 1, "the turn goes on alone");
        gate.open();
        vera.hears(&answer_to("the colour"));
        scene.wait_until_handed(&id, "plugin");
        web.wait_for(WORK_DONE);
        web.wait_for("a thought of mine");

        drop(web);
        scene.uninstall("copilot");
        assert_eq!(scene.read(".copilot/mcp-config.json"), SERVERS);
        assert_eq!(scene.read(".copilot/settings.json"), SETTINGS);
    });
}

/// Returns the script of a model, with the tools' names as Copilot has them.
pub(crate) fn script(gate: &Gate) -> impl Fn(&str) -> crate::support::mock_model::Reply + use<> {
    scripted(|tool| format!("ecorelay-{tool}"), gate.clone())
}

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
    let label = project.file_name().and_then(|name| name.to_str());
    scene.terminal(label.expect("a plain project name"), &copilot)
}
