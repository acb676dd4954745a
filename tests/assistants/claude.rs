//! Claude Code.

use crate::support::claude::{self, ClaudeSession};
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::process::run;
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, answer_to, question, scripted, tell};
use crate::support::wait_until;

#[test]
fn claude_code_sends_is_woken_hears_while_busy_and_answers() {
    let test = "claude::claude_code_sends_is_woken_hears_while_busy_and_answers";
    play(test, &["claude"], |mut scene| {
        let project = scene.project("api");
        claude::prepare(&scene, &[&project]);
        scene.install("claude");
        let gate = Gate::closed();
        let script = scripted(|tool| format!("mcp__ecorelay__{tool}"), gate.clone());
        let api = ClaudeSession::start_in(&scene, &project, MockModel::start(script));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");

        // Idle, and before its first turn.
        let id = vera.send("api", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "inbox-socket");
        api.model.wait_for_end_of("question: the port?");

        // Its model sends.
        api.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");
        api.model.wait_for_end_of("please tell vera");

        // Busy, and the person has begun to type.
        api.terminal.type_line(WORK);
        api.model
            .wait_for("the long work", 0, |newest| newest.contains(WORK));
        api.terminal.type_draft("a thought of mine");
        let id = vera.send("api", &question("the colour"));
        scene.wait_until_handed(&id, "inbox-socket");
        gate.open();
        vera.hears(&answer_to("the colour"));
        api.terminal.wait_for("a thought of mine");

        drop(api);
        scene.uninstall("claude");
        assert_eq!(scene.read(".claude/settings.json"), claude::SETTINGS);
    });
}

#[test]
fn the_plugin_is_valid_and_brings_everything_so_that_install_changes_nothing() {
    let test = "claude::the_plugin_is_valid_and_brings_everything_so_that_install_changes_nothing";
    plugin_brings_everything(test, "claude", "inbox-socket");
}

#[test]
fn the_plugin_also_wakes_an_older_claude_code() {
    let test = "claude::the_plugin_also_wakes_an_older_claude_code";
    plugin_brings_everything(test, "claude-old", "wait");
}

/// Messages go by `path` in a session that has the plugin.
fn plugin_brings_everything(test: &str, version: &str, path: &str) {
    play(test, &[version], |scene| {
        let project = scene.project("api");
        claude::prepare(&scene, &[&project]);
        let repository = env!("CARGO_MANIFEST_DIR");
        let plugin = format!("{repository}/adapters/assets/claude_code");
        for arguments in [
            &["validate", "--strict", repository][..],
            &["validate", "--strict", &plugin],
            &["marketplace", "add", repository],
            &["install", "ecorelay@ecorelay"],
        ] {
            let mut command = scene.command("claude", &project);
            command.arg("plugin").args(arguments);
            claude::keep_offline(&mut command);
            run(command).expect_code(0);
        }
        let before = scene.read(".claude.json") + &scene.read(".claude/settings.json");
        let said = scene.ecorelay(&["install", "claude", "--yes"]).stdout;
        let after = scene.read(".claude.json") + &scene.read(".claude/settings.json");
        assert_eq!(before, after, "{said}");

        let script = scripted(
            |tool| format!("mcp__plugin_ecorelay_ecorelay__{tool}"),
            Gate::closed(),
        );
        let mut command = scene.command("claude", &project);
        command.args(["--allowedTools", "mcp__plugin_ecorelay_ecorelay__*"]);
        let _api = ClaudeSession::start_as(&scene, &project, command, MockModel::start(script));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");
        let id = vera.send("api", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, path);
    });
}

/// The versions before the inbox socket: hooks wait for messages.
#[test]
fn an_older_claude_code_is_woken_by_hooks() {
    let test = "claude::an_older_claude_code_is_woken_by_hooks";
    play(test, &["claude-old"], |mut scene| {
        let project = scene.project("api");
        claude::prepare(&scene, &[&project]);
        scene.install("claude");
        assert!(scene.read(".claude/settings.json").contains(HOOK));
        let doctor = scene.ecorelay(&["doctor", "claude"]).stdout;
        assert!(doctor.contains("through hooks that wait"), "{doctor}");

        // A session without a person in front of it ends as always.
        let model = MockModel::start(|_| Reply::text("Printed."));
        let mut print = scene.command("claude", &project);
        print.args(["-p", "say something"]);
        claude::surround(&mut print, &model);
        let printed = run(print).expect_code(0).stdout;
        assert_eq!(printed.trim(), "Printed.");

        let gate = Gate::closed();
        let script = scripted(|tool| format!("mcp__ecorelay__{tool}"), gate.clone());
        let api = ClaudeSession::start_in(&scene, &project, MockModel::start(script));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");

        // Idle, and before its first turn.
        let id = vera.send("api", &question("the port"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "wait");
        api.model.wait_for_end_of("question: the port?");

        // Idle again: the end of that turn has begun to wait anew.
        let id = vera.send("api", &question("the smell"));
        vera.hears(&answer_to("the smell"));
        scene.wait_until_handed(&id, "wait");
        api.model.wait_for_end_of("question: the smell?");

        // Its model sends.
        api.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");
        api.model.wait_for_end_of("please tell vera");

        // Busy, and the person has begun to type. The second message finds no hook: the next
        // one brings it.
        api.terminal.type_line(WORK);
        api.model
            .wait_for("the long work", 0, |newest| newest.contains(WORK));
        api.terminal.type_draft("a thought of mine");
        let id = vera.send("api", &question("the colour"));
        scene.wait_until_handed(&id, "wait");
        let late = vera.send("api", &question("the taste"));
        gate.open();
        vera.hears(&answer_to("the colour"));
        vera.hears(&answer_to("the taste"));
        scene.wait_until_handed(&late, "wait");
        api.terminal.wait_for("a thought of mine");
        api.model.wait_for_end_of("question: the taste?");

        // However many hooks were started, one waits, and none without the session.
        wait_for_hooks(&scene, 1);
        drop(api);
        wait_for_hooks(&scene, 0);
        scene.uninstall("claude");
        assert_eq!(scene.read(".claude/settings.json"), claude::SETTINGS);
    });
}

/// Hooks of an older version stand in the settings when Claude Code is updated.
#[test]
fn hooks_harm_nothing_after_an_update() {
    let test = "claude::hooks_harm_nothing_after_an_update";
    let Some(updated) = claude::find(test) else {
        return;
    };
    play(test, &["claude-old"], |mut scene| {
        let project = scene.project("api");
        claude::prepare(&scene, &[&project]);
        scene.install("claude");
        let program = scene.home.path().join("bin/claude");
        std::fs::remove_file(&program).expect("remove the old version");
        std::os::unix::fs::symlink(&updated, &program).expect("the new version");

        let script = scripted(|tool| format!("mcp__ecorelay__{tool}"), Gate::closed());
        let api = ClaudeSession::start_in(&scene, &project, MockModel::start(script));
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");
        for topic in ["the port", "the colour"] {
            wait_for_hooks(&scene, 0);
            let id = vera.send("api", &question(topic));
            vera.hears(&answer_to(topic));
            scene.wait_until_handed(&id, "inbox-socket");
            api.model.wait_for_end_of(&question(topic));
            assert_eq!(api.model.heard(&question(topic)), 1, "it comes once");
        }
        wait_for_hooks(&scene, 0);
        drop(api);

        // Installing again takes them out.
        scene.ecorelay(&["install", "claude", "--yes"]);
        assert!(!scene.read(".claude/settings.json").contains(HOOK));
        scene.uninstall("claude");
        assert_eq!(scene.read(".claude/settings.json"), claude::SETTINGS);
    });
}

/// In the command line of each hook.
const HOOK: &str = "ecorelay hook claude";

/// Waits until this many hooks of a scene run.
fn wait_for_hooks(scene: &Scene, wanted: usize) {
    let program = format!("{}/bin/{HOOK}", scene.home.path().display());
    wait_until(&format!("{wanted} hooks to run"), || {
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        let running = lines.filter(|line| line.starts_with(&program)).count();
        (running == wanted).then_some(())
    });
}
