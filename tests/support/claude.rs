//! The real Claude Code in a terminal, with a throw-away home and a mock model.

use super::home::{ECORELAY, TestHome};
use super::mock_model::MockModel;
use super::process::run;
use super::terminal::Terminal;
use super::wait_until;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version these tests were written for; `.ci/run` installs it.
pub(crate) const VERSION: &str = "2.1.330";

/// Not a real key: the mock model takes any.
const KEY: &str = "sk-ant-dummy-key-0000000000000000";

/// Where `.ci/run` and the contributor's guide put Claude Code.
const INSTALLED: &str = ".clis/claude/node_modules/@anthropic-ai/claude-code-linux-x64/claude";

/// Returns the Claude Code program: `ECORELAY_TEST_CLAUDE`, else the one below `.clis/`.
/// Where there is none, says what is skipped.
///
/// # Panics
/// Where there is none and `ECORELAY_TEST_REQUIRE_CLAUDE` is set.
pub(crate) fn find(test: &str) -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(INSTALLED);
    let set = std::env::var_os("ECORELAY_TEST_CLAUDE").map(PathBuf::from);
    let program = set.unwrap_or(installed);
    let tmux = Command::new("tmux").arg("-V").output().is_ok();
    if program.is_file() && tmux {
        return Some(program);
    }
    let missing = format!(
        "{test}: needs tmux and Claude Code {VERSION}, looked for at {} (see CONTRIBUTING.md)",
        program.display()
    );
    if std::env::var_os("ECORELAY_TEST_REQUIRE_CLAUDE").is_some() {
        panic!("{missing}");
    }
    super::announce(&format!("SKIPPED: {missing}"));
    None
}

/// An interactive Claude Code session.
pub(crate) struct ClaudeSession {
    /// Its model.
    pub(crate) model: MockModel,
    terminal: Terminal,
    home: PathBuf,
}

impl ClaudeSession {
    /// Starts a session in a project folder called `name`, with EcoRelay registered the way the
    /// README says.
    pub(crate) fn start(claude: &Path, home: &TestHome, name: &str, model: MockModel) -> Self {
        let own_home = home.path().join(format!("home-{name}"));
        let project = home.path().join(name);
        std::fs::create_dir_all(own_home.join(".claude")).expect("a home for Claude Code");
        std::fs::create_dir_all(&project).expect("a project folder");
        write_json(&own_home.join(".claude.json"), &onboarded(&project));
        write_json(
            &own_home.join(".claude/settings.json"),
            &json!({"permissions": {"allow": ["mcp__ecorelay__*"]}}),
        );
        let claude = |args: &[&str]| {
            let mut command = home.command(claude);
            command
                .args(args)
                .env("HOME", &own_home)
                .env("RELAY_PEER_ID", name)
                .env("SHELL", "/bin/sh")
                .env("ANTHROPIC_BASE_URL", model.url())
                .env("ANTHROPIC_API_KEY", KEY)
                .env("DISABLE_AUTOUPDATER", "1")
                .env("DISABLE_TELEMETRY", "1")
                .env("DISABLE_ERROR_REPORTING", "1")
                .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
                .env("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1")
                .env("IS_SANDBOX", "1")
                .current_dir(&project);
            command
        };
        run(claude(&[
            "mcp", "add", "ecorelay", "-s", "user", "--", ECORELAY, "mcp",
        ]))
        .expect_code(0);
        let log = home.path().join(format!("claude-{name}.log"));
        let log = log.to_str().expect("a plain path").to_owned();
        let terminal = Terminal::start(home, name, &claude(&["--debug-file", &log]));
        let session = Self {
            model,
            terminal,
            home: own_home,
        };
        session.wait_until_ready();
        session
    }

    /// Types a prompt, as a person would.
    pub(crate) fn type_prompt(&self, text: &str) {
        self.terminal.type_line(text);
    }

    /// Waits until Claude Code has written what it knows of the session: it then takes input.
    fn wait_until_ready(&self) {
        let folder = self.home.join(".claude/sessions");
        wait_until("Claude Code's session file", || {
            let files = std::fs::read_dir(&folder).ok()?.flatten();
            let mut files = files.map(|file| file.path());
            let file = files.find(|path| path.extension().is_some_and(|end| end == "json"))?;
            let session: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
            (session["status"] == "idle").then_some(())
        });
    }
}

impl Drop for ClaudeSession {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the model's view\n{}", self.model.seen());
        }
    }
}

/// Returns the state of a user who has answered every first-start question.
fn onboarded(project: &Path) -> Value {
    json!({
        "hasCompletedOnboarding": true,
        "lastOnboardingVersion": "99.0.0",
        "theme": "dark",
        "autoUpdates": false,
        "customApiKeyResponses": {"approved": [&KEY[KEY.len() - 20..]], "rejected": []},
        "projects": {project.to_str().expect("a plain path"): {
            "hasTrustDialogAccepted": true,
            "hasCompletedProjectOnboarding": true,
            "projectOnboardingSeenCount": 1,
        }},
    })
}

fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).expect("write a settings file");
}
