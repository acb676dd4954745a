//! `uninstall`: takes back what `install` did.

use super::setting_up::{self, Changes};
use crate::assistants::{agreed, can_ask, installer, machine, meant, on_this_machine};
use crate::context::Context;
use crate::error::CliError;
use crate::view::style::{BOLD, DIM, GOOD, paint};
use crate::view::text::count;
use clap::Args;
use ecorelay_adapters::{FileChange, Plan, Setup};
use serde_json::{Value, json};

/// The arguments of `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Which assistants, such as claude or codex; without one: all that were set up
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// What is to happen to one assistant.
struct Job {
    setup: &'static dyn Setup,
    plan: Plan,
    changes: Changes,
    recorded: bool,
}

impl Job {
    fn changes(&self) -> &[FileChange] {
        self.changes.as_deref().unwrap_or_default()
    }
}

pub(crate) fn run(args: UninstallArgs, context: &Context) -> Result<(), CliError> {
    let machine = machine(context)?;
    let installer = installer(context);
    let recorded = installer.recorded()?;
    let mut jobs = Vec::new();
    // The last that was set up goes first: two may have changed one file.
    let meant = meant(&args.names)?;
    let mut here = on_this_machine(&meant, &machine);
    for setup in meant.into_iter().rev() {
        let at = here.iter().position(|here| here.setup.id() == setup.id());
        let plan = at.map(|at| here.remove(at).plan).unwrap_or_default();
        let changes = installer.preview_undo(setup.id(), &plan);
        let recorded = recorded.iter().any(|id| id == setup.id());
        // Somebody else's broken file is not in the way of what was never set up.
        if recorded || !args.names.is_empty() || changes.as_ref().is_ok_and(|c| !c.is_empty()) {
            jobs.push(Job {
                setup,
                plan,
                changes: changes.map_err(CliError::from),
                recorded,
            });
        }
    }
    let to_do = jobs.iter().any(|job| !job.changes().is_empty());
    let ask = to_do && !args.dry_run && !args.yes;
    if ask && !can_ask(context) {
        return Err(setting_up::nobody_to_ask(
            "This changes settings of assistants, and nobody can be asked here whether that is meant.",
        ));
    }
    let home = machine.home.to_string_lossy().into_owned();
    context.output.text_for_people(&preview(&jobs, &home))?;
    let declined = ask && !agreed("Make these changes?", context)?;
    let act = !args.dry_run && !declined;
    if act {
        for job in &mut jobs {
            if job.changes.is_ok() && (job.recorded || !job.changes().is_empty()) {
                let undone = installer.undo(job.setup.id(), &job.plan);
                job.changes = undone.map_err(CliError::from);
            }
        }
    }
    finish(&jobs, act, declined, context)
}

fn preview(jobs: &[Job], home: &str) -> String {
    let mut out = String::new();
    for job in jobs {
        out.push_str(&paint(BOLD, job.setup.title()));
        match &job.changes {
            Ok(changes) if changes.is_empty() => {
                out.push_str(&format!("  {}\n", paint(DIM, "has nothing of EcoRelay")));
            }
            changes => out.push_str(&setting_up::lines(changes, home)),
        }
    }
    out
}

fn finish(jobs: &[Job], acted: bool, declined: bool, context: &Context) -> Result<(), CliError> {
    let failed = jobs.iter().filter(|job| job.changes.is_err()).count();
    let changed = jobs.iter().filter(|job| !job.changes().is_empty()).count();
    context.output.result(
        || {
            let assistants: Vec<Value> = jobs.iter().map(|job| document(job, acted)).collect();
            json!({"ok": failed == 0, "assistants": assistants})
        },
        || match (changed, acted) {
            _ if declined => "Nothing was changed.".to_owned(),
            (0, _) if failed > 0 => "Nothing was changed.".to_owned(),
            (0, _) => format!("{} Nothing to take back.", paint(GOOD, "✓")),
            (_, true) => format!(
                "{} Taken back for {}. Sessions that run keep the tools until they end.",
                paint(GOOD, "✓"),
                count(changed, "assistant"),
            ),
            (_, false) => "Nothing was changed: this is what `ecorelay uninstall` does.".to_owned(),
        },
    )?;
    setting_up::end(failed, "changed back", declined, context)
}

fn document(job: &Job, acted: bool) -> Value {
    setting_up::document(job.setup, &job.changes, acted, ["set-up", "not-set-up"])
}
