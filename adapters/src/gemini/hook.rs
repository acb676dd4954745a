//! What Gemini CLI's hooks are answered.

use serde_json::{Value, json};

/// Returns whether these settings let a background command that ends start a turn.
pub fn wakes(settings: &Value) -> bool {
    settings["tools"]["shell"]["backgroundCompletionBehavior"] == "inject"
        && settings["experimental"]["modelSteering"] == true
}

/// Returns what a hook prints: `text` is what the channel had for the session, `wait` the
/// command that the model is to start in the background, where that wakes the session.
/// `None` where the event cannot bring anything to the model.
pub fn answer(event: &str, text: Option<&str>, wait: Option<&str>) -> Option<Value> {
    match event {
        "AfterAgent" => Some(json!({"decision": "deny", "reason": text?})),
        "SessionStart" => context(event, &arm(wait?)),
        "BeforeAgent" | "AfterTool" => context(event, text?),
        _ => None,
    }
}

/// Returns whether messages may be taken for this event: one that is not shown is lost.
pub(crate) fn shows(event: &str) -> bool {
    matches!(event, "BeforeAgent" | "AfterTool" | "AfterAgent")
}

fn context(event: &str, text: &str) -> Option<Value> {
    Some(json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}))
}

/// Returns the words that make a model start the waiting command.
fn arm(wait: &str) -> String {
    format!(
        "[ecorelay] To be woken by messages of other sessions while this one is idle: in your first turn, call run_shell_command with command `{wait}` and is_background true, once. It ends when a message has come and shows it; then start it again in the same turn."
    )
}
