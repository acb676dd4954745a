//! The client of a hub's local socket, used by the channel and by the command line.
//!
//! Types to know: [`HubClient`] (requests and their answers over one connection), [`Pushes`]
//! (what the hub sends by itself), [`StartHub`] (how a hub is started when there is none),
//! [`ClientError`].

mod connect;
mod error;
mod session;
mod start;

pub use connect::{ConnectError, HubStream, connect};
pub use error::ClientError;
pub use session::{HubClient, Pushes};
pub use start::{StartHub, ensure_hub};
