#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

fn machine() -> Machine {
    Machine {
        home: "/home/me".into(),
        program: "/opt/my tools/ecorelay".into(),
        ..Machine::default()
    }
}

#[test]
fn everything_that_reaches_further_asks_first() {
    let plan = GeminiCli.plan(&machine(), &Found::default());
    let asked: Vec<_> = plan.steps.iter().filter(|s| s.consent.is_some()).collect();
    assert_eq!(asked.len(), 2);
    for step in asked {
        let Edit::Json { at, .. } = &step.edit else {
            panic!("{step:?}");
        };
        assert!(at[0] == "tools" || at[0] == "experimental", "{at:?}");
    }
    assert_eq!(plan, GeminiCli.plan(&machine(), &Found::default()));
}

#[test]
fn the_rule_allows_the_whole_command_and_no_more() {
    let text = policy(&machine());
    let rule: toml_edit::DocumentMut = text.parse().unwrap();
    let rule = rule["rule"].as_array_of_tables().unwrap().get(0).unwrap();
    assert_eq!(
        rule["commandRegex"].as_str().unwrap(),
        r#"'/opt/my tools/ecorelay' wake gemini""#
    );
    assert_eq!(rule["toolName"].as_str(), Some("run_shell_command"));
    let mut dotted = machine();
    dotted.program = "/opt/a.b+c/ecorelay".into();
    assert!(policy(&dotted).contains(r"/opt/a\.b\+c/ecorelay wake gemini"));
}

#[test]
fn a_session_is_told_how_it_is_woken_where_its_settings_allow_it() {
    let home = tempfile::tempdir().unwrap();
    let machine = Machine {
        home: home.path().to_owned(),
        ..machine()
    };
    let start = || {
        let call = (HOOKS.read)(&json!({"hook_event_name": "SessionStart", "session_id": "s-1"}));
        assert_eq!((call.takes, call.session.as_deref()), (false, Some("s-1")));
        (HOOKS.answer)(&call, None, &machine)
    };
    assert_eq!(start(), None);
    std::fs::create_dir(home.path().join(".gemini")).unwrap();
    let text = r#"{"tools": {"shell": {"backgroundCompletionBehavior": "inject"}}, // yes
        "experimental": {"modelSteering": true}}"#;
    std::fs::write(settings_file(&machine), text).unwrap();
    let said = start().unwrap();
    let words = said["hookSpecificOutput"]["additionalContext"].as_str();
    let command = "`'/opt/my tools/ecorelay' wake gemini` and is_background true";
    assert!(words.unwrap().contains(command));
}

#[test]
fn a_hook_answers_in_the_form_of_its_event() {
    let said = |event: &str| {
        let call = (HOOKS.read)(&json!({"hook_event_name": event}));
        (HOOKS.answer)(&call, Some("hi"), &machine())
    };
    for event in ["BeforeAgent", "AfterTool"] {
        let context = json!({"hookEventName": event, "additionalContext": "hi"});
        assert_eq!(said(event), Some(json!({"hookSpecificOutput": context})));
    }
    assert_eq!(
        said("AfterAgent"),
        Some(json!({"decision": "deny", "reason": "hi"}))
    );
    assert_eq!(said("PreCompress"), None);
}

#[test]
fn what_hinders_is_said_with_its_remedy() {
    let free = json!({"tools": {"shell": {"backgroundCompletionBehavior": "inject"}}, "experimental": {"modelSteering": true}});
    assert_eq!(hindrances(&free, "f"), []);
    let mut shut = free.clone();
    shut["hooksConfig"] = json!({"enabled": false, "disabled": [HOOK_NAME]});
    shut["mcp"] = json!({"allowed": ["github"]});
    let found = hindrances(&shut, "f");
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|check| !check.remedy.is_empty()));
    assert_eq!(hindrances(&Value::Null, "f").len(), 1);
    assert_eq!(
        hindrances(&json!([1, {"hooksConfig": 7}]), "f").len(),
        1,
        "nonsense is no hindrance"
    );
}
