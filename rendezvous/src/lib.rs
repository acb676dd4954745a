//! A rendezvous server: a public host through which hubs find and reach each other. It holds no
//! key of any mesh and can neither join one nor read what passes through it.
//!
//! Hubs enter with tokens and hear who else of their mesh is here; those that entered may
//! reserve and open circuits (circuit relay v2) to each other; and anybody may be joined with a
//! host that waits for them, to pair. Types to know: [`Config`] and [`Limits`], [`Identity`],
//! [`Server`] and its [`Snapshot`]. Inside: `Door` (who may connect), `Meshes` (who is where),
//! `Circuits` (the relay and its rules), `Pipes` (who waits to pair), and the event loop.

mod behaviour;
mod circuits;
mod config;
mod connections;
mod counted;
mod door;
mod error;
mod event_loop;
mod framing;
mod http;
mod hub_stream;
mod identity;
mod meshes;
mod metrics;
mod muxer;
mod origin;
mod pipe_stream;
mod pipes;
mod presence;
mod rate;
mod server;
mod settings;
mod snapshot;
mod status_socket;
mod streams;
mod transport;

pub use config::{Config, LimitError, Limits, Namespace, Timing};
pub use error::ServerError;
pub use identity::{Identity, IdentityError};
pub use server::Server;
pub use settings::{LogFormat, Settings, SettingsError};
pub use snapshot::Snapshot;
#[cfg(unix)]
pub use status_socket::ask as ask_status;
