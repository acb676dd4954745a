//! The assistants on this machine: are they set up, and does what they start work.

use super::finding::{Finding, fail, ok, warn};
use super::round_trip::{self, Command};
use crate::assistants::{Here, absent, installer, machine, meant, on_this_machine, shown_name};
use crate::commands::live_status;
use crate::context::Context;
use crate::error::{CliError, as_sentence};
use crate::hub::Hub;
use crate::view::document::Doc;
use ecorelay_adapters::{Check, Health, Machine, Setup, setups};

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
    findings.push(live_sessions(setup, context).await);
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

/// Says which sessions of the assistant the hub has.
async fn live_sessions(setup: &dyn Setup, context: &Context) -> Finding {
    const CHECK: &str = "sessions";
    let start = format!(
        "Start a session of {}; sessions that were running before it was set up must be started anew.",
        setup.title()
    );
    let Ok(Some(mut hub)) = Hub::running(&context.dir).await else {
        return warn(CHECK, "No hub runs, so no session is connected.", start);
    };
    let Ok(status) = live_status::status(&mut hub).await else {
        return warn(CHECK, "The hub does not say its status.", "ecorelay doctor");
    };
    let sessions: Vec<String> = Doc(&status)
        .list("sessions")
        .into_iter()
        .filter(|session| session.text("agent") == setup.id())
        .map(|session| match session.text("push") {
            path if path.is_empty() => session.text("name").to_owned(),
            path => format!("{} (by {path})", session.text("name")),
        })
        .collect();
    if sessions.is_empty() {
        let message = format!("No session of {} is connected.", setup.title());
        return warn(CHECK, message, start);
    }
    ok(CHECK, format!("Connected: {}.", sessions.join(", ")))
}
