//! GitHub Copilot CLI.

use crate::support::copilot::{SERVERS, SETTINGS, prepare, start};
use crate::support::home::Process;
use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::wait_until;

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
        model.wait_for_end_of("question: the colour?");

        // A new conversation in the same terminal is the same peer.
        let before = channels(&scene);
        web.press("C-u");
        web.type_line("/clear");
        wait_until("the channel of the new conversation alone", || {
            let now = channels(&scene);
            (now.len() == 1 && now != before).then_some(())
        });
        let id = vera.send("web", &question("the name"));
        vera.hears(&answer_to("the name"));
        scene.wait_until_handed(&id, "plugin");
        scene.wait_for_peers_to_be(&["vera", "web"]);

        drop(web);
        scene.uninstall("copilot");
        assert_eq!(scene.read(".copilot/mcp-config.json"), SERVERS);
        assert_eq!(scene.read(".copilot/settings.json"), SETTINGS);
    });
}

/// Returns the process ids of the channels that run.
fn channels(scene: &Scene) -> Vec<i32> {
    let is_channel = |process: &Process| process.command.iter().any(|word| word == "mcp");
    let processes = scene.home.processes().into_iter().filter(is_channel);
    processes.map(|process| process.pid).collect()
}

/// Returns the script of a model, with the tools' names as Copilot has them.
fn script(gate: &Gate) -> impl Fn(&str) -> Reply + use<> {
    scripted(|tool| format!("ecorelay-{tool}"), gate.clone())
}
