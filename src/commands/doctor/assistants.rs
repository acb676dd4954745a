//! The assistants on this machine: are they set up, and does what they start work.

use super::finding::{Finding, fail, ok, warn};
use super::round_trip::{self, Command};
use crate::assistants::{Here, absent, installer, machine, meant, on_this_machine, shown_name};
use crate::commands::live_status;
use crate::context::Context;
use crate::error::{CliError, as_sentence};
use crate::hub::Hub;
use crate::view::document::Doc;
use crate::view::sessions::{Reached, how_long, last_push, why_not};
use crate::view::time::now_ms;
use ecorelay_adapters::{Assistant, Check, Health, Machine, Setup, setups};
use serde_json::Value;

/// The name of the findings about live sessions.
const SESSIONS: &str = "sessions";
/// Sessions that are told of one by one.
const SHOWN: usize = 20;

/// Checks all assistants that are here, each briefly.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let machine = match machine(context) {
        Ok(machine) => machine,
        Err(error) => return vec![fail("assistants", error.sentence(), "Set HOME.")],
    };
    let here = on_this_machine(setups(), &machine);
    let findings: Vec<Finding> = here
        .iter()
        .flat_map(|here| brief(here, &machine, context).0)
        .collect();
    if findings.is_empty() {
        let known: Vec<&str> = setups().iter().map(|setup| setup.title()).collect();
        return vec![warn(
            "assistants",
            "None that EcoRelay knows is on this machine.",
            format!(
                "Install one ({}), or add its folder to PATH.",
                known.join(", ")
            ),
        )];
    }
    findings
}

/// Checks one assistant from its settings to a real round trip.
pub(super) async fn check_one(name: &str, context: &Context) -> Result<Vec<Finding>, CliError> {
    let machine = machine(context)?;
    let setup = match meant(&[name.to_owned()])?.first() {
        Some(setup) => *setup,
        None => return Ok(Vec::new()),
    };
    let here = Here::look(setup, &machine).ok_or_else(|| absent(setup))?;
    let (mut findings, set_up) = brief(&here, &machine, context);
    if !set_up {
        // There may be sessions all the same: set up by hand, or as a plugin.
        findings.extend(live_sessions(setup, context).await.unwrap_or_default());
        return Ok(findings);
    }
    match round_trip::registered(&here.plan) {
        None => findings.push(ok(
            "tools",
            "It has no MCP: messages go through the terminal.",
        )),
        Some(command) => {
            findings.extend(started(&command, setup).await);
        }
    }
    let live = live_sessions(setup, context).await;
    findings.extend(live.unwrap_or_else(|none| vec![none]));
    Ok(findings)
}

/// Returns what is found without starting anything but the assistant's `--version`, and whether
/// it is set up.
fn brief(here: &Here, machine: &Machine, context: &Context) -> (Vec<Finding>, bool) {
    let setup = here.setup;
    let check = setup.title();
    let name = shown_name(setup);
    let mut findings = Vec::new();
    match (&here.found.program, here.found.version) {
        (Some(program), Some(version)) => {
            let message = format!("{version}, {}.", program.display());
            findings.push(ok(check, message));
        }
        (Some(program), None) => findings.push(warn(
            check,
            format!("{} does not say its version.", program.display()),
            format!(
                "Run `{} --version` and mend what it says.",
                program.display()
            ),
        )),
        (None, _) => {}
    }
    let install = format!("ecorelay install {name}");
    let installer = installer(context);
    let set_up = match installer.in_effect(&here.required()) {
        Ok(true) if here.plan.steps.is_empty() => {
            let notes = here.plan.notes.first().map(String::as_str);
            findings.push(ok(check, notes.unwrap_or("It needs no setting up.")));
            true
        }
        Ok(true) => {
            findings.push(ok(check, "It is set up."));
            true
        }
        Ok(false) => {
            let ours = installer.preview_undo(setup.id(), &here.plan);
            let message = match ours {
                Ok(ours) if !ours.is_empty() => "It is set up in part, or for another program.",
                _ => "It does not know EcoRelay.",
            };
            findings.push(warn(check, message, install));
            false
        }
        Err(error) => {
            let message = as_sentence(&error.to_string());
            findings.push(fail(
                check,
                message,
                format!("Mend the file; then: {install}"),
            ));
            false
        }
    };
    let own = setup.check(machine, &here.found);
    findings.extend(own.into_iter().map(|found| finding(check, found)));
    (findings, set_up)
}

fn finding(check: &'static str, found: Check) -> Finding {
    match found.health {
        Health::Good => ok(check, found.message),
        Health::Doubtful => warn(check, found.message, found.remedy),
        Health::Bad => fail(check, found.message, found.remedy),
    }
}

/// Starts what the assistant starts, and talks to it as the assistant does.
async fn started(command: &Command, setup: &dyn Setup) -> Vec<Finding> {
    let again = format!("ecorelay install {}", shown_name(setup));
    let words = command.words();
    let trip = command.clone();
    let talked = tokio::task::spawn_blocking(move || round_trip::talk(&trip)).await;
    match talked {
        Ok(Ok(answer)) => vec![
            ok(
                "tools",
                format!("{words} answers with {} tools.", answer.tools),
            ),
            ok(
                "round trip",
                format!(
                    "relay_peers came back from the hub in {} ms: {} besides the asker.",
                    answer.took.as_millis(),
                    crate::view::text::count(answer.peers, "session"),
                ),
            ),
        ],
        Ok(Err(why)) => vec![fail(
            "tools",
            format!("{words}: {why}"),
            format!("{again}; if it stays so: ecorelay node logs -n 50"),
        )],
        Err(_) => vec![fail("tools", format!("{words} could not be tried."), again)],
    }
}

/// Says which sessions of the assistant the hub has, and how messages get into each; where none
/// is connected, why not.
async fn live_sessions(setup: &dyn Setup, context: &Context) -> Result<Vec<Finding>, Finding> {
    let start = format!(
        "Start a session of {}; sessions that were running before it was set up must be started anew.",
        setup.title()
    );
    let Ok(Some(mut hub)) = Hub::running(&context.dir).await else {
        let message = "No hub runs, so no session is connected.";
        return Err(warn(SESSIONS, message, start));
    };
    let Ok(status) = live_status::status(&mut hub).await else {
        let message = "The hub does not say its status.";
        return Err(warn(SESSIONS, message, "ecorelay doctor"));
    };
    let findings = sessions_of(setup.id(), &status, now_ms());
    if findings.is_empty() {
        let message = format!("No session of {} is connected.", setup.title());
        return Err(warn(SESSIONS, message, start));
    }
    Ok(findings)
}

/// Returns what is found of each session of an assistant, those first that want a look.
fn sessions_of(agent: &str, status: &Value, now: u64) -> Vec<Finding> {
    let all = Doc(status).list("sessions").into_iter();
    let mut sessions: Vec<Doc<'_>> = all.filter(|s| s.text("agent") == agent).collect();
    sessions.sort_by_key(|session| match Reached::of(*session) {
        Reached::No => 0,
        Reached::Perhaps => 1,
        Reached::Yes | Reached::Unsaid => 2,
    });
    let shown = sessions.iter().take(SHOWN);
    let mut findings: Vec<Finding> = shown.map(|s| session(*s, agent, now)).collect();
    if let more @ 1.. = sessions.len().saturating_sub(SHOWN) {
        let more = format!("{more} more: ecorelay node status");
        findings.push(ok(SESSIONS, more));
    }
    findings
}

fn session(session: Doc<'_>, agent: &str, now: u64) -> Finding {
    let (name, path) = (session.text("name"), session.text("push"));
    let lasting = match how_long(session, now) {
        Some(time) => format!(" for {time}"),
        None => String::new(),
    };
    let last = match last_push(session, now) {
        Some(last) => format!("; {last}"),
        None => String::new(),
    };
    let why = match why_not(session) {
        why if why.is_empty() => why,
        why => format!(" ({why})"),
    };
    let remedy = Assistant::of_id(agent).remedy;
    match Reached::of(session) {
        Reached::Yes => {
            let message = format!("{name}: messages get in by {path}{lasting}{last}.");
            ok(SESSIONS, message)
        }
        Reached::Unsaid => ok(SESSIONS, format!("{name}: connected{last}.")),
        Reached::Perhaps => warn(
            SESSIONS,
            format!("{name}: messages go by {path}{lasting}, perhaps in vain{why}{last}."),
            remedy,
        ),
        Reached::No => warn(
            SESSIONS,
            format!("{name}: no message wakes it{lasting}{why}{last}."),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::commands::doctor::finding::Level;
    use serde_json::json;

    #[test]
    fn a_session_that_is_not_woken_comes_first_with_its_remedy() {
        let now = 1_795_345_096_789;
        let status = json!({"sessions": [
            {"name": "api", "agent": "gemini-cli", "push": "wait", "push_since": now - 60_000,
             "last_push": {"ts": now, "result": "handed", "path": "hook", "detail": null}},
            {"name": "docs", "agent": "gemini-cli", "push": "none", "push_since": now - 300_000,
             "push_detail": "no waiter at this moment"},
            {"name": "old", "agent": "gemini-cli"},
            {"name": "web", "agent": "claude-code", "push": "none"},
        ]});
        let findings = sessions_of("gemini-cli", &status, now);
        let told: Vec<(&str, Level)> = findings
            .iter()
            .map(|found| (found.message.as_str(), found.level))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "docs: no message wakes it for 5 min (no waiter at this moment).",
                    Level::Warn
                ),
                (
                    "api: messages get in by wait for 1 min; the last message was handed over just now, by hook.",
                    Level::Ok
                ),
                ("old: connected.", Level::Ok),
            ]
        );
        let remedy = findings[0].remedy.as_deref().unwrap();
        assert!(remedy.contains("ecorelay install gemini"), "{remedy}");
    }

    #[test]
    fn many_sessions_are_counted() {
        let many: Vec<Value> = (0..SHOWN + 2)
            .map(|n| json!({"name": format!("s{n}"), "agent": "codex"}))
            .collect();
        let findings = sessions_of("codex", &json!({ "sessions": many }), 0);
        assert_eq!(findings.len(), SHOWN + 1);
        assert!(findings[SHOWN].message.starts_with("2 more"));
    }
}
