//! The real Aider in the terminal of `ecorelay run`, with a mock model.

use super::mock_model::MockModel;
use super::scene::{Scene, name_of};
use super::terminal::Terminal;
use super::wait_until;
use std::path::Path;

/// What the person has in the settings file: comments and all.
pub(crate) const SETTINGS: &str = "# mine\nanalytics: false   # never\ncheck-update: false\nshow-model-warnings: false\nshow-release-notes: false\ngitignore: false\ndetect-urls: false\n";

/// Starts Aider as its user would.
pub(crate) fn start(scene: &Scene, project: &Path, model: &MockModel) -> Terminal {
    let mut command = scene.command("ecorelay", project);
    command
        .args(["run", "--", "aider"])
        .args(["--model", "openai/mock-model"])
        .args(["--weak-model", "openai/mock-model"])
        // The edit format in which Aider looks for commands.
        .args(["--edit-format", "diff", "--no-git", "--map-tokens", "0"])
        .env("OPENAI_API_BASE", format!("{}/v1", model.url()))
        .env("OPENAI_API_KEY", "dummy")
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env_remove("NO_COLOR");
    scene.terminal(name_of(project), &command)
}

/// Types a line when the prompt waits, as a person would, and presses Enter.
pub(crate) fn type_at_prompt(terminal: &Terminal, line: &str) {
    wait_at_prompt(terminal);
    terminal.type_line(line);
}

/// Waits until the prompt waits; what is typed before it is drawn looks like the program's words.
pub(crate) fn wait_at_prompt(terminal: &Terminal) {
    terminal.wait_for_prompt("diff>");
}

/// Waits until Aider asks this, and has no answer yet.
pub(crate) fn wait_until_asked(terminal: &Terminal, question: &str) {
    wait_until(&format!("the question {question:?}"), || {
        let screen = terminal.screen();
        let last = screen.lines().last()?;
        (last.contains(question) && last.ends_with("[Yes]:")).then_some(())
    });
}

/// Answers a question, as a person would.
pub(crate) fn answer(terminal: &Terminal, letter: &str) {
    terminal.press(letter);
    terminal.press("Enter");
}

/// Says no to the command's output being shown to the model.
pub(crate) fn decline_output(terminal: &Terminal) {
    wait_until_asked(terminal, "output to the chat?");
    answer(terminal, "n");
}
