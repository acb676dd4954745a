//! The EcoRelay hub daemon, and the library to embed one.
//!
//! A node is one machine's hub: it keeps the mail, knows the sessions, and lets them talk. The
//! rules are in [`ecorelay_hub`]; this crate gives them a body. Connections are tokio tasks
//! that read and decode; **one hub thread** owns the brain and the SQLite store, commits what
//! waits in one batch, and answers; a bounded queue brings lines back to each client.
//!
//! - [`Node`] is a running hub, [`NodeBuilder`] how to start one.
//! - [`Session`] is a session of the program that embeds it.
//! - [`run_daemon`] is a node with logs and signals: what `ecorelay node run` does.
//! - [`store::SqliteStore`] is the durable store.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ecorelay_config::DataDir;
//! use ecorelay_node::Node;
//!
//! let node = Node::builder().data_dir(DataDir::at("/tmp/demo")).start().await?;
//! let session = node.session("builder").agent("demo").register().await?;
//! let sent = session.send("reviewer", "Please look at the parser.").await?;
//! println!("accepted as {}", sent.msg_id);
//! while let Some(push) = session.next_push().await {
//!     println!("{push:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod clock;
mod daemon;
mod error;
mod events;
mod hub_thread;
mod in_process;
mod lifecycle;
mod logging;
#[allow(dead_code, unused_imports)]
mod mesh;
mod node;
mod platform;
mod sessions;
pub mod store;

pub use builder::NodeBuilder;
pub use daemon::{DaemonOptions, run_daemon};
pub use ecorelay_config::{Config, DataDir};
pub use ecorelay_protocol::{HubId, HubLine, PeerInfo};
pub use error::NodeError;
pub use hub_thread::ExitReason;
pub use in_process::{
    GroupInfo, History, Inbox, Invitation, InviteOptions, Joined, Presence, PresenceEvent, Sent,
    Session, SessionBuilder, SessionError, Watch,
};
pub use mesh::{IdentityError, MeshError, MeshKeyError};
pub use node::Node;
