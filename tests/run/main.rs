//! `ecorelay run` in a real terminal: the person's program works as ever, and messages are
//! typed in only while its prompt is empty and nobody types.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channel;
mod editor;
mod person;
mod rooms;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod typing;
