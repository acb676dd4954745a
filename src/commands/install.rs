//! `install`: sets up the assistants that are on this machine, after showing what that changes.

use crate::assistants::{
    Here, absent, agreed, can_ask, installer, machine, meant, on_this_machine, shown_name,
};
use crate::context::Context;
use crate::error::CliError;
use crate::view::setup;
use crate::view::style::{BOLD, DIM, FAIL, GOOD, WARN, paint};
use crate::view::text::{count, one_line};
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
    changes: Result<Vec<FileChange>, CliError>,
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
        return Err(CliError::usage(
            "Setting assistants up changes their settings, and nobody can be asked here whether that is meant.",
        )
        .hint("To see what would be changed: `--dry-run`. To change it: `--yes`."));
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
            Err(error) => {
                out.push_str(&format!("\n  {} {}\n", paint(FAIL, "✗"), error.sentence()));
            }
            Ok(_) if job.plan.steps.is_empty() => {
                out.push_str(&format!("  {}\n", paint(DIM, "needs no setting up")));
                for note in &job.plan.notes {
                    out.push_str(&format!("  {}\n", one_line(note)));
                }
            }
            Ok(changes) if changes.is_empty() => {
                out.push_str(&format!("  {}\n", paint(DIM, "is set up already")));
            }
            Ok(changes) => {
                out.push('\n');
                out.push_str(&setup::changes(changes, Some(home)));
                let mut asked: Vec<&str> = Vec::new();
                for question in job.plan.steps.iter().filter_map(|step| step.consent) {
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
    if failed > 0 {
        let broken = CliError::failed(format!(
            "{} could not be set up.",
            count(failed, "assistant")
        ));
        return Err(match context.output.json() {
            true => broken.already_told(),
            false => broken.hint("What stands in the way is said above."),
        });
    }
    if declined {
        return Err(CliError::failed("").already_told());
    }
    Ok(())
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
    let state = match &job.changes {
        Err(_) => "failed",
        Ok(changes) if changes.is_empty() => "set-up",
        Ok(_) if acted => "changed",
        Ok(_) => "not-set-up",
    };
    let mut document = json!({
        "id": job.here.setup.id(),
        "name": shown_name(job.here.setup),
        "title": job.here.setup.title(),
        "version": job.here.found.version.map(|version| version.to_string()),
        "state": state,
        "files": setup::document(job.changes()),
        "notes": job.plan.notes,
    });
    if let Err(error) = &job.changes {
        document["message"] = error.sentence().into();
    }
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
