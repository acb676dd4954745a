//! The rules, one file per subject: what happens to every message, without a socket or a clock.
//! One program, so that what they share is built once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod group_storms;
mod groups;
mod mail;
mod mesh;
mod mesh_broadcasts;
mod mesh_hostile;
mod mesh_messages;
mod mesh_renewal;
mod mesh_revoke;
mod mesh_rooms;
#[path = "../mesh_world/mod.rs"]
mod mesh_world;
mod only_a_person;
mod pairing;
mod push_paths;
mod rooms_and_groups;
mod sessions;
#[path = "../world/mod.rs"]
mod world;
