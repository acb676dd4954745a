#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::Version;

/// The version this was tried with.
const TRIED: Version = Version(2, 1, 330);

fn machine(home: &std::path::Path) -> Machine {
    Machine {
        home: home.to_owned(),
        program: "/opt/ecorelay".into(),
        ..Machine::default()
    }
}

fn found(version: Option<Version>) -> Found {
    Found {
        program: Some("/usr/bin/claude".into()),
        version,
    }
}

#[test]
fn the_server_is_registered_and_the_rule_needs_a_yes() {
    let machine = machine(std::path::Path::new("/h"));
    let plan = ClaudeCode.plan(&machine, &found(Some(TRIED)));
    let files: Vec<_> = plan
        .steps
        .iter()
        .map(|s| s.file.to_str().unwrap())
        .collect();
    assert_eq!(files, ["/h/.claude.json", "/h/.claude/settings.json"]);
    assert!(plan.steps[0].consent.is_none() && plan.steps[1].consent.is_some());
    let Edit::Json { value, .. } = &plan.steps[0].edit else {
        panic!("{:?}", plan.steps[0]);
    };
    assert_eq!(value["command"], "/opt/ecorelay");
    assert_eq!(value["args"], json!(["mcp"]));
}

#[test]
fn only_a_version_without_an_inbox_gets_hooks() {
    let machine = machine(std::path::Path::new("/h"));
    let hooks = |found: &Found| {
        let plan = ClaudeCode.plan(&machine, found);
        let hooks = plan.steps.into_iter().filter_map(|step| match step.edit {
            Edit::JsonItem { at, value, ours } if at[0] == "hooks" => {
                assert!(value.to_string().contains(&ours) && step.consent.is_none());
                Some((at[1].clone(), value))
            }
            _ => None,
        });
        hooks.collect::<Vec<_>>()
    };
    let old = hooks(&found(Some(Version(2, 1, 223))));
    let events: Vec<_> = old.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["SessionStart", "UserPromptSubmit", "Stop"]);
    assert_eq!(
        old[0].1["hooks"][0]["command"],
        "exec /opt/ecorelay hook claude"
    );
    assert_eq!(hooks(&found(None)).len(), 3, "they do no harm");
    assert_eq!(hooks(&found(Some(Version(2, 1, 224)))), []);
    assert_eq!(hooks(&Found::default()), []);
}

#[test]
fn the_way_of_each_version_is_told() {
    let command = hook::entry("ecorelay hook claude");
    let hooks =
        json!({"SessionStart": [command], "UserPromptSubmit": [command], "Stop": [command]});
    let (old, new) = (Some(Version(2, 1, 197)), Some(Version(2, 1, 224)));
    for (version, settings, health, told) in [
        (new, json!({}), Health::Good, "inbox socket"),
        (
            old,
            json!({"hooks": hooks}),
            Health::Good,
            "through hooks that wait",
        ),
        (
            None,
            json!({"hooks": hooks}),
            Health::Good,
            "does not say its version",
        ),
        (old, json!({}), Health::Doubtful, "stay in the inbox"),
        (
            old,
            json!({"hooks": hooks, "disableAllHooks": true}),
            Health::Doubtful,
            "switched off",
        ),
    ] {
        let check = of_version(&found(version), &settings).unwrap();
        assert_eq!(check.health, health, "{check:?}");
        assert!(check.message.contains(told), "{check:?}");
    }
    assert_eq!(of_version(&Found::default(), &json!({})), None);
}

#[test]
fn where_the_plugin_is_nothing_else_is_done() {
    let home = tempfile::tempdir().unwrap();
    let machine = machine(home.path());
    let settings = settings_file(&machine);
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    let write = |text: &str| std::fs::write(&settings, text).unwrap();
    write(&json!({"enabledPlugins": {PLUGIN: true}}).to_string());
    assert!(
        ClaudeCode
            .plan(&machine, &found(Some(TRIED)))
            .steps
            .is_empty()
    );
    let is_good = |check: &Check| check.health == Health::Good;
    let checks = ClaudeCode.check(&machine, &found(Some(TRIED)));
    assert!(checks.iter().all(is_good), "{checks:?}");

    let servers = json!({"mcpServers": {"ecorelay": {}}}).to_string();
    std::fs::write(state_file(&machine), servers).unwrap();
    let checks = ClaudeCode.check(&machine, &found(Some(TRIED)));
    assert_eq!(checks[0].health, Health::Bad);

    write(&json!({"enabledPlugins": {PLUGIN: false}}).to_string());
    assert!(
        !ClaudeCode
            .plan(&machine, &found(Some(TRIED)))
            .steps
            .is_empty()
    );
}

#[test]
fn settings_that_hold_messages_back_are_told() {
    for (settings, told) in [
        (json!({}), None),
        (
            json!({"crossSessionInbound": "accept", "permissions": {"defaultMode": "bypassPermissions"}}),
            None,
        ),
        (
            json!({"permissions": {"defaultMode": "bypassPermissions"}}),
            Some("bypass"),
        ),
        (json!({"crossSessionInbound": "hold"}), Some("held")),
        (
            json!({"crossSessionInbound": "refuse"}),
            Some("no messages"),
        ),
        (
            json!({"permissions": {"deny": ["Bash", "mcp__ecorelay__relay_send"]}}),
            Some("denied"),
        ),
        (json!({"permissions": 7, "crossSessionInbound": []}), None),
        (Value::Null, None),
    ] {
        let check = held_back(&settings, "settings.json").or(denied(&settings, "settings.json"));
        let message = check.as_ref().map(|check| check.message.as_str());
        match told {
            None => assert_eq!(message, None, "{settings}"),
            Some(words) => assert!(message.unwrap().contains(words), "{settings}: {message:?}"),
        }
    }
}

#[test]
fn a_moved_folder_holds_both_files() {
    let mut machine = machine(std::path::Path::new("/h"));
    machine.vars.insert("CLAUDE_CONFIG_DIR".into(), "/c".into());
    assert_eq!(state_file(&machine), PathBuf::from("/c/.claude.json"));
    assert_eq!(settings_file(&machine), PathBuf::from("/c/settings.json"));
}
