//! The mesh over real networks: every hub in a network namespace of its own, on a switch whose
//! cables the tests cut. Needs root and iproute2; says visibly when it is skipped.
//!
//! `discovery`: hubs find each other. `cable`: a cable is cut. `crash`: a hub is killed. `groups`:
//! a group is parted. `pairing`: machines become
//! a mesh, and leave it. `bulk`: long texts, bursts, many rooms. `strangers`: keys, names and clocks
//! that are not as they should be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bulk;
mod cable;
mod crash;
mod discovery;
mod groups;
mod pairing;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
