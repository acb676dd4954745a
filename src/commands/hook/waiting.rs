//! A hook that an assistant leaves running in the background: it waits for a message of the
//! session's channel, prints it on standard error and ends with exit code 2, which wakes the
//! session.
//!
//! It ends with 0 in every other case, and never comes back by itself: the assistant starts it
//! again only when a session starts or a turn begins or ends. The channel lets go of it when a
//! newer one comes, and goes away with its session.

use ecorelay_adapters::hooks::{HookCall, HookFormat, Waiting};
use ecorelay_config::DataDir;
use ecorelay_mcp_channel::attach::client::{Answer, Attached};
use ecorelay_mcp_channel::attach::{Attach, FromAttacher, FromChannel, Kind, VERSION};
use ecorelay_protocol::PushResult;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the session's channel is looked for: both are started at the same time, and the
/// channel may start a hub first.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// How long a message is waited for: less than the assistant lets a hook run (seven days).
const WAIT_MOST: Duration = Duration::from_secs((7 * 24 - 1) * 60 * 60);
/// With this exit code an assistant reads what was printed.
const WAKES: u8 = 2;

/// Waits for a message; `None` where there is none to wait for, or none came.
pub(super) fn wait(
    format: &HookFormat,
    waiting: &Waiting,
    call: &HookCall,
    dir: &DataDir,
) -> Option<ExitCode> {
    let (variable, live) = waiting.live;
    if !call.takes || std::env::var(variable).ok().as_deref() != Some(live) {
        return None;
    }
    let mut channel = find(format, call, dir)?;
    let end = Instant::now() + WAIT_MOST;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // Anything else is not meant for a waiter.
        if let FromChannel::Push { id, text, .. } = channel.next(left).ok()?? {
            let printed = print(&text);
            conclude(&mut channel, id, printed.is_some());
            return printed.map(|()| ExitCode::from(WAKES));
        }
    }
}

/// Attaches to the channel of the session; `None` where it does not come, or wants no waiter.
fn find(format: &HookFormat, call: &HookCall, dir: &DataDir) -> Option<Attached> {
    let attach = Attach {
        version: VERSION,
        kind: Kind::Wait,
        agent: Some(format.agent.into()),
        session: call.session.clone(),
        name: None,
        program_version: None,
    };
    let end = Instant::now() + FOUND_WITHIN;
    loop {
        match Attached::of_starter(dir.root(), &attach) {
            Answer::Attached(attached) => return Some(attached),
            Answer::Refused(_) => return None,
            Answer::Nobody if Instant::now() >= end => return None,
            Answer::Nobody => std::thread::sleep(LOOK),
        }
    }
}

/// Prints a text where the assistant reads it; an empty one would wake the session for nothing.
fn print(text: &str) -> Option<()> {
    if text.trim().is_empty() {
        return None;
    }
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(text.as_bytes()).ok()?;
    stderr.flush().ok()
}

/// Tells the channel what became of the text.
fn conclude(channel: &mut Attached, id: u64, handed: bool) {
    let (result, detail) = match handed {
        true => (PushResult::Handed, None),
        false => (
            PushResult::Refused,
            Some("nobody reads what the hook prints".to_owned()),
        ),
    };
    // A channel that is gone by now keeps nothing that could be told.
    let _ = channel.say(&FromAttacher::Pushed { id, result, detail });
}
