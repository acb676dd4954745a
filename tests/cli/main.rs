//! The command line as people and scripts meet it: one JSON document per command, with the keys
//! of the tool of that name; the exit codes 0, 1, 2 and 3; words that say what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hub;
mod install;
mod mesh;
mod pairing;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use serde_json::Value;
use support::home::TestHome;
use support::process::Finished;

#[test]
fn help_version_and_completions_need_no_hub() {
    let home = TestHome::new();
    let help = home.run(&["--help"]).expect_code(0).stdout;
    for command in [
        "up",
        "node",
        "mcp",
        "peers",
        "send",
        "inbox",
        "reply",
        "broadcast",
        "room",
        "group",
        "watch",
        "run",
        "why",
        "pair",
        "invite",
        "join",
        "connect",
        "hubs",
        "rendezvous",
        "doctor",
        "import",
        "completions",
        "install",
        "uninstall",
    ] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command}: {help}"
        );
        home.run(&[command, "--help"]).expect_code(0);
    }
    let version = home.run(&["--version"]).expect_code(0).stdout;
    assert_eq!(
        version.trim(),
        format!("ecorelay {}", env!("CARGO_PKG_VERSION"))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]).expect_code(0).stdout;
        assert!(script.contains("broadcast"), "{shell}");
    }
    assert!(home.hubs().is_empty());
}

/// Runs a command as `name` with `--json`; returns its one document.
fn json_of(home: &TestHome, name: &str, args: &[&str]) -> Value {
    plain_json(home, &[&["--as", name], args].concat())
}

/// Runs a command with `--json`; returns its one document.
fn plain_json(home: &TestHome, args: &[&str]) -> Value {
    let finished: Finished = home.run(&[args, &["--json"]].concat()).expect_code(0);
    assert_eq!(
        finished.stdout.trim_end().lines().count(),
        1,
        "one line: {finished:?}"
    );
    finished.json()
}
