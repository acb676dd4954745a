//! What Gemini CLI's hooks are given and what they print.
//!
//! A peer's text comes to the model only this way: as context of a hook it keeps its lines and
//! is marked as such. The output of a background command, which wakes the session, would lose
//! its line breaks, be cut at 5,000 characters and be called the user's steering (measured).

use super::{settings_file, wait_command};
use crate::hooks::{HookCall, HookFormat, Wake, id};
use crate::{Machine, settings};
use serde_json::{Value, json};

/// How its hooks speak.
pub(crate) const HOOKS: HookFormat = HookFormat {
    name: "gemini",
    agent: "gemini-cli",
    read,
    answer,
    wake: Some(Wake::Notice),
    waits: None,
};

fn read(input: &Value) -> HookCall {
    let event = id(input, "hook_event_name").unwrap_or_default();
    HookCall {
        takes: matches!(event.as_str(), "BeforeAgent" | "AfterTool" | "AfterAgent"),
        session: id(input, "session_id"),
        busy: match event.as_str() {
            "BeforeAgent" => Some(true),
            "AfterAgent" => Some(false),
            _ => None,
        },
        event,
    }
}

fn answer(call: &HookCall, text: Option<&str>, machine: &Machine) -> Option<Value> {
    match call.event.as_str() {
        // Starts one more turn with the text.
        "AfterAgent" => Some(json!({"decision": "deny", "reason": text?})),
        "BeforeAgent" | "AfterTool" => Some(context(&call.event, text?)),
        "SessionStart" => {
            let settings = settings::read(&settings_file(machine))?;
            wakes(&settings).then(|| context(&call.event, &arm(&wait_command(machine))))
        }
        _ => None,
    }
}

/// Returns whether these settings let a background command that ends start a turn.
pub(super) fn wakes(settings: &Value) -> bool {
    settings["tools"]["shell"]["backgroundCompletionBehavior"] == "inject"
        && settings["experimental"]["modelSteering"] == true
}

fn context(event: &str, text: &str) -> Value {
    json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}})
}

/// Returns the words that make a model start the waiting command.
pub(super) fn arm(wait: &str) -> String {
    format!(
        "[ecorelay] To be woken by messages of other sessions while this one is idle: in your first turn, call run_shell_command with command `{wait}` and is_background true, once. It ends when a message has come; then start it again in the same turn."
    )
}
