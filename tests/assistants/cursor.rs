//! Cursor CLI: a stand-in that does what is publicly known of it. The real one needs an account
//! and was never run.

use crate::support::mock_gemini::GEMINI;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::play;
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, tell};
use crate::support::wait_until;
use crate::support::waking::Waking;
use serde_json::json;

/// What a person has there already.
const SERVERS: &str = "{\n  \"mcpServers\": { }\n}\n";
const HOOKS: &str =
    "{\n  \"version\": 1,\n  \"hooks\": { \"stop\": [{ \"command\": \"true\" }] }\n}\n";

const WAKING: Waking = Waking {
    tool: |tool| format!("mcp_ecorelay_{tool}"),
    told: ("start `", "`"),
    ended: "ECORELAY_MSG\n",
    start: |command| {
        let notify = json!({"pattern": "^ECORELAY_MSG"});
        Reply::tool(
            "Shell",
            json!({"command": command, "is_background": true, "notify_on_output": notify}),
        )
    },
};

#[test]
fn a_stand_in_for_cursor_is_woken_by_a_background_command_and_hears_at_hooks() {
    let test = "cursor::a_stand_in_for_cursor_is_woken_by_a_background_command_and_hears_at_hooks";
    play(test, &["cursor-agent"], |mut scene| {
        let project = scene.project("api");
        scene.write(".cursor/mcp.json", SERVERS);
        scene.write(".cursor/hooks.json", HOOKS);
        scene.install("cursor");
        let gate = Gate::closed();
        let model = MockModel::speaking(&GEMINI, WAKING.script(gate.clone()));
        let mut cursor = scene.command("cursor-agent", &project);
        cursor.env("GOOGLE_GEMINI_BASE_URL", model.url());
        let terminal = scene.terminal("cursor", &cursor);
        scene.wait_for_peers(&["api"]);
        let mut vera = scene.peer("vera");

        // Before its first turn nothing wakes it: the first tool call brings the message along.
        let id = vera.send("api", &question("the port"));
        terminal.type_line(&tell("vera", "the build is green"));
        vera.hears(&answer_to("the port"));
        scene.wait_until_handed(&id, "hook");

        // Its model sends.
        terminal.type_line(&tell("vera", "the tests pass"));
        vera.hears("the tests pass");

        // Idle: the command that waits wakes it, again and again.
        let armed = |times| {
            wait_until("the waiting command to run", || {
                (model.heard("[tool_result] Running in the background") >= times).then_some(())
            });
        };
        for (times, topic) in [(1, "the colour"), (2, "the smell")] {
            armed(times);
            // Once the turn is over no hook can take it.
            terminal.wait_for_prompt(">");
            let id = vera.send("api", &question(topic));
            vera.hears(&answer_to(topic));
            scene.wait_until_handed(&id, "wait");
        }

        // Busy: one through the command, one at the end of the turn.
        armed(3);
        terminal.type_line(WORK);
        model.wait_for("the long work", 0, |newest| newest.contains(WORK));
        let first = vera.send("api", &question("the taste"));
        scene.wait_until_handed(&first, "wait");
        let second = vera.send("api", &question("the sound"));
        gate.open();
        vera.hears(&answer_to("the sound"));
        scene.wait_until_handed(&second, "hook");
        terminal.wait_for(WORK_DONE);

        drop(terminal);
        scene.uninstall("cursor");
        assert_eq!(scene.read(".cursor/mcp.json"), SERVERS);
        assert_eq!(scene.read(".cursor/hooks.json"), HOOKS);
    });
}
