//! Antigravity: the command that tells a conversation something.

use super::{About, Verdict};
use ecorelay_adapters::Parcel;

/// The way through `agy agentapi`.
#[derive(Debug)]
#[allow(dead_code)] // nothing is looked up yet
pub(crate) struct AgentApiPath {
    about: About,
}

impl AgentApiPath {
    pub(crate) fn new(about: About) -> Self {
        Self { about }
    }

    pub(crate) async fn deliver(&mut self, _parcel: &Parcel) -> Verdict {
        Verdict::refused("this session's conversation is not known")
    }
}
