//! Cline CLI.

use crate::support::cline::{SERVERS, close_notice, prepare, start};
use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::play;
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};

#[test]
fn cline_sends_is_woken_hears_while_busy_and_answers() {
    let test = "cline::cline_sends_is_woken_hears_while_busy_and_answers";
    play(test, &["cline"], |mut scene| {
        let project = scene.project("shop");
        let gate = Gate::closed();
        let model = MockModel::speaking(&CHAT, script(&gate));
        prepare(&scene, &project, &model);
        scene.install("cline");
        let shop = start(&scene, "shop", &project);
        scene.wait_for_peers(&["shop"]);
        let mut vera = scene.peer("vera");

        // Idle, and before its first turn.
        let id = vera.send("shop", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "plugin");
        model.wait_for_end_of("question: the port?");

        // Its model sends.
        close_notice(&shop);
        let told = tell("vera", "the build is green");
        shop.type_until(&told, || model.heard(&told) > 0);
        vera.hears("the build is green");

        // Busy, and the person has begun to type: the message waits for the end of the turn.
        model.wait_for_end_of(&told);
        let before = model.turns();
        shop.type_until(WORK, || model.heard(WORK) > 0);
        let (at, _) = model.wait_for("the long work", before, |newest| newest.contains(WORK));
        shop.type_draft("a thought of mine");
        let id = vera.send("shop", &question("the colour"));
        shop.wait_for("Queued messages");
        assert_eq!(model.turns(), at + 1, "the turn goes on alone");
        gate.open();
        vera.hears(&answer_to("the colour"));
        scene.wait_until_handed(&id, "plugin");
        shop.wait_for(WORK_DONE);
        shop.wait_for("a thought of mine");

        drop(shop);
        scene.uninstall("cline");
        let file = ".cline/data/settings/cline_mcp_settings.json";
        assert_eq!(scene.read(file), SERVERS);
    });
}

/// Returns the script of a model, with the tools' names as Cline has them.
fn script(gate: &Gate) -> impl Fn(&str) -> Reply + use<> {
    scripted(|tool| format!("ecorelay__{tool}"), gate.clone())
}
