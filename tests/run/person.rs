//! What the person has of the program: the same as without `ecorelay run`.

use crate::stage::Stage;
use crate::support::home::TestHome;
use crate::support::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

#[test]
fn the_exit_code_comes_through_and_the_terminal_is_as_before() {
    for (word, code) in [("exit 7", "CODE=7"), ("die", "CODE=143")] {
        let stage = Stage::new().ready();
        stage.terminal.type_line(word);
        stage.terminal.wait_for(code);
        stage.terminal.wait_for("icanon");
        assert!(
            !stage.terminal.shows("-icanon"),
            "{}",
            stage.terminal.screen()
        );
        wait_until("the end of the session", || {
            stage.peers().is_empty().then_some(())
        });
    }
}

#[test]
fn keys_and_the_size_of_the_window_come_through() {
    let stage = Stage::new().ready();
    stage.terminal.press("C-c");
    stage.wait_for_note(&json!({"key": "Ctrl-C"}));
    stage.terminal.press("Up");
    stage.wait_for_note(&json!({"sequence": "[A"}));
    stage.terminal.type_line("size");
    stage.terminal.wait_for("SIZE 150x50");
    stage.resize(90, 30);
    wait_until("the new size", || {
        stage.terminal.type_line("size");
        stage.terminal.shows("SIZE 90x30").then_some(())
    });
}

#[test]
fn a_signal_to_the_wrapper_ends_the_program_and_the_terminal_is_as_before() {
    let stage = Stage::new().ready();
    let wrapper = Pid::from_raw(stage.wrapper_pid()).unwrap();
    kill_process(wrapper, Signal::TERM).unwrap();
    stage.terminal.wait_for("CODE=143");
    stage.terminal.wait_for("icanon");
    assert!(
        !stage.terminal.shows("-icanon"),
        "{}",
        stage.terminal.screen()
    );
}

#[test]
fn a_killed_wrapper_takes_the_program_along_and_the_shell_has_its_terminal_back() {
    let stage = Stage::in_shell("bash", &["--norc", "-i"]);
    stage
        .terminal
        .type_line("ecorelay run --as docs -- editor --exact editor::editor --nocapture");
    let stage = stage.ready();
    let editor = stage.editor_pid();
    let wrapper = Pid::from_raw(stage.wrapper_pid()).unwrap();
    kill_process(wrapper, Signal::KILL).unwrap();
    wait_until("the end of the editor", || {
        let gone = !std::path::Path::new(&format!("/proc/{editor}")).exists();
        gone.then_some(())
    });
    stage.terminal.wait_for("Killed");
    stage.terminal.type_line("stty -a | grep -o -e '-*icanon'");
    let mode = wait_until("the terminal's mode", || {
        let screen = stage.terminal.screen();
        let mode = screen.lines().find(|row| row.ends_with("icanon"));
        mode.map(str::to_owned)
    });
    assert_eq!(mode, "icanon");
}

#[test]
fn no_shell_gets_peer_text_and_a_terminal_is_needed() {
    let home = TestHome::new();
    for shell in ["bash", "/bin/sh", "python3.11"] {
        let refused = home.run(&["run", "--", shell]).expect_code(2);
        assert!(refused.stderr.contains("carries out"), "{}", refused.stderr);
    }
    let refused = home.run(&["run", "--", "aider"]).expect_code(2);
    assert!(refused.stderr.contains("terminal"), "{}", refused.stderr);
    let refused = home
        .run(&["run", "--like", "nobody", "--", "x"])
        .expect_code(2);
    assert!(refused.stderr.contains("aider"), "{}", refused.stderr);
    home.run(&["run"]).expect_code(2);
}
