//! The examples do what they say.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use support::process::{Live, run, run_within};
use tempfile::TempDir;

/// How long a build may take that has everything but the examples.
const BUILD: Duration = Duration::from_secs(600);

/// Returns a command for an example, with everything it keeps in `home` and nothing beyond this
/// machine.
fn example(name: &str, home: &TempDir) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // `cargo test` has built them already; a run of this file alone has not.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--examples"]);
        run_within(build, BUILD).expect_code(0);
        let test = std::env::current_exe().unwrap();
        test.parent().unwrap().parent().unwrap().join("examples")
    });
    let mut command = Command::new(folder.join(name));
    command
        .env("TMPDIR", home.path())
        .env("ECORELAY_DATA_DIR", home.path().join("data"))
        .env("ECORELAY_MESH_LISTEN", "/ip4/127.0.0.1/tcp/0")
        .env("ECORELAY_MDNS", "0")
        .env_remove("RELAY_HUB_SOCKET");
    command
}

/// Returns the next line that begins like this.
fn line_with(program: &mut Live, beginning: &str) -> String {
    loop {
        let line = program.line();
        if line.starts_with(beginning) {
            return line;
        }
    }
}

#[test]
fn a_program_with_a_hub_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let output = run(example("embed", &home)).expect_code(0).stdout;
    assert!(output.contains("Yes, all tests pass."), "{output}");
}

#[test]
fn two_nodes_become_a_mesh_and_a_message_and_its_reply_cross() {
    let home = tempfile::tempdir().unwrap();
    let output = run(example("two_nodes", &home)).expect_code(0).stdout;
    for line in [
        "bob hears from ann@desk: Do the tests pass on your machine?",
        "ann hears from bob@laptop: All of them.",
        "ann's message is Delivered",
    ] {
        assert!(output.lines().any(|l| l == line), "{output}");
    }
}

#[test]
fn the_bot_says_who_works_where() {
    let home = tempfile::tempdir().unwrap();
    let mut bot = Live::start(example("who_is_working_on_what", &home));
    line_with(&mut bot, "status-bot@");
    let ecorelay = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecorelay"));
        command
            .args(args)
            .env("ECORELAY_DATA_DIR", home.path().join("data"))
            .env_remove("RELAY_HUB_SOCKET");
        run(command).expect_code(0)
    };
    ecorelay(&[
        "send",
        "--as",
        "ann",
        "status-bot",
        "Who is working on what?",
    ]);
    line_with(&mut bot, "ann asks");
    let answer = support::wait_until("the bot's answer", || {
        let inbox = ecorelay(&["inbox", "--as", "ann", "--json"]).json();
        Some(inbox["messages"][0]["text"].as_str()?.to_owned())
    });
    // Ann acted from a terminal and is not registered.
    assert_eq!(answer, "Nobody else is here.");
    bot.signal(rustix::process::Signal::INT);
    assert!(bot.ended().success());
}

#[test]
fn two_people_chat_in_a_room() {
    let home = tempfile::tempdir().unwrap();
    let mut command = example("chat_room", &home);
    let mut ann = Live::start({
        command.arg("ann");
        command
    });
    let ticket = line_with(&mut ann, "ecorelay-ticket-");
    let mut command = example("chat_room", &home);
    command.args(["bob", &ticket]);
    let mut bob = Live::start(command);
    line_with(&mut bob, "* in lobby");
    // Said until somebody is there to hear it.
    loop {
        bob.write("hello");
        if let Some(line) = heard(&mut ann, &mut bob) {
            assert_eq!(line, "bob@bob-hub: hello");
            break;
        }
    }
    ann.write("welcome");
    assert_eq!(line_with(&mut bob, "ann@"), "ann@ann-hub: welcome");
    for person in [&mut bob, &mut ann] {
        person.write("");
        assert!(person.ended().success());
    }
}

/// Returns what ann hears of bob's line, or `None` when bob is told that nobody is there.
fn heard(ann: &mut Live, bob: &mut Live) -> Option<String> {
    support::wait_until("bob's line or word that nobody hears it", || {
        if let Some(line) = ann.try_line() {
            return line.starts_with("bob@").then_some(Some(line));
        }
        bob.try_line()
            .filter(|line| line.starts_with("* nobody"))
            .map(|_| None)
    })
}
