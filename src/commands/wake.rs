//! `wake`: a command that an assistant's model leaves running in the background. It ends when a
//! message has come, and its end, or what it prints, starts a turn in the idle session.

use crate::args::Global;
use crate::error::CliError;
use clap::Args;
use ecorelay_adapters::hooks::{HookFormat, Wake};

/// The arguments of `wake`.
#[derive(Debug, Args)]
pub(crate) struct WakeArgs {
    /// The assistant: gemini or cursor
    assistant: String,
}

/// Waits until a message comes. What it says is read by a model.
#[cfg(unix)]
pub(crate) fn run(args: &WakeArgs, global: &Global) -> Result<(), CliError> {
    let (format, wake) = wanted(&args.assistant)?;
    let words = match waiting::wait(format, wake, global) {
        waiting::End::Told => return Ok(()),
        waiting::End::NoChannel => {
            "[ecorelay] There is no EcoRelay MCP server in this session to wait for. Do not start this command again."
        }
        waiting::End::Closed => {
            "[ecorelay] This command waits no longer: another one does, or EcoRelay's MCP server has ended. Do not start it again now."
        }
    };
    println!("{words}");
    Ok(())
}

/// There is no socket to attach to on this platform.
#[cfg(not(unix))]
pub(crate) fn run(args: &WakeArgs, _global: &Global) -> Result<(), CliError> {
    let _ = wanted(&args.assistant)?;
    Err(CliError::failed(
        "This does not work on this system; `ecorelay inbox` shows what has come.",
    ))
}

fn wanted(name: &str) -> Result<(&'static HookFormat, Wake), CliError> {
    let format = HookFormat::named(name);
    format
        .and_then(|format| Some((format, format.wake?)))
        .ok_or_else(|| CliError::usage("Only gemini and cursor are woken by a background command."))
}

#[cfg(unix)]
mod waiting {
    use super::super::hook::data_dir;
    use crate::args::Global;
    use ecorelay_adapters::hooks::{HookFormat, Wake};
    use ecorelay_mcp_channel::attach::client::Attached;
    use ecorelay_mcp_channel::attach::{Attach, FromAttacher, FromChannel, Kind, VERSION};
    use ecorelay_protocol::PushResult;
    use std::io::{self, Write as _};
    use std::time::{Duration, Instant};

    /// How long the session's channel is looked for: it may just be starting.
    const FOUND_WITHIN: Duration = Duration::from_secs(20);
    /// How often it is looked for.
    const LOOK: Duration = Duration::from_millis(200);
    /// How long one look at the connection lasts; it is waited for as long as it is there.
    const LISTEN: Duration = Duration::from_secs(60 * 60);

    /// An assistant that is still putting a command into the background misses its end: it lasts
    /// at least this long, generously chosen.
    const LASTS: Duration = Duration::from_secs(3);

    /// What a model reads that is woken without the text.
    const NOTICE: &str = "[ecorelay] Messages have come for this session. They stand in this turn, or were shown in the one before; relay_inbox has them too. Start this command again in the background.";
    /// What a model reads below the text.
    const AGAIN: &str = "[ecorelay] Start this command again in the background.";

    /// How waiting ended.
    pub(super) enum End {
        /// A message came, and the model was told.
        Told,
        /// No channel was found.
        NoChannel,
        /// The channel has closed the connection.
        Closed,
    }

    pub(super) fn wait(format: &HookFormat, wake: Wake, global: &Global) -> End {
        let started = Instant::now();
        let Some(mut channel) = find(format, global) else {
            return End::NoChannel;
        };
        loop {
            match channel.next(LISTEN) {
                Ok(Some(FromChannel::Push { id, text, .. })) => {
                    tell(channel, id, &text, wake, started);
                    return End::Told;
                }
                // Nothing in this hour, or something that is not meant for a waiter.
                Ok(_) => {}
                Err(_) => return End::Closed,
            }
        }
    }

    fn find(format: &HookFormat, global: &Global) -> Option<Attached> {
        let dir = data_dir(global)?;
        let attach = Attach {
            version: VERSION,
            kind: Kind::Wait,
            agent: Some(format.agent.into()),
            session: None,
            name: None,
            program_version: None,
        };
        let end = Instant::now() + FOUND_WITHIN;
        loop {
            if let Some(channel) = Attached::here(dir.root(), &attach) {
                return Some(channel);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells the model, and the channel what became of the text.
    fn tell(mut channel: Attached, id: u64, text: &str, wake: Wake, started: Instant) {
        let (result, detail) = match wake {
            // The text must be back with the channel before the turn begins.
            Wake::Notice => {
                let why = "the session is woken; a hook brings the message";
                conclude(&mut channel, id, PushResult::Refused, Some(why));
                drop(channel);
                std::thread::sleep(LASTS.saturating_sub(started.elapsed()));
                // Where nobody reads it, nobody can be woken.
                let _ = print(NOTICE);
                return;
            }
            Wake::Text { mark } => match print(&format!("{mark}\n{text}\n{AGAIN}")) {
                Ok(()) => (PushResult::Handed, None),
                Err(_) => (PushResult::Refused, Some("nobody reads what is printed")),
            },
        };
        conclude(&mut channel, id, result, detail);
    }

    fn print(words: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{words}")?;
        stdout.flush()
    }

    fn conclude(channel: &mut Attached, id: u64, result: PushResult, detail: Option<&str>) {
        let detail = detail.map(str::to_owned);
        // A channel that is gone by now keeps nothing that could be told.
        let _ = channel.say(&FromAttacher::Pushed { id, result, detail });
    }
}
