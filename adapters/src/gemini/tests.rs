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
        r#"'/opt/my tools/ecorelay' wait""#
    );
    assert_eq!(rule["toolName"].as_str(), Some("run_shell_command"));
    let mut dotted = machine();
    dotted.program = "/opt/a.b+c/ecorelay".into();
    assert!(policy(&dotted).contains(r"/opt/a\.b\+c/ecorelay wait"));
}

#[test]
fn a_hook_answers_in_the_form_of_its_event() {
    let context = |event: &str, text: &str| json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}});
    for event in ["BeforeAgent", "AfterTool"] {
        assert_eq!(
            answer(event, Some("hi"), Some("w")),
            Some(context(event, "hi"))
        );
        assert_eq!(answer(event, None, Some("w")), None);
    }
    assert_eq!(
        answer("AfterAgent", Some("hi"), None),
        Some(json!({"decision": "deny", "reason": "hi"}))
    );
    assert_eq!(answer("AfterAgent", None, None), None);
    let start = answer("SessionStart", None, Some("/x wait")).unwrap();
    let words = start["hookSpecificOutput"]["additionalContext"].as_str();
    assert!(words.unwrap().contains("`/x wait` and is_background true"));
    assert_eq!(answer("SessionStart", None, None), None);
    assert_eq!(answer("PreCompress", Some("hi"), Some("w")), None);
    for event in EVENTS {
        assert_eq!(hook::shows(event), event != "SessionStart");
    }
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
