//! What is typed when.

use crate::stage::Stage;
use serde_json::json;

#[test]
fn an_idle_prompt_gets_the_message_as_one_text() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    let id = stage.send(&mut vera, "two\nlines \u{1b}[201~ and\ta trick\r");
    let text = stage.entered(&id);
    assert!(text.starts_with("[ecorelay] message from vera ("), "{text}");
    assert!(text.contains("<<<peer-text\ntwo\nlines "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("You are \"docs\""), "{text}");
    stage.wait_until_said(&id, "handed");
    assert_eq!(stage.all_entered().len(), 1);

    let second = stage.send(&mut vera, "once more");
    let text = stage.entered(&second);
    assert!(
        !text.contains("You are"),
        "the long words come once: {text}"
    );
}

#[test]
fn a_draft_is_kept_and_entered_alone() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    stage.terminal.type_draft("half a thou");
    let id = stage.send(&mut vera, "beside your draft");
    stage.wait_until_said(&id, "the person is");
    stage.terminal.type_draft("ght");
    stage.terminal.press("Enter");
    stage.entered(&id);
    let entered = stage.all_entered();
    assert_eq!(entered[0], "half a thought", "{entered:?}");
    assert_eq!(entered.len(), 2, "{entered:?}");
}

#[test]
fn a_question_is_not_answered_and_work_is_not_disturbed() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    stage.terminal.type_line("ask");
    stage.terminal.wait_for("Run this?");
    let asked = stage.send(&mut vera, "while you are asked");
    stage.wait_until_said(&asked, "asks the person something");
    stage.terminal.press("n");
    stage.wait_for_note(&json!({"answered": "n"}));
    stage.entered(&asked);

    stage.terminal.type_line("work");
    stage.terminal.wait_for("WORKING");
    let busy = stage.send(&mut vera, "while you work");
    stage.wait_until_said(&busy, "busy");
    // What the person types ahead comes first, and stays a draft.
    stage.terminal.press("x");
    stage.open_gate();
    stage.terminal.wait_for("> x");
    stage.terminal.press("Enter");
    stage.entered(&busy);
    let entered = stage.all_entered();
    assert_eq!(entered[entered.len() - 2], "x", "{entered:?}");
}

#[test]
fn a_burst_of_forty_is_one_text_and_a_count() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    stage.terminal.type_line("work");
    stage.terminal.wait_for("WORKING");
    let ids: Vec<String> = (0..40)
        .map(|n| stage.send(&mut vera, &format!("burst {n}")))
        .collect();
    stage.open_gate();
    let text = stage.entered(&ids[0]);
    assert!(
        text.contains("burst 9\n") && !text.contains("burst 10\n"),
        "{text}"
    );
    assert!(
        text.contains("[ecorelay] and 30 more in your inbox"),
        "{text}"
    );
    let last = stage.send(&mut vera, "after the burst");
    stage.entered(&last);
    assert_eq!(stage.all_entered().len(), 3, "{:?}", stage.all_entered());
}

#[test]
fn what_was_read_in_the_inbox_meanwhile_is_not_typed() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    stage.terminal.type_line("work");
    stage.terminal.wait_for("WORKING");
    let id = stage.send(&mut vera, "read elsewhere");
    stage.wait_until_said(&id, "busy");
    let read = stage.run_inside(&["inbox"]).expect_code(0);
    assert!(read.stdout.contains("read elsewhere"), "{}", read.stdout);
    let later = stage.send(&mut vera, "not read yet");
    stage.wait_until_said(&later, "busy");
    stage.open_gate();
    let text = stage.entered(&later);
    assert!(!text.contains("read elsewhere"), "{text}");
}
