//! Hubs behind routers that meet at a rendezvous server: every machine, router and public host in
//! a network namespace of its own. Needs root, iproute2 and nftables; says visibly when it is
//! skipped.
//!
//! `matrix`: which routers let hubs through to each other, and what a person sees. `server_dies`:
//! the server is killed and comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod matrix;
mod pairs;
mod server;
mod server_dies;
#[path = "../support/mod.rs"]
mod support;
