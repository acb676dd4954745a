//! Cline: the hub that hosts its sessions.

use super::{About, Verdict};
use ecorelay_adapters::Parcel;

/// The way through Cline's hub.
#[derive(Debug)]
#[allow(dead_code)] // nothing is looked up yet
pub(crate) struct ClineHubPath {
    about: About,
}

impl ClineHubPath {
    pub(crate) fn new(about: About) -> Self {
        Self { about }
    }

    pub(crate) async fn deliver(&mut self, _parcel: &Parcel) -> Verdict {
        Verdict::refused("this version does not go through the hub of Cline; its plugin does")
    }
}
