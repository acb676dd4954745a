//! What the whole-program tests share: a hermetic home ([`home::TestHome`]), the `ecorelay`
//! program under a deadline ([`process`]), a raw client of the local protocol
//! ([`raw::RawClient`]), an MCP client of `ecorelay mcp` ([`mcp::McpClient`]), and for the real
//! assistants ([`clis`]) a scene ([`scene::Scene`]), mock models ([`mock_model`], [`scripted`]), a
//! terminal ([`terminal`]) and a namespace without a network ([`offline`]); for the mesh a network of its own ([`netns::Lan`], or
//! [`nat::Internet`] with routers in it) with machines on it ([`machine::Machine`]).
//!
//! Nothing here sleeps for a fixed time: what gives an event is waited for with a deadline,
//! everything else is looked at again and again until [`wait_until`] gives up.
#![allow(dead_code)] // each test program uses a part of this

pub(crate) mod aider;
pub(crate) mod claude;
pub(crate) mod cline;
pub(crate) mod clis;
pub(crate) mod codex;
pub(crate) mod copilot;
pub(crate) mod gemini;
pub(crate) mod home;
pub(crate) mod machine;
pub(crate) mod mail;
pub(crate) mod mcp;
pub(crate) mod mock_anthropic;
pub(crate) mod mock_chat;
pub(crate) mod mock_gemini;
pub(crate) mod mock_http;
pub(crate) mod mock_model;
pub(crate) mod mock_responses;
pub(crate) mod nat;
pub(crate) mod netns;
pub(crate) mod offline;
pub(crate) mod opencode;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod scene;
pub(crate) mod scripted;
pub(crate) mod terminal;
pub(crate) mod waking;
pub(crate) mod wire;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: generous, because two slow cores may be
/// shared by every test at once. It is never waited out when things work.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// How often a condition without an event is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Returns what `look` finds, looking until it finds something.
///
/// # Panics
/// When nothing was found before [`DEADLINE`].
pub(crate) fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    match found_within(DEADLINE, look) {
        Some(found) => found,
        None => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// Returns what `look` finds within `limit`, or `None`.
pub(crate) fn found_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Prints a line that the test runner does not swallow.
pub(crate) fn announce(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Returns whether this process is root; some checks need it.
pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
