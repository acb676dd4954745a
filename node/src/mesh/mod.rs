//! The mesh: what makes this hub known to other hubs. libp2p types do not leave this folder.
//!
//! [`start`] opens the listeners and starts the one task that owns the swarm (`event_loop`);
//! [`MeshHandle`] carries out what the brain wants done, and everything that happens comes to the
//! hub thread as a `MeshInput`. One connection per hub, one link stream per connection (`link`).
//! Hubs that cannot dial each other meet at a server (`rendezvous`), and go on directly if they can.
//! `keeper` starts and ends all that with the node, `key_file` is `mesh.key`, `ports` says where
//! to listen; `pipe` brings hubs together that are about to pair, before they have a mesh.

mod behaviour;
mod config;
mod connections;
mod dialer;
mod doubts;
mod event_loop;
mod framing;
mod gate;
mod gossip;
mod handle;
mod identity;
mod keeper;
mod key_file;
mod link;
mod listening;
mod names;
mod one_path;
mod pipe;
mod ports;
mod pulse;
mod queue;
mod rendezvous;
mod reports;
mod resolve;
mod stall;
mod streams;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use config::MeshConfig;
pub use config::MeshError;
pub(crate) use config::Timing;
pub(crate) use event_loop::start;
pub(crate) use handle::MeshHandle;
pub(crate) use identity::Identity;
pub use identity::IdentityError;
pub(crate) use keeper::{MeshKeeper, MeshSettings, MeshSlot};
pub use key_file::MeshKeyError;
pub(crate) use pipe::{Pipe, PipeError, Pipes};
