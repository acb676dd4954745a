//! OpenCode.

use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::opencode::{OpenCode, SETTINGS, SETTINGS_FILE};
use crate::support::process::run;
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, answer_to, question, scripted, tell};
use serde_json::json;

/// What a person types to have the model hand its work on.
const DELEGATE: &str = "please delegate";

/// What a person types to have the model ask for a permission.
const ASK_FIRST: &str = "please run the command";

#[test]
fn opencode_sends_is_woken_hears_while_busy_and_answers() {
    let test = "opencode::opencode_sends_is_woken_hears_while_busy_and_answers";
    play(test, &["opencode"], |mut scene| {
        let project = scene.project("api");
        prepare(&mut scene);
        let gate = Gate::closed();
        let api = OpenCode::start_in(&scene, &project, model(gate.clone()));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");

        // Before its first turn: a conversation begins and is shown.
        let id = vera.send("api", &question("the port"));
        let answer = vera.hears(&answer_to("the port"));
        assert_eq!(answer["from"], "api", "{answer}");
        scene.wait_until_handed(&id, "plugin");
        api.terminal.wait_for("question: the port?");
        api.model.wait_for_end_of("question: the port?");

        // Its model sends; what the plugin adds to the call is not shown.
        api.terminal.type_line(&tell("vera", "the build is green"));
        let told = vera.hears("the build is green");
        assert_eq!(told["from"], "api", "{told}");
        assert!(!api.terminal.shows("_ecorelay_session"));
        api.model.wait_for_end_of("please tell vera");

        // Idle.
        let id = vera.send("api", &question("the host"));
        vera.hears(&answer_to("the host"));
        scene.wait_until_handed(&id, "plugin");
        api.model.wait_for_end_of("question: the host?");

        // A dialog is open: nothing is brought in before the person has answered it.
        let before = api.model.turns();
        api.terminal.type_line(ASK_FIRST);
        api.terminal.wait_for("Permission required");
        vera.send("api", &question("the name"));
        let heard = |text: &str| api.model.heard(text);
        assert_eq!(heard("question: the name?"), 0);
        api.terminal.wait_for("Permission required");
        api.terminal.press("Enter");
        vera.hears(&answer_to("the name"));
        let (allowed, _) = api
            .model
            .wait_for("the command's result", before, |newest| {
                newest.contains("[tool_result] allowed")
            });
        let (asked, _) = api.model.wait_for("the question", before, |newest| {
            newest.contains("question: the name?")
        });
        assert!(allowed < asked, "the running turn came first");
        api.model.wait_for_end_of("question: the name?");

        // Busy, and the person has begun to type.
        api.terminal.type_line(WORK);
        api.model
            .wait_for("the long work", 0, |newest| newest.contains(WORK));
        api.terminal.type_draft("a thought of mine");
        let id = vera.send("api", &question("the colour"));
        assert_eq!(heard("question: the colour?"), 0);
        gate.open();
        vera.hears(&answer_to("the colour"));
        scene.wait_until_handed(&id, "plugin");
        api.terminal.wait_for("a thought of mine");

        drop(api);
        scene.uninstall("opencode");
        assert_eq!(scene.read(SETTINGS_FILE), SETTINGS);
    });
}

#[test]
fn two_opencode_sessions_in_one_process_are_two_peers() {
    let test = "opencode::two_opencode_sessions_in_one_process_are_two_peers";
    play(test, &["opencode"], |mut scene| {
        let project = scene.project("api");
        prepare(&mut scene);
        let gate = Gate::closed();
        let api = OpenCode::start_in(&scene, &project, model(gate.clone()));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");
        api.terminal.wait_for("Ask anything");
        api.terminal.type_line(&tell("vera", "from the first"));
        assert_eq!(vera.hears("from the first")["from"], "api");

        api.terminal.wait_for("Noted.");
        api.terminal.type_line("/new");
        api.terminal.wait_for("Ask anything");
        api.terminal.type_line(&tell("vera", "from the second"));
        assert_eq!(vera.hears("from the second")["from"], "api-2");
        scene.wait_for_peers(&["api", "api-2"]);

        for name in ["api", "api-2"] {
            let topic = format!("what {name} knows");
            vera.send(name, &question(&topic));
            assert_eq!(vera.hears(&answer_to(&topic))["from"], name);
        }
        // An agent at work for a session speaks as the session.
        api.terminal.type_line(DELEGATE);
        assert_eq!(vera.hears("from a helper")["from"], "api-2");

        // The person calls the second one by a name.
        api.terminal.wait_for("The helper has told vera.");
        api.terminal.type_line("/rename");
        api.terminal.wait_for("Rename Session");
        api.terminal.press("C-u");
        api.terminal.type_line("Billing Work");
        scene.wait_for_peers(&["api", "billing-work"]);

        drop(api);
        scene.uninstall("opencode");
    });
}

#[test]
fn a_burst_reaches_opencode_as_few_texts() {
    let test = "opencode::a_burst_reaches_opencode_as_few_texts";
    play(test, &["opencode"], |mut scene| {
        let project = scene.project("api");
        prepare(&mut scene);
        let gate = Gate::closed();
        let api = OpenCode::start_in(&scene, &project, model(gate.clone()));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");
        api.terminal.wait_for("Ask anything");
        api.terminal.type_line(WORK);
        api.model
            .wait_for("the long work", 0, |newest| newest.contains(WORK));
        for number in 1..=40 {
            vera.send("api", &format!("number {number} of many"));
        }
        gate.open();
        let (_, turn) = api.model.wait_for("the rest of the burst", 0, |newest| {
            newest.contains("more in your inbox: call relay_inbox")
        });
        assert!(turn.newest.contains("number 2 of many"), "{}", turn.newest);
        assert!(api.model.heard("of many") <= 3, "{}", api.model.seen());
        drop(api);
        scene.uninstall("opencode");
    });
}

/// Sets OpenCode up for a person who has settings of their own.
fn prepare(scene: &mut Scene) {
    scene.write(SETTINGS_FILE, SETTINGS);
    // Whatever OpenCode is asked, it makes folders for its data first.
    let mut version = scene.command("opencode", &scene.home.home());
    version.arg("--version");
    run(version).expect_code(0);
    scene.install("opencode");
}

/// The common script, and a command that needs a permission.
fn model(gate: Gate) -> MockModel {
    let script = scripted(|tool| format!("ecorelay_{tool}"), gate);
    MockModel::speaking(&CHAT, move |newest| {
        if newest.contains(ASK_FIRST) && !newest.contains("[tool_result]") {
            let input = json!({"command": "echo allowed", "description": "Says a word"});
            return Reply::tool("bash", input);
        }
        if newest.contains(DELEGATE) {
            let input = json!({
                "description": "Tell vera", "prompt": tell("vera", "from a helper"),
                "subagent_type": "general",
            });
            return Reply::tool("task", input);
        }
        if newest.contains("[tool_result] <task id=") {
            return Reply::text("The helper has told vera.");
        }
        script(newest)
    })
}
