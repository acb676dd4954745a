//! Antigravity CLI: a stand-in that does what is publicly known of it. The real one needs an
//! account and was never run.

use crate::support::mock_gemini::GEMINI;
use crate::support::mock_model::{Gate, MockModel};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::terminal::Terminal;

/// What a person has there already.
const SERVERS: &str = "{\n    \"mcpServers\": {}\n}\n";
const HOOKS: &str =
    "{\n  \"mine\": { \"Stop\": [{ \"type\": \"command\", \"command\": \"true\" }] }\n}\n";

#[test]
fn a_stand_in_for_agy_is_told_through_its_own_command() {
    let test = "agy::a_stand_in_for_agy_is_told_through_its_own_command";
    play(test, &["agy"], |mut scene| {
        let gate = Gate::closed();
        let (terminal, model) = start(&mut scene, gate.clone());
        let mut vera = scene.peer("vera");

        // Before its first turn there is no conversation; its first turn brings the message.
        let id = vera.send("api", &question("the port"));
        terminal.type_line(&tell("vera", "the build is green"));
        vera.hears(&answer_to("the port"));
        // By its hook, or by the command once the conversation is there: whichever is first.
        scene.wait_until_handed(&id, "handed");

        // Its model sends.
        terminal.type_line(&tell("vera", "the tests pass"));
        vera.hears("the tests pass");

        // Idle: once the turn is over no hook can take it.
        terminal.wait_for_prompt(">");
        let id = vera.send("api", &question("the colour"));
        vera.hears(&answer_to("the colour"));
        scene.wait_until_handed(&id, "agentapi");

        // Busy.
        terminal.type_line(WORK);
        model.wait_for("the long work", 0, |newest| newest.contains(WORK));
        vera.send("api", &question("the taste"));
        gate.open();
        vera.hears(&answer_to("the taste"));
        terminal.wait_for(WORK_DONE);

        finish(scene, terminal);
    });
}

fn start(scene: &mut Scene, gate: Gate) -> (Terminal, MockModel) {
    let project = scene.project("api");
    scene.write(".gemini/config/mcp_config.json", SERVERS);
    scene.write(".gemini/config/hooks.json", HOOKS);
    scene.install("agy");
    let script = scripted(|tool| format!("mcp_ecorelay_{tool}"), gate);
    let model = MockModel::speaking(&GEMINI, script);
    let mut agy = scene.command("agy", &project);
    agy.env("GOOGLE_GEMINI_BASE_URL", model.url());
    let terminal = scene.terminal("agy", &agy);
    scene.wait_for_peers(&["api"]);
    (terminal, model)
}

fn finish(mut scene: Scene, terminal: Terminal) {
    drop(terminal);
    scene.uninstall("agy");
    assert_eq!(scene.read(".gemini/config/mcp_config.json"), SERVERS);
    assert_eq!(scene.read(".gemini/config/hooks.json"), HOOKS);
}
