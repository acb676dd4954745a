//! Setting assistants up, looking whether it works, and taking it back, on a made-up home with
//! the settings of an assistant that is not there itself.

use crate::support::home::TestHome;
use crate::support::process::{Finished, run};
use crate::support::terminal::Terminal;
use serde_json::json;

const SETTINGS: &str = "# mine\nmodel = \"x\" # keep\n\n[features]\na = true\n# the end\n";

/// A home with settings of Codex and no program but this one.
fn home() -> TestHome {
    let home = TestHome::new();
    std::fs::create_dir_all(home.home().join(".codex")).unwrap();
    write(&home, SETTINGS);
    home
}

fn write(home: &TestHome, text: &str) {
    std::fs::write(home.home().join(".codex/config.toml"), text).unwrap();
}

fn settings(home: &TestHome) -> String {
    std::fs::read_to_string(home.home().join(".codex/config.toml")).unwrap()
}

fn ecorelay(home: &TestHome, args: &[&str]) -> Finished {
    let mut command = home.ecorelay(args);
    command.env("PATH", home.path().join("bin"));
    run(command)
}

#[test]
fn an_assistant_is_set_up_checked_and_taken_back() {
    let home = home();
    let dry = ecorelay(&home, &["install", "codex", "--dry-run"]).expect_code(0);
    for words in [
        "~/.codex/config.toml",
        "so that",
        "+ [mcp_servers.ecorelay]",
        "Nothing was changed",
    ] {
        assert!(dry.stdout.contains(words), "{words}: {}", dry.stdout);
    }
    let refused = ecorelay(&home, &["install", "codex"]).expect_code(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    assert_eq!(settings(&home), SETTINGS);

    let done = ecorelay(&home, &["--json", "install", "--yes"])
        .expect_code(0)
        .json();
    assert_eq!(done["ok"], true);
    assert_eq!(done["assistants"][0]["id"], "codex");
    assert_eq!(done["assistants"][0]["state"], "changed");
    let text = settings(&home);
    assert!(text.starts_with(SETTINGS), "{text}");
    assert!(
        text.contains("--data-dir"),
        "the data directory is not the usual one: {text}"
    );
    let again = ecorelay(&home, &["install"]).expect_code(0);
    assert!(again.stdout.contains("is set up already"), "{again:?}");

    let document = ecorelay(&home, &["--json", "doctor", "codex"]).json();
    let findings = document["findings"].as_array().unwrap();
    let found = |check: &str| findings.iter().find(|f| f["check"] == check).unwrap();
    assert!(
        findings.iter().any(|f| f["message"] == "It is set up."),
        "{document}"
    );
    for check in ["tools", "round trip"] {
        assert_eq!(found(check)["level"], "ok", "{document}");
    }
    assert!(
        found("tools")["message"]
            .as_str()
            .unwrap()
            .contains("19 tools")
    );
    assert!(found("sessions")["remedy"].is_string(), "{document}");

    ecorelay(&home, &["uninstall", "codex", "--yes"]).expect_code(0);
    assert_eq!(settings(&home), SETTINGS);
    let again = ecorelay(&home, &["--json", "uninstall"])
        .expect_code(0)
        .json();
    assert_eq!(again, json!({"ok": true, "assistants": []}));
    let document = ecorelay(&home, &["--json", "doctor", "codex"]).json();
    let findings = document["findings"].to_string();
    assert!(findings.contains("ecorelay install codex"), "{findings}");
}

#[test]
fn the_person_is_asked_before_anything_is_changed() {
    let home = home();
    let command = home.ecorelay(&["install", "codex"]);
    let terminal = Terminal::start(&home, "no", &command);
    terminal.wait_for("Make these changes? [y/N]");
    terminal.press("Enter");
    crate::support::wait_until("the end of install", || {
        terminal.screen().is_empty().then_some(())
    });
    assert_eq!(settings(&home), SETTINGS);
    let terminal = Terminal::start(&home, "yes", &command);
    terminal.wait_for("Make these changes? [y/N]");
    terminal.type_line("y");
    crate::support::wait_until("the settings to be changed", || {
        settings(&home)
            .contains("mcp_servers.ecorelay")
            .then_some(())
    });
}

#[test]
fn what_cannot_be_set_up_is_said() {
    let home = home();
    let error = ecorelay(&home, &["install", "codx"]).expect_code(2).stderr;
    assert!(error.contains("Did you mean codex?"), "{error}");
    let error = ecorelay(&home, &["install", "gemini"])
        .expect_code(1)
        .stderr;
    assert!(error.contains("is not on this machine"), "{error}");
    let broken = "a = 1\n[mcp_servers\n";
    write(&home, broken);
    let failed = ecorelay(&home, &["install", "--yes"]).expect_code(1);
    assert!(failed.stdout.contains("config.toml, line 2"), "{failed:?}");
    assert_eq!(settings(&home), broken);
    let document = ecorelay(&home, &["--json", "install"])
        .expect_code(1)
        .json();
    assert_eq!(document["assistants"][0]["state"], "failed", "{document}");

    std::fs::remove_dir_all(home.home().join(".codex")).unwrap();
    let nothing = ecorelay(&home, &["install", "--yes"]).expect_code(0).stdout;
    assert!(
        nothing.contains("No assistant that EcoRelay knows"),
        "{nothing}"
    );
    assert!(nothing.contains("Codex CLI"), "{nothing}");
}
