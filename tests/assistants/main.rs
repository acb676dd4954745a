//! The real assistants, each against a mock model of its vendor's API: `ecorelay install` sets it
//! up in a throw-away home, it is started as its user would, its model sends, is woken, hears
//! while it is busy and answers, and `ecorelay uninstall` leaves no trace. Nothing but loopback is
//! reachable. One file per assistant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agy;
mod aider;
mod claude;
mod cline;
mod codex;
mod copilot;
mod cursor;
mod gemini;
mod opencode;
mod scene;
#[path = "../support/mod.rs"]
mod support;
