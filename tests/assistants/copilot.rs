//! GitHub Copilot CLI.

use crate::support::copilot::{SERVERS, SETTINGS, prepare, start};
use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::play;
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};

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
fn script(gate: &Gate) -> impl Fn(&str) -> Reply + use<> {
    scripted(|tool| format!("ecorelay-{tool}"), gate.clone())
}
