//! Cline CLI.

use crate::support::cline::{SERVERS, close_notice, prepare, start, start_hub};
use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::wait_until;

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

#[test]
fn cline_hears_by_its_hub_once_its_plugin_has_ended() {
    let test = "cline::cline_hears_by_its_hub_once_its_plugin_has_ended";
    play(test, &["cline"], |mut scene| {
        let project = scene.project("shop");
        let gate = Gate::closed();
        let model = MockModel::speaking(&CHAT, script(&gate));
        prepare(&scene, &project, &model);
        scene.install("cline");
        // Instead of the half hour after which Cline ends a plugin in whose session nothing happens.
        start_hub(&scene, &[("CLINE_PLUGIN_IDLE_TIMEOUT_MS", "2000")]);
        let shop = start(&scene, "shop", &project);
        // The plugin was there: it has given the session the name of its folder.
        scene.wait_for_peers(&["shop"]);
        let mut vera = scene.peer("vera");
        close_notice(&shop);

        // Idle.
        wait_for_end_of_plugin(&scene);
        let id = vera.send("shop", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "cline-hub");
        model.wait_for_end_of("question: the port?");

        // Busy with one long request, and the person has begun to type: the message waits for
        // the end of the turn.
        shop.type_until(WORK, || model.heard(WORK) > 0);
        let (at, _) = model.wait_for("the long work", 0, |newest| newest.contains(WORK));
        shop.type_draft("a thought of mine");
        wait_for_end_of_plugin(&scene);
        let id = vera.send("shop", &question("the colour"));
        assert_eq!(model.turns(), at + 1, "the turn goes on alone");
        gate.open();
        vera.hears(&answer_to("the colour"));
        scene.wait_until_handed(&id, "cline-hub");
        shop.wait_for(WORK_DONE);
        shop.wait_for("a thought of mine");
        assert_eq!(model.heard("question: the colour?"), 1, "told once");
        drop(shop);
        scene.uninstall("cline");
    });
}

#[test]
fn cline_without_node_hears_by_its_hub() {
    let test = "cline::cline_without_node_hears_by_its_hub";
    play(test, &["cline"], |mut scene| {
        let project = scene.project("shop");
        let model = MockModel::speaking(&CHAT, script(&Gate::closed()));
        prepare(&scene, &project, &model);
        scene.install("cline");
        start_hub(&scene, &[("CLINE_JS_RUNTIME_PATH", "/bin/false")]);
        let shop = start(&scene, "shop", &project);
        // Without its plugin it is called after the folder in which the hub was started.
        scene.wait_for_peers(&["elsewhere"]);
        let mut vera = scene.peer("vera");
        let id = vera.send("elsewhere", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "cline-hub");
        drop(shop);
        scene.uninstall("cline");
    });
}

/// Waits until no plugin of ours runs.
fn wait_for_end_of_plugin(scene: &Scene) {
    wait_until("the end of the plugin", || {
        let processes = scene.home.processes();
        let runs_plugins = |word: &String| word.contains("plugin-sandbox");
        let runs = processes
            .iter()
            .any(|process| process.command.iter().any(runs_plugins));
        (!runs).then_some(())
    });
}

/// Returns the script of a model, with the tools' names as Cline has them.
fn script(gate: &Gate) -> impl Fn(&str) -> Reply + use<> {
    scripted(|tool| format!("ecorelay__{tool}"), gate.clone())
}
