//! The brain of an EcoRelay hub: one deterministic state machine that decides what happens to
//! every message. No tokio, no libp2p, no clock, no sockets, no randomness of its own.
//!
//! The body (the `node` crate, or a test) owns the sockets, the store and the time. It feeds
//! [`Hub::handle`] one [`Input`] at a time inside a store transaction, collects [`Effects`],
//! lets the effects marked *now* out, commits, lets out those marked *after commit*; when the
//! commit fails it rolls back and calls [`Hub::batch_failed`] instead. [`Hub::next_deadline`]
//! says when to call again with [`Input::Tick`].
//!
//! Types to know: [`Hub`], [`HubConfig`], [`Input`], [`Effects`], the [`Store`] trait and its
//! [`Write`]s, and [`MemoryStore`], which forgets exactly what was not committed.

mod asks;
mod budget;
mod clients;
mod confirm;
mod delivery;
mod effects;
mod groups;
mod hub;
mod import;
mod inbox;
mod input;
mod mail;
mod mailboxes;
mod memory_store;
mod mesh;
mod pairing;
mod plain_keys;
mod push_path;
mod registry;
mod reply;
mod report;
mod rooms;
mod store;

pub use effects::{Effect, Effects, Tag};
pub use hub::Hub;
pub use input::{ConnId, HubConfig, Ids, Input, Keys, Origin, Tunables, Warning};
pub use memory_store::MemoryStore;
pub use mesh::{
    DialFailure, LinkId, LinkPath, MeshEffect, MeshInput, MeshPeers, PunchOutcome, ServerState,
};
pub use pairing::{
    AttemptId, Door, PairingEffect, PairingFailure, PairingInput, PairingSide, Window,
};
pub use plain_keys::PlainKeys;
pub use store::{
    AskRow, Asker, Durable, EntryPlace, Found, GoneRow, GroupChangeRow, GroupEntryRow, GroupHubRow,
    GroupId, GroupLoad, GroupRow, HubRow, MailboxId, MailboxLoad, MailboxRow, Member, MemberRow,
    MeshRow, MessageKey, MessageRow, OpId, OutboxLoad, OutgoingRow, Proof, Pushed, Store,
    StoreError, TicketRow, Write,
};
