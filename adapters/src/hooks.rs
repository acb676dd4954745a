//! The hooks of assistants: what each is given on its standard input, and what it prints.
//!
//! Types to know: [`HookFormat`] (one assistant's way of speaking) and [`HookCall`] (what one
//! run of a hook is about). Everything here is a plain function from JSON to JSON.

use crate::Machine;
use serde_json::Value;

/// Longest id of a session that is believed, in characters.
const ID_CHARS: usize = 128;

/// What one run of a hook is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookCall {
    /// What happened, as the assistant calls it; empty where that is not known.
    pub event: String,
    /// The assistant's own id of the session.
    pub session: Option<String>,
    /// A text that is taken now gets to the model. Where this is false, none may be taken: it
    /// would be lost.
    pub takes: bool,
    /// Whether the session is busy from now on, if no text is taken; nothing where that stays
    /// as it was.
    pub busy: Option<bool>,
}

/// What a command that waits in the background does when a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// It says that messages have come and takes none: its end starts a turn, and a hook of that
    /// turn brings the text.
    Notice,
    /// It prints the text below a line of its own, on which the assistant wakes.
    Text {
        /// The line.
        mark: &'static str,
    },
}

/// How hooks wait that the assistant leaves running: one that prints the text on standard error
/// and ends with exit code 2 wakes the session.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// The variable, and its value, of sessions that have somebody in front of them. Any other
    /// would wait for the hook before it ends.
    pub live: (&'static str, &'static str),
}

/// How the hooks of one assistant speak.
#[derive(Debug)]
pub struct HookFormat {
    /// The word behind `ecorelay hook`.
    pub name: &'static str,
    /// The assistant's stable name.
    pub agent: &'static str,
    /// Reads what the hook is given.
    pub read: fn(&Value) -> HookCall,
    /// Returns what it prints, with the text that was taken; nothing where there is nothing to
    /// say.
    pub answer: fn(&HookCall, Option<&str>, &Machine) -> Option<Value>,
    /// What its background command does; nothing where it has none.
    pub wake: Option<Wake>,
    /// How its hooks wait; nothing where they answer at once.
    pub waits: Option<Waiting>,
}

static FORMATS: [HookFormat; 4] = [
    crate::claude_code::HOOKS,
    crate::gemini::HOOKS,
    crate::agy::HOOKS,
    crate::cursor::HOOKS,
];

impl HookFormat {
    /// Returns the format of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Returns all names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|format| format.name)
    }
}

/// Returns the text of a field, where it can be an id.
pub(crate) fn id(input: &Value, field: &str) -> Option<String> {
    let text = input.get(field)?.as_str()?;
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    let fits = !text.is_empty() && text.chars().count() <= ID_CHARS && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn nonsense_takes_nothing_and_says_nothing() {
        let long = "x".repeat(5_000);
        for input in [
            json!(null),
            json!([]),
            json!(7),
            json!({}),
            json!({"hook_event_name": 7, "session_id": [], "conversation_id": {}}),
            json!({"hook_event_name": long, "session_id": long}),
            json!({"hook_event_name": "stop\u{7}", "session_id": "a b", "conversationId": ""}),
        ] {
            for format in &FORMATS {
                let call = (format.read)(&input);
                assert!(!call.takes, "{} {input}", format.name);
                assert_eq!(call.session, None);
                let said = (format.answer)(&call, Some("text"), &Machine::default());
                assert_eq!(said, None);
            }
        }
    }

    #[test]
    fn a_call_that_takes_also_shows_what_was_taken() {
        for (name, input) in [
            ("gemini", json!({"hook_event_name": "AfterTool"})),
            ("gemini", json!({"hook_event_name": "BeforeAgent"})),
            ("gemini", json!({"hook_event_name": "AfterAgent"})),
            ("agy", json!({"invocationNum": 0, "conversationId": "c-1"})),
            ("agy", json!({"executionNum": 0, "conversationId": "c-1"})),
            ("cursor", json!({"hook_event_name": "postToolUse"})),
            (
                "cursor",
                json!({"hook_event_name": "stop", "status": "completed"}),
            ),
        ] {
            let format = HookFormat::named(name).unwrap();
            let call = (format.read)(&input);
            assert!(call.takes, "{input}");
            let said = (format.answer)(&call, Some("the text"), &Machine::default());
            assert!(said.unwrap().to_string().contains("the text"));
            let silent = (format.answer)(&call, None, &Machine::default());
            assert_eq!(silent, None);
        }
    }

    #[test]
    fn every_format_is_found_by_its_name() {
        for name in HookFormat::names() {
            assert_eq!(HookFormat::named(name).unwrap().name, name);
        }
        assert!(HookFormat::named("nobody").is_none());
    }
}
