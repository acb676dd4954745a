//! The real Claude Code in a terminal, with a throw-away home and a mock model.

use super::home::{ECORELAY, TestHome};
use super::mock_model::MockModel;
use super::process::run;
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use super::{clis, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not a real key: the mock model takes any.
const KEY: &str = "sk-ant-dummy-key-0000000000000000";

/// Returns the Claude Code program ([`clis::find`]).
pub(crate) fn find(test: &str) -> Option<PathBuf> {
    clis::find(test, "claude")
}

/// An interactive Claude Code session.
pub(crate) struct ClaudeSession {
    /// Its model.
    pub(crate) model: MockModel,
    /// Its terminal.
    pub(crate) terminal: Terminal,
    home: PathBuf,
}

impl ClaudeSession {
    /// Starts a session in a project folder called `name`, with a home of its own and EcoRelay
    /// registered by Claude Code's own command.
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
                .current_dir(&project);
            command
        };
        let mut add = claude(&[
            "mcp", "add", "ecorelay", "-s", "user", "--", ECORELAY, "mcp",
        ]);
        surround(&mut add, &model);
        run(add).expect_code(0);
        Self::launch(home, name, claude(&[]), model, own_home)
    }

    /// Starts a session in a project folder of a scene, as its user would.
    pub(crate) fn start_in(scene: &Scene, project: &Path, model: MockModel) -> Self {
        Self::start_as(scene, project, scene.command("claude", project), model)
    }

    /// As [`ClaudeSession::start_in`], with a command of the caller's.
    pub(crate) fn start_as(
        scene: &Scene,
        project: &Path,
        command: Command,
        model: MockModel,
    ) -> Self {
        let own_home = scene.home.home();
        Self::launch(&scene.home, name_of(project), command, model, own_home)
    }

    fn launch(
        home: &TestHome,
        name: &str,
        mut claude: Command,
        model: MockModel,
        own_home: PathBuf,
    ) -> Self {
        surround(&mut claude, &model);
        let log = home.path().join(format!("claude-{name}.log"));
        claude.arg("--debug-file").arg(log);
        let sessions = own_home.join(".claude/sessions");
        let known = session_files(&sessions);
        let session = Self {
            terminal: Terminal::start(home, name, &claude),
            model,
            home: own_home,
        };
        session.wait_until_ready(&known);
        session
    }

    /// Types a prompt, as a person would.
    pub(crate) fn type_prompt(&self, text: &str) {
        self.terminal.type_line(text);
    }

    /// Waits until Claude Code has written what it knows of the session: it then takes input.
    fn wait_until_ready(&self, known: &[PathBuf]) {
        let folder = self.home.join(".claude/sessions");
        wait_until("Claude Code's session file", || {
            let files = session_files(&folder);
            let file = files.iter().find(|file| !known.contains(file))?;
            let session: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
            (session["status"] == "idle").then_some(())
        });
    }
}

/// Writes the settings of a user who has answered every first-start question in these projects
/// and has settings and another server already.
pub(crate) fn prepare(scene: &Scene, projects: &[&Path]) {
    let mut state = onboarded(projects[0]);
    for project in projects {
        let key = project.to_str().expect("a plain path");
        state["projects"][key] =
            state["projects"][projects[0].to_str().expect("a plain path")].clone();
    }
    state["mcpServers"] = json!({"other": {"type": "stdio", "command": "/bin/cat", "args": []}});
    let state = serde_json::to_string_pretty(&state).expect("JSON");
    scene.write(".claude.json", &state);
    scene.write(".claude/settings.json", SETTINGS);
}

/// Settings as a person has them: own order, own spaces, no newline at the end.
pub(crate) const SETTINGS: &str = "{\n    \"permissions\": {\n        \"deny\": [ \"WebFetch\" ],\n        \"allow\": [\"Bash(ls:*)\"]\n    },\n    \"includeCoAuthoredBy\": false\n}";

/// Gives Claude Code its model and keeps it from everything that wants a network.
pub(crate) fn surround(command: &mut Command, model: &MockModel) {
    command
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", KEY);
    keep_offline(command);
}

/// Keeps Claude Code from everything that wants a network.
pub(crate) fn keep_offline(command: &mut Command) {
    command
        .env("SHELL", "/bin/sh")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("DISABLE_ERROR_REPORTING", "1")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1")
        .env("IS_SANDBOX", "1");
}

fn session_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.map(|file| file.path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect()
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
