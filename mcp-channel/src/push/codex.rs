//! Codex: its app-server, and the queue of messages for a thread.

use super::{About, Verdict};
use ecorelay_adapters::Parcel;

/// The two ways into a thread of Codex.
#[derive(Debug)]
#[allow(dead_code)] // nothing is looked up yet
pub(crate) struct CodexPath {
    about: About,
}

impl CodexPath {
    pub(crate) fn new(about: About) -> Self {
        Self { about }
    }

    pub(crate) async fn deliver_to_app_server(&mut self, _parcel: &Parcel) -> Verdict {
        Verdict::refused("no app-server of this session is known")
    }

    pub(crate) async fn deliver_to_queue(&mut self, _parcel: &Parcel) -> Verdict {
        Verdict::refused("the thread of this session is not known")
    }
}
