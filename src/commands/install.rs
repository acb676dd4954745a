//! `install`: sets up the assistants that are on this machine, after showing what that changes.

use super::setting_up::{self, Changes};
use crate::assistants::{
    Here, absent, agreed, can_ask, installer, machine, meant, on_this_machine,
};
use crate::context::Context;
use crate::error::CliError;
use crate::view::style::{BOLD, DIM, GOOD, WARN, paint};
use crate::view::text::one_line;
use clap::Args;
use ecorelay_adapters::{FileChange, Installer, Plan};
use serde_json::{Value, json};

/// The arguments of `install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Which assistants, such as claude or codex; without one: all that are on this machine
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask: the answer to every question is yes
    #[arg(long, short)]
    yes: bool,
}

/// What is to happen to one assistant.
struct Job {
    here: Here,
    /// The plan, without the steps that were declined.
    plan: Plan,
    changes: Changes,
}

impl Job {
    fn changes(&self) -> &[FileChange] {
        self.changes.as_deref().unwrap_or_default()
    }
}

pub(crate) fn run(args: InstallArgs, context: &Context) -> Result<(), CliError> {
    let machine = machine(context)?;
    let installer = installer(context);
    let mut jobs = Vec::new();
    let meant = meant(&args.names)?;
    let here = on_this_machine(&meant, &machine);
    let missing = meant
        .iter()
        .find(|setup| here.iter().all(|here| here.setup.id() != setup.id()));
    if let (Some(setup), false) = (missing, args.names.is_empty()) {
        return Err(absent(*setup));
    }
    jobs.extend(here.into_iter().map(|here| job(here, &installer)));
    if jobs.is_empty() {
        return nothing_here(context);
    }
    let to_do = jobs.iter().any(|job| !job.changes().is_empty());
    if to_do && !args.dry_run && !args.yes && !can_ask(context) {
        return Err(setting_up::nobody_to_ask(
            "Setting assistants up changes their settings, and nobody can be asked here whether that is meant.",
        ));
    }
    let home = machine.home.to_string_lossy().into_owned();
    if to_do && !args.dry_run && !args.yes {
        ask_for_consents(&mut jobs, &installer, context)?;
    }
    context.output.text_for_people(&preview(&jobs, &home))?;
    let to_do = jobs.iter().any(|job| !job.changes().is_empty());
    let mut declined = false;
    if to_do && !args.dry_run && !args.yes {
        declined = !agreed("Make these changes?", context)?;
    }
    let act = to_do && !args.dry_run && !declined;
    if act {
        for job in &mut jobs {
            if !job.changes().is_empty() {
                let done = installer.apply(job.here.setup.id(), &job.plan);
                job.changes = done.map_err(CliError::from);
            }
        }
    }
    finish(&jobs, act, declined, context)
}

fn job(here: Here, installer: &Installer) -> Job {
    let plan = here.plan.clone();
    let changes = installer.preview(here.setup.id(), &plan);
    Job {
        here,
        plan,
        changes: changes.map_err(CliError::from),
    }
}

/// Asks for each step that reaches further than EcoRelay and is not in effect; what is declined
/// is taken out of the plan.
fn ask_for_consents(
    jobs: &mut [Job],
    installer: &Installer,
    context: &Context,
) -> Result<(), CliError> {
    for job in jobs.iter_mut().filter(|job| job.changes.is_ok()) {
        let id = job.here.setup.id();
        let mut answers: Vec<(&str, bool)> = Vec::new();
        let mut at = 0;
        while let Some(step) = job.plan.steps.get(at) {
            let alone = Plan {
                steps: vec![step.clone()],
                notes: Vec::new(),
            };
            let keep = match step.consent {
                None => true,
                Some(_) if installer.in_effect(&alone).unwrap_or(false) => true,
                Some(question) => match answers.iter().find(|(asked, _)| *asked == question) {
                    // Several steps may hang on one question.
                    Some((_, answer)) => *answer,
                    None => {
                        let title = job.here.setup.title();
                        let answer = agreed(&format!("{title}: {}", one_line(question)), context)?;
                        answers.push((question, answer));
                        answer
                    }
                },
            };
            if keep {
                at += 1;
            } else {
                job.plan.steps.remove(at);
            }
        }
        job.changes = installer.preview(id, &job.plan).map_err(CliError::from);
    }
    Ok(())
}

fn preview(jobs: &[Job], home: &str) -> String {
    let mut out = String::new();
    for job in jobs {
        out.push_str(&paint(BOLD, job.here.title()));
        match &job.changes {
            Ok(_) if job.plan.steps.is_empty() => {
                out.push_str(&format!("  {}\n", paint(DIM, "needs no setting up")));
                for note in &job.plan.notes {
                    out.push_str(&format!("  {}\n", one_line(note)));
                }
            }
            Ok(changes) if changes.is_empty() => {
                out.push_str(&format!("  {}\n", paint(DIM, "is set up already")));
            }
            changes => {
                out.push_str(&setting_up::lines(changes, home));
                let mut asked: Vec<&str> = Vec::new();
                let steps = job.plan.steps.iter().filter(|_| changes.is_ok());
                for question in steps.filter_map(|step| step.consent) {
                    if !asked.contains(&question) {
                        let words = format!("asked first: {}", one_line(question));
                        out.push_str(&format!("  {} {words}\n", paint(WARN, "?")));
                        asked.push(question);
                    }
                }
            }
        }
    }
    out
}

fn finish(jobs: &[Job], acted: bool, declined: bool, context: &Context) -> Result<(), CliError> {
    let failed = jobs.iter().filter(|job| job.changes.is_err()).count();
    let changed: Vec<&Job> = jobs
        .iter()
        .filter(|job| !job.changes().is_empty())
        .collect();
    context.output.result(
        || {
            let assistants: Vec<Value> = jobs.iter().map(|job| document(job, acted)).collect();
            json!({"ok": failed == 0, "assistants": assistants})
        },
        || match (declined, acted) {
            (true, _) => "Nothing was changed.".to_owned(),
            (_, true) => outcome(&changed),
            _ if changed.is_empty() && failed == 0 => {
                format!("{} Nothing to change.", paint(GOOD, "✓"))
            }
            _ if changed.is_empty() => "Nothing was changed.".to_owned(),
            _ => "Nothing was changed: this is what `ecorelay install` does.".to_owned(),
        },
    )?;
    setting_up::end(failed, "set up", declined, context)
}

fn outcome(changed: &[&Job]) -> String {
    let mut out = String::new();
    for job in changed {
        let title = paint(BOLD, job.here.setup.title());
        out.push_str(&format!("{} {title} is set up.\n", paint(GOOD, "✓")));
        for note in &job.plan.notes {
            out.push_str(&format!("  {}\n", one_line(note)));
        }
    }
    let undo = "`ecorelay uninstall` takes it back; `ecorelay doctor` looks whether it works.";
    out.push_str(&paint(DIM, undo));
    out
}

fn document(job: &Job, acted: bool) -> Value {
    let states = ["not-set-up", "set-up"];
    let mut document = setting_up::document(job.here.setup, &job.changes, acted, states);
    let version = job.here.found.version;
    document["version"] = version.map(|version| version.to_string()).into();
    document["notes"] = json!(job.plan.notes);
    document
}

fn nothing_here(context: &Context) -> Result<(), CliError> {
    context.output.result(
        || json!({"ok": true, "assistants": []}),
        || {
            let known: Vec<&str> = ecorelay_adapters::setups()
                .iter()
                .map(|setup| setup.title())
                .collect();
            format!(
                "No assistant that EcoRelay knows is on this machine: neither its program on PATH nor its folder of settings.\nKnown are {}.\nAny other assistant with MCP can start `ecorelay mcp`.",
                known.join(", ")
            )
        },
    )
}
