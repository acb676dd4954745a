//! The EcoRelay hub daemon, and the library to embed one.
//!
//! A node is one machine's hub: it keeps the mail, knows the sessions, and lets them talk, with
//! each other and with the sessions of all hubs that are one mesh with it. The rules are in
//! [`ecorelay_hub`]; this crate gives them a body. Connections are tokio tasks that read and
//! decode; **one hub thread** owns the brain and the SQLite store, commits what waits in one
//! batch, and answers; a bounded queue brings lines back to each client. One task owns the
//! libp2p swarm that carries the links to other hubs.
//!
//! - [`Node`] is a running hub, [`NodeBuilder`] how to start one.
//! - [`Session`] is a session of the program that embeds it: it sends, receives, and joins rooms
//!   and groups.
//! - [`Node::invite`] and [`Node::join`] make a mesh of several hubs; [`Presence`] says who is
//!   there.
//! - [`run_daemon`] is a node with logs and signals: what `ecorelay node run` does.
//! - [`store::SqliteStore`] is the durable store.
//!
//! # A hub and a session
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ecorelay_node::{DataDir, HubLine, Node};
//!
//! let node = Node::builder().data_dir(DataDir::at("/tmp/demo")).start().await?;
//! let session = node.session("builder").agent("demo").register().await?;
//! let sent = session.send("reviewer", "Please look at the parser.").await?;
//! println!("accepted as {}", sent.msg_id);
//! while let Some(push) = session.next_push().await {
//!     if let HubLine::IncomingMessage { received, .. } = push {
//!         println!("{}: {}", received.from, received.text);
//!         session.reply(&received.msg_id, "Thank you.").await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A message is on the disk when [`Session::send`] returns, and from then on it is not lost.
//! [`Session::next_push`] takes what comes while the session is live; what came before, or what
//! it does not take, waits in [`Session::inbox`].
//!
//! # A mesh
//!
//! The first invitation makes the mesh. Its ticket is one line of text and a secret; whoever has
//! it can join, on any machine that reaches this one. After that the hubs remember each other.
//!
//! ```no_run
//! # async fn example(node: ecorelay_node::Node, other: ecorelay_node::Node)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use ecorelay_node::{InviteOptions, PresenceEvent};
//!
//! let invitation = node.invite(InviteOptions::default()).await?;
//! // On the other machine:
//! other.join(&invitation.ticket).await?;
//!
//! let mut presence = node.presence().await?;
//! loop {
//!     match presence.next().await? {
//!         PresenceEvent::Came(peer) => println!("{} works in {}", peer.name, peer.cwd),
//!         PresenceEvent::Changed(peer) => println!("{} is {:?}", peer.name, peer.state),
//!         PresenceEvent::Left(peer) => println!("{} is gone", peer.name),
//!     }
//! }
//! # }
//! ```
//!
//! A session of another hub is addressed as `name@hub_id`; everything else is as at home. While
//! the other hub is away, messages for it wait in this one's store.

mod builder;
mod clock;
mod daemon;
mod error;
mod events;
mod hub_thread;
mod in_process;
mod lifecycle;
mod logging;
mod mesh;
mod node;
mod pairing;
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
