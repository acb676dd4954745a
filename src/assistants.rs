//! The assistants on this machine, as the commands about them see them.

use crate::context::Context;
use crate::error::{CliError, as_sentence};
use crate::view::style::{BOLD, paint};
use crate::view::text::one_line;
use ecorelay_adapters::{Found, Installer, Machine, Plan, Setup, SetupError, setup_of, setups};
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A name this close to what was typed may be meant (0 to 1, after Jaro and Winkler).
const ALIKE: f64 = 0.75;
/// How long `up` looks around before it says what comes next.
const GLANCE: Duration = Duration::from_millis(1_500);
/// An answer to a question is no longer than this, in bytes.
const ANSWER_BYTES: u64 = 256;

/// An assistant that is on this machine.
#[derive(Debug)]
pub(crate) struct Here {
    /// What is known of it.
    pub(crate) setup: &'static dyn Setup,
    /// What was found.
    pub(crate) found: Found,
    /// What setting it up changes.
    pub(crate) plan: Plan,
}

impl Here {
    /// Looks for an assistant.
    pub(crate) fn look(setup: &'static dyn Setup, machine: &Machine) -> Option<Self> {
        let found = setup.find(machine)?;
        let plan = setup.plan(machine, &found);
        Some(Self { setup, found, plan })
    }

    /// Returns the plan without what a person is asked for first: that may be declined.
    pub(crate) fn required(&self) -> Plan {
        let mut plan = self.plan.clone();
        plan.steps.retain(|step| step.consent.is_none());
        plan
    }

    /// Returns its name and version.
    pub(crate) fn title(&self) -> String {
        match self.found.version {
            Some(version) => format!("{} {version}", self.setup.title()),
            None => self.setup.title().to_owned(),
        }
    }
}

/// Returns those assistants that are on this machine. They are looked for side by side: some take
/// seconds to say their version.
pub(crate) fn on_this_machine(setups: &[&'static dyn Setup], machine: &Machine) -> Vec<Here> {
    std::thread::scope(|scope| {
        let looks: Vec<_> = setups
            .iter()
            .map(|setup| scope.spawn(|| Here::look(*setup, machine)))
            .collect();
        let looks = looks.into_iter().filter_map(|look| look.join().ok());
        looks.flatten().collect()
    })
}

/// Returns whether an assistant on this machine is not set up, or none is. What takes longer
/// than [`GLANCE`] to find out is not waited for.
pub(crate) fn want_set_up(context: &Context) -> bool {
    let Ok(machine) = machine(context) else {
        return true;
    };
    let (sender, answers) = std::sync::mpsc::channel();
    for setup in setups() {
        let (machine, sender, installer) = (machine.clone(), sender.clone(), installer(context));
        // Whoever is slow answers nobody.
        std::thread::spawn(move || {
            let here = Here::look(*setup, &machine);
            // What needs no setting up tells nothing.
            let here = here.filter(|here| !here.plan.steps.is_empty());
            let set_up = here.map(|here| installer.in_effect(&here.required()).unwrap_or(false));
            let _ = sender.send(set_up);
        });
    }
    drop(sender);
    let end = Instant::now() + GLANCE;
    let mut any = false;
    while let Ok(answer) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match answer {
            Some(false) => return true,
            Some(true) => any = true,
            None => {}
        }
    }
    !any
}

/// Returns this machine.
pub(crate) fn machine(context: &Context) -> Result<Machine, CliError> {
    let usual = std::env::home_dir().map(|home| home.join(".eco-relay"));
    let root = context.dir.root();
    let other = (usual.as_deref() != Some(root)).then(|| root.to_owned());
    let mut machine = Machine::of_process(PathBuf::new(), other).ok_or_else(|| {
        CliError::failed("No home folder is known.").hint("Set HOME and run the command again.")
    })?;
    machine.program = stable_program(&machine).map_err(|e| {
        CliError::failed(format!("Where this program is cannot be found out: {e}."))
    })?;
    Ok(machine)
}

/// Returns what changes files on this machine.
pub(crate) fn installer(context: &Context) -> Installer {
    Installer::new(context.dir.root())
}

/// Returns this program as assistants are to start it: a link on the path that leads here stays
/// right when a package manager puts the next version elsewhere.
fn stable_program(machine: &Machine) -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let on_path = machine.find("ecorelay").filter(|path| path.is_absolute());
    Ok(match on_path {
        Some(path) if real(&path).is_some() && real(&path) == real(&program) => path,
        _ => program,
    })
}

/// Returns the assistants that are meant: those named, else all.
pub(crate) fn meant(names: &[String]) -> Result<Vec<&'static dyn Setup>, CliError> {
    if names.is_empty() {
        return Ok(setups().to_vec());
    }
    let mut all: Vec<&'static dyn Setup> = Vec::new();
    for name in names {
        let setup = setup_of(name).ok_or_else(|| unknown(name))?;
        if all.iter().all(|other| other.id() != setup.id()) {
            all.push(setup);
        }
    }
    Ok(all)
}

/// Returns the name that is shown for an assistant.
pub(crate) fn shown_name(setup: &dyn Setup) -> &'static str {
    setup.names().first().copied().unwrap_or(setup.id())
}

fn unknown(name: &str) -> CliError {
    let typed = name.to_ascii_lowercase();
    let mut near: Vec<(f64, &str)> = setups()
        .iter()
        .flat_map(|setup| {
            setup
                .names()
                .iter()
                .chain([&setup.id()])
                .map(|known| (strsim::jaro_winkler(&typed, known), shown_name(*setup)))
                .collect::<Vec<_>>()
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let known: Vec<&str> = setups().iter().map(|setup| shown_name(*setup)).collect();
    let hint = match near.first() {
        Some((_, meant)) => format!("Did you mean {meant}?"),
        None => format!("Known are {}.", known.join(", ")),
    };
    CliError::usage(format!("No assistant is called \"{}\".", one_line(name))).hint(hint)
}

/// Returns the error for an assistant that is not on this machine.
pub(crate) fn absent(setup: &dyn Setup) -> CliError {
    CliError::failed(format!("{} is not on this machine.", setup.title())).hint(
        "It is recognised by its program on PATH, or by its settings: install it, or add its folder to PATH.",
    )
}

/// Asks a question that is answered with yes or no.
pub(crate) fn agreed(question: &str, context: &Context) -> Result<bool, CliError> {
    context
        .output
        .prompt(&format!("{} ", paint(BOLD, format!("{question} [y/N]"))));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .take(ANSWER_BYTES)
        .read_line(&mut answer)
        .map_err(|e| CliError::failed(format!("Standard input cannot be read: {e}.")))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Returns whether somebody can be asked.
pub(crate) fn can_ask(context: &Context) -> bool {
    !context.output.json() && std::io::stdin().is_terminal()
}

impl From<SetupError> for CliError {
    fn from(error: SetupError) -> Self {
        Self::failed(as_sentence(&one_line(&error.to_string())))
    }
}
