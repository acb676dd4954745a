//! The per-session MCP server (`ecorelay mcp`) and the client of a hub's local socket.
//!
//! A channel gives an assistant the `relay_*` tools and pushes what arrives into the live
//! session. It keeps nothing that matters: all mail lives in the hub. It never ends before its
//! client does, whatever happens to the hub.
//!
//! Types to know: [`run`] and [`ChannelOptions`] (the program), [`serve`] (the same over any
//! two streams), [`WrappedSession`] (the session of a program without MCP), and [`client`] (the
//! hub's client, which the command line uses as well).
//! Inside, `server` answers the assistant, `sessions` has the peers that this process is,
//! `link` holds a tie to the hub, `push` brings messages in, [`attach`] lets plugins, hooks and
//! waiters take them, `tools` is the table of tools.

// Nobody can attach on other systems.
#![cfg_attr(not(unix), allow(dead_code))]

mod args;
pub mod attach;
mod channel;
pub mod client;
mod content;
mod early;
mod envelope;
mod git;
mod inbox;
mod link;
mod listing;
mod memory;
mod name;
mod platform;
mod push;
mod remembered;
mod results;
mod server;
mod sessions;
mod stdio;
mod succession;
mod tools;
mod wrapped;

pub use channel::{ChannelOptions, run, serve};
pub use wrapped::{WrappedArrival, WrappedOptions, WrappedSession};
