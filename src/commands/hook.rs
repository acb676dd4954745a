//! `hook`: what assistants run while they work, to be told what has come for their session.
//!
//! Whatever goes wrong, it ends with exit code 0 and says nothing: an assistant may take any
//! other code, or any word, as a reason to stop what its user wants. Only a hook that waits in
//! the background has another one: 2, with a message.

#[cfg(unix)]
mod waiting;

use crate::args::Global;
use clap::Args;
use ecorelay_adapters::Machine;
use ecorelay_adapters::hooks::{HookCall, HookFormat};
use ecorelay_config::DataDir;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Most of the input that is read, in bytes: it can hold the whole output of a tool.
const INPUT_BYTES: u64 = 32 * 1024 * 1024;

/// The arguments of `hook`.
#[derive(Debug, Args)]
pub(crate) struct HookArgs {
    /// The assistant: claude, gemini, agy or cursor
    assistant: String,
}

/// Reads what happened from standard input, and prints what the assistant wants to hear.
pub(crate) fn run(args: &HookArgs, global: &Global) -> ExitCode {
    let Some(format) = HookFormat::named(&args.assistant) else {
        let known: Vec<_> = HookFormat::names().collect();
        eprintln!("ecorelay hook: only for {}.", known.join(", "));
        return ExitCode::SUCCESS;
    };
    if std::io::stdin().is_terminal() {
        eprintln!("ecorelay hook: assistants run this and say on standard input what happened.");
        return ExitCode::SUCCESS;
    }
    // What could not be done is for the next hook, or the inbox.
    serve(format, global).unwrap_or(ExitCode::SUCCESS)
}

fn serve(format: &HookFormat, global: &Global) -> Option<ExitCode> {
    let mut input = Vec::new();
    let mut stdin = std::io::stdin().lock().take(INPUT_BYTES);
    stdin.read_to_end(&mut input).ok()?;
    let call = (format.read)(&serde_json::from_slice(&input).ok()?);
    let dir = data_dir(global)?;
    #[cfg(unix)]
    if let Some(waiting) = &format.waits {
        return waiting::wait(format, waiting, &call, &dir);
    }
    let usual = global.data_dir.is_none();
    let machine = Machine::of_process(called_as()?, (!usual).then(|| dir.root().to_owned()))?;
    match taken(format, &call, &dir) {
        None => say(format, &call, None, &machine)?,
        Some(taken) => {
            let said = say(format, &call, Some(&taken.text), &machine);
            taken.conclude(said.is_some());
        }
    }
    Some(ExitCode::SUCCESS)
}

/// Returns this program as the settings of the assistant name it: what a model is told to start
/// is then what a rule there allows, also where that is a link.
fn called_as() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let called = std::env::args_os().next().map(PathBuf::from);
    let real = |path: &PathBuf| path.canonicalize().ok();
    let called = called.filter(|path| path.is_absolute() && real(path) == real(&program));
    Some(called.unwrap_or(program))
}

/// Prints what the hook is to say; `None` when there was nothing to say or nobody to hear it.
fn say(format: &HookFormat, call: &HookCall, text: Option<&str>, machine: &Machine) -> Option<()> {
    let answer = (format.answer)(call, text, machine)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{answer}").ok()?;
    stdout.flush().ok()
}

/// Returns the data directory that the options or the environment name.
pub(super) fn data_dir(global: &Global) -> Option<DataDir> {
    match &global.data_dir {
        Some(root) => {
            let root: PathBuf = std::path::absolute(root).unwrap_or_else(|_| root.clone());
            Some(DataDir::at(root))
        }
        None => DataDir::from_env().ok(),
    }
}

#[cfg(unix)]
use attached::taken;

#[cfg(unix)]
mod attached {
    use super::{DataDir, HookCall, HookFormat};
    use ecorelay_mcp_channel::attach::client::Attached;
    use ecorelay_mcp_channel::attach::{Attach, FromAttacher, FromChannel, Kind, State, VERSION};
    use ecorelay_protocol::PushResult;
    use std::time::Duration;

    /// How long the channel may take to say what is there.
    const TAKE_WITHIN: Duration = Duration::from_secs(2);

    /// A text that was taken from the channel, whose fate is still to be told.
    pub(super) struct Taken {
        channel: Attached,
        id: u64,
        pub(super) text: String,
    }

    /// Tells the channel which session this is and what it does, and takes what is there.
    pub(super) fn taken(format: &HookFormat, call: &HookCall, dir: &DataDir) -> Option<Taken> {
        let attach = Attach {
            version: VERSION,
            kind: Kind::Hook,
            agent: Some(format.agent.into()),
            session: call.session.clone(),
            name: None,
            program_version: None,
        };
        let mut channel = Attached::here(dir.root(), &attach)?;
        if call.takes {
            channel.say(&FromAttacher::Take).ok()?;
            if let FromChannel::Push { id, text, .. } = channel.next(TAKE_WITHIN).ok()?? {
                return Some(Taken { channel, id, text });
            }
        }
        let state = if call.busy? { State::Busy } else { State::Idle };
        channel.say(&FromAttacher::State { state }).ok()?;
        None
    }

    impl Taken {
        /// Tells the channel whether the text was handed on.
        pub(super) fn conclude(mut self, handed: bool) {
            let (result, detail) = if handed {
                (PushResult::Handed, None)
            } else {
                let why = "the hook could not hand it on".to_owned();
                (PushResult::Refused, Some(why))
            };
            let id = self.id;
            // A channel that is gone by now keeps nothing that could be told.
            let _ = self
                .channel
                .say(&FromAttacher::Pushed { id, result, detail });
        }
    }
}

#[cfg(not(unix))]
struct Taken {
    text: String,
}

#[cfg(not(unix))]
impl Taken {
    fn conclude(self, _handed: bool) {}
}

/// There is no socket to attach to on this platform.
#[cfg(not(unix))]
fn taken(_format: &HookFormat, _call: &HookCall, _dir: &DataDir) -> Option<Taken> {
    None
}
