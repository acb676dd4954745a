//! Aider, in the terminal of `ecorelay run`: it has no tools, so its model suggests the
//! `ecorelay` command and the person lets it run, or types it.

use crate::support::aider::{
    SETTINGS, answer, decline_output, start, type_at_prompt, wait_at_prompt, wait_until_asked,
};
use crate::support::mock_chat::PLAIN_CHAT;
use crate::support::mock_model::{Gate, MockModel, Reply};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, between, question};

#[test]
fn aider_is_woken_keeps_drafts_waits_while_busy_and_answers() {
    let test = "aider::aider_is_woken_keeps_drafts_waits_while_busy_and_answers";
    play(test, &["aider"], |mut scene| {
        scene.write(".aider.conf.yml", SETTINGS);
        scene.install("aider");
        let project = scene.project("docs");
        let gate = Gate::closed();
        let model = MockModel::speaking(&PLAIN_CHAT, suggests(gate.clone()));
        let terminal = start(&scene, &project, &model);
        scene.wait_for_peers(&["docs"]);
        let mut vera = scene.peer("vera");

        // Idle, and before its first turn; told how to answer without tools.
        let id = vera.send("docs", &question("the port"));
        let (_, turn) = model.wait_for("the question", 0, |newest| newest.contains(&id));
        assert!(turn.newest.contains("You are \"docs\""), "{}", turn.newest);
        scene.wait_until_handed(&id, "terminal");

        // Nothing is typed into the question whether the command may be run.
        wait_until_asked(&terminal, "Run shell command?");
        let waits = vera.send("docs", "a word while you are asked");
        wait_until_said(&scene, &waits, "asks the person something");
        answer(&terminal, "y");
        vera.hears(&answer_to("the port"));
        decline_output(&terminal);
        model.wait_for("the message that had to wait", 0, |newest| {
            newest.contains(&waits)
        });

        // The person sends.
        let sent = "/run ecorelay send vera 'the build is green'";
        type_at_prompt(&terminal, sent);
        vera.hears("the build is green");
        decline_output(&terminal);

        // Busy: it waits until the turn is over, which is not disturbed.
        let from = model.turns();
        type_at_prompt(&terminal, WORK);
        model.wait_for("the long work", from, |newest| newest.contains(WORK));
        let id = vera.send("docs", &question("the colour"));
        wait_until_said(&scene, &id, "busy");
        gate.open();
        terminal.wait_for(WORK_DONE);
        model.wait_for("the question", from, |newest| newest.contains(&id));
        wait_until_asked(&terminal, "Run shell command?");
        answer(&terminal, "y");
        vera.hears(&answer_to("the colour"));
        decline_output(&terminal);

        // A draft stays as it is, and alone.
        let from = model.turns();
        wait_at_prompt(&terminal);
        terminal.type_draft("a thought of mine");
        let id = vera.send("docs", "a word beside your draft");
        wait_until_said(&scene, &id, "person is");
        terminal.type_draft(", now whole");
        terminal.press("Enter");
        let (_, turn) = model.wait_for("the draft", from, |newest| {
            newest.contains("a thought of mine")
        });
        assert!(
            turn.newest.contains("a thought of mine, now whole"),
            "{}",
            turn.newest
        );
        assert!(!turn.newest.contains(&id), "{}", turn.newest);
        model.wait_for("the message after it", from, |newest| newest.contains(&id));

        drop(terminal);
        scene.uninstall("aider");
        assert_eq!(scene.read(".aider.conf.yml"), SETTINGS);
    });
}

/// The model: suggests a command that answers a question, and works for long when told to.
fn suggests(gate: Gate) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    move |newest| {
        // Aider repeats its own rules in the last message; the message comes before.
        if let Some((id, topic)) = pushed_question(newest) {
            let answer = answer_to(topic);
            return Reply::text(format!(
                "I suggest to answer:\n\n```bash\necorelay reply {id} \"{answer}\"\n```\n"
            ));
        }
        if newest.contains(WORK) {
            gate.pass();
            return Reply::text(WORK_DONE);
        }
        Reply::text("Noted.")
    }
}

fn pushed_question(newest: &str) -> Option<(&str, &str)> {
    let message = newest.split_once("[ecorelay] message from ")?.1;
    let id = between(message, "ask_id \"", "\"")?;
    let topic = between(message, "question: ", "?")?;
    Some((id, topic))
}

/// Waits until `ecorelay why` has said these words about the message.
fn wait_until_said(scene: &Scene, msg_id: &str, words: &str) {
    let mut said = String::new();
    let found = crate::support::found_within(crate::support::DEADLINE, || {
        said = scene.ecorelay(&["why", msg_id, "--json"]).stdout;
        said.contains(words).then_some(())
    });
    assert!(found.is_some(), "not {words:?}: {said}");
}
