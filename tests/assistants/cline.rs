//! Cline CLI.

use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::process::run;
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::terminal::Terminal;
use crate::support::wait_until;
use std::path::Path;

/// A list of servers as a person has it; Cline takes no comments there.
const SERVERS: &str = "{\n   \"mcpServers\" : {\n     \"other\": {\"command\": \"/bin/cat\", \"disabled\": true}\n   },\n\n   \"mine\": [1,\n 2]}";

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
pub(crate) fn script(gate: &Gate) -> impl Fn(&str) -> Reply + use<> {
    scripted(|tool| format!("ecorelay__{tool}"), gate.clone())
}

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
    cline.env("CLINE_NO_AUTO_UPDATE", "1");
    // Cline goes on without its plugins where they take longer than 4 s to start.
    cline.env("CLINE_PLUGIN_IMPORT_TIMEOUT_MS", "60000");
    scene.terminal(label, &cline)
}
