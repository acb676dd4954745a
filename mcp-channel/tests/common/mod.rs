//! A channel in this process between a client and a hub that are both the test itself.
#![allow(dead_code)] // each test file uses its own part

pub(crate) mod client;
pub(crate) mod hub;

use ecorelay_adapters::{PushChoice, Surroundings};
use ecorelay_config::DataDir;
use ecorelay_mcp_channel::ChannelOptions;
use ecorelay_mcp_channel::client::StartHub;
use std::path::Path;
use std::time::Duration;

/// Generous: it is only waited for when something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Options of a channel in `dir` that starts no hub of its own: the "hub" it starts ends at
/// once with success, as one does that found another hub running.
pub(crate) fn options(dir: &Path) -> ChannelOptions {
    ChannelOptions {
        dir: Ok(DataDir::at(dir)),
        start: StartHub {
            program: "true".into(),
            args: Vec::new(),
        },
        push: Some(PushChoice::Auto),
        around: Surroundings {
            peer_id: Some("tester".into()),
            cwd: dir.into(),
            ..Surroundings::default()
        },
    }
}
