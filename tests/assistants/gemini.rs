//! Gemini CLI.

use crate::support::gemini::{SETTINGS, WAKING, start, wait_until_armed};
use crate::support::mock_gemini::GEMINI;
use crate::support::mock_model::{Gate, MockModel};
use crate::support::scene::play;
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, tell};

#[test]
fn gemini_sends_is_woken_hears_while_busy_and_answers() {
    let test = "gemini::gemini_sends_is_woken_hears_while_busy_and_answers";
    play(test, &["gemini"], |mut scene| {
        let project = scene.project("api");
        scene.write(".gemini/settings.json", SETTINGS);
        scene.install("gemini");
        let gate = Gate::closed();
        let model = MockModel::speaking(&GEMINI, WAKING.script(gate.clone()));
        let terminal = start(&scene, &project, &model);
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");

        // Before its first turn nothing wakes it; the first prompt brings the message along.
        let id = vera.send("api", &question("the port"));
        terminal.type_line(&tell("vera", "the build is green"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "hook");
        model.wait_for_end_of("question: the port?");

        // Its model sends.
        terminal.type_line(&tell("vera", "the tests pass"));
        vera.hears("the tests pass");
        model.wait_for_end_of("the tests pass");

        // Idle: the command that waits wakes it, again and again.
        for (times, topic) in [(1, "the colour"), (2, "the smell")] {
            wait_until_armed(&model, times);
            let id = vera.send("api", &question(topic));
            vera.hears(&answer_to(topic));
            scene.wait_until_handed(&id, "hook");
        }

        // Busy, and the person has begun to type.
        wait_until_armed(&model, 3);
        model.wait_for_end_of("question: the smell?");
        terminal.type_line(WORK);
        model.wait_for("the long work", 0, |newest| newest.contains(WORK));
        terminal.type_draft("a thought of mine");
        let id = vera.send("api", &question("the taste"));
        gate.open();
        vera.hears(&answer_to("the taste"));
        scene.wait_until_handed(&id, "hook");
        terminal.wait_for(WORK_DONE);
        terminal.wait_for("a thought of mine");

        drop(terminal);
        scene.uninstall("gemini");
        assert_eq!(scene.read(".gemini/settings.json"), SETTINGS);
    });
}
