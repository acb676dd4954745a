//! Codex CLI: what setting it up changes ([`Codex`]), what its process tells of its threads
//! ([`Host`]), what a thread is called ([`title_of`]), the words of its app-server ([`app_server`])
//! and how it is seen that a thread has read a message ([`Receipt`]).
//!
//! A thread is a conversation. Its process is the terminal program itself (`codex --no-daemon`)
//! or an app-server that serves many threads (a plain `codex` starts one and attaches to it). A
//! message goes into the thread's own queue, from which Codex takes it as soon as no turn runs:
//! at once in an idle thread, after the turn in a busy one, never into a question to the user.

pub mod app_server;
mod host;
mod receipt;
mod setup;
mod title;

pub use host::Host;
pub use receipt::Receipt;
pub use setup::Codex;
pub use title::title_of;
