//! The hooks that wake a session without an inbox socket: Claude Code leaves them running
//! (`asyncRewake`), and what one prints when it ends with exit code 2 starts a turn in an idle
//! session, or goes into the running one with the next tool result. Measured with 2.1.197.

use super::PLUGIN;
use crate::hooks::{HookCall, HookFormat, Waiting, id};
use crate::{Surroundings, settings};
use serde_json::{Value, json};

/// Every element of ours has it inside, and nobody else's.
pub(super) const OURS: &str = "EcoRelay: messages of other sessions";
/// When a hook begins to wait: at the start of a session (also after `/clear`), at the end of
/// each turn, and with each prompt, because a turn that its person breaks off ends without a
/// word. The newest takes the place of the one before.
pub(super) const EVENTS: [&str; 3] = ["SessionStart", "UserPromptSubmit", "Stop"];
/// How long a hook may wait, in seconds: as long as a session may stand idle over a weekend. The
/// hook ends by itself before.
const HOOK_S: u64 = 7 * 24 * 60 * 60;

/// How its hooks speak.
pub(crate) const HOOKS: HookFormat = HookFormat {
    name: "claude",
    agent: "claude-code",
    read,
    answer: |_, _, _| None,
    wake: None,
    waits: Some(Waiting {
        live: ("CLAUDE_CODE_ENTRYPOINT", "cli"),
    }),
};

fn read(input: &Value) -> HookCall {
    let event = id(input, "hook_event_name").unwrap_or_default();
    HookCall {
        takes: EVENTS.contains(&event.as_str()),
        session: id(input, "session_id"),
        busy: None,
        event,
    }
}

/// Returns the element of `hooks.<event>` that runs `command`, in place of the shell.
pub(super) fn entry(command: &str) -> Value {
    json!({"hooks": [{
        "type": "command",
        "command": format!("exec {command}"),
        "asyncRewake": true,
        "timeout": HOOK_S,
        "rewakeSummary": OURS,
        "rewakeMessage": "Not typed by the user:\n",
    }]})
}

/// Returns whether the settings of the person have the session's hooks wait for messages.
pub(crate) fn has_waiter(around: &Surroundings) -> bool {
    let files = around.claude_dirs.iter();
    let mut found = files.filter_map(|dir| settings::read(&dir.join("settings.json")));
    found.next().is_some_and(|settings| waits(&settings))
}

/// Returns whether these settings have hooks of ours, and they run.
pub(super) fn waits(settings: &Value) -> bool {
    let has = |event: &str| {
        let entries = settings["hooks"][event].as_array();
        entries.is_some_and(|all| all.iter().any(|entry| entry.to_string().contains(OURS)))
    };
    let by_plugin = settings["enabledPlugins"][PLUGIN] == true;
    settings["disableAllHooks"] != true && (by_plugin || EVENTS.into_iter().all(has))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn hooks_count_where_all_are_there_and_run() {
        let entry = json!([{"hooks": []}, entry("/opt/ecorelay hook claude")]);
        let all = json!({"SessionStart": entry, "UserPromptSubmit": entry, "Stop": entry});
        for (settings, wanted) in [
            (json!({"hooks": all}), true),
            (json!({"hooks": all, "disableAllHooks": true}), false),
            (json!({"hooks": {"Stop": entry}}), false),
            (json!({"enabledPlugins": {PLUGIN: true}}), true),
            (json!({"enabledPlugins": {PLUGIN: false}}), false),
            (json!({"hooks": {"Stop": 7, "SessionStart": {}}}), false),
            (json!([]), false),
            (json!(null), false),
        ] {
            assert_eq!(waits(&settings), wanted, "{settings}");
        }
    }

    #[test]
    fn the_settings_of_the_session_are_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings {
            claude_dirs: vec![dir.path().join("none"), dir.path().to_owned()],
            ..Surroundings::default()
        };
        assert!(!has_waiter(&around));
        let settings = json!({"enabledPlugins": {PLUGIN: true}});
        std::fs::write(dir.path().join("settings.json"), settings.to_string()).unwrap();
        assert!(has_waiter(&around));
    }

    #[test]
    fn the_plugin_brings_the_same_hooks() {
        let plugin = include_str!("../../assets/claude_code/hooks/hooks.json");
        let plugin: Value = serde_json::from_str(plugin).unwrap();
        let hooks = plugin["hooks"].as_object().unwrap();
        assert_eq!(hooks.len(), EVENTS.len());
        for event in EVENTS {
            assert_eq!(hooks[event], json!([entry("ecorelay hook claude")]));
        }
    }

    #[test]
    fn only_the_events_of_the_hooks_wait() {
        for (input, takes) in [
            (
                json!({"hook_event_name": "Stop", "session_id": "s-1"}),
                true,
            ),
            (json!({"hook_event_name": "PreToolUse"}), false),
            (json!({"hook_event_name": "stop"}), false),
            (json!("Stop"), false),
        ] {
            assert_eq!(read(&input).takes, takes, "{input}");
        }
    }
}
