//! What the brain wants done.

use crate::{ConnId, LinkId, MeshEffect, PairingEffect};
use ecorelay_protocol::HubLine;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Marks a line whose fate the brain wants to know ([`crate::Input::Flushed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Write a line to a client. When the client's queue is full, a line that may be dropped is
    /// dropped; for any other the body closes the connection.
    Line {
        /// To whom.
        conn: ConnId,
        /// The bytes, newline included; shared between recipients.
        bytes: Arc<[u8]>,
        /// Report what became of it, in every case.
        tag: Option<Tag>,
        /// A push or a copy, not an answer.
        may_drop: bool,
    },
    /// Close a connection once what was written before is out.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Do something on the mesh.
    Mesh(MeshEffect),
    /// Do something about pairing.
    Pairing(PairingEffect),
    /// End the hub cleanly.
    Stop,
}

/// The effects of one batch.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be let out before the commit: pushes to live sessions.
    pub now: Vec<Effect>,
    /// To be let out after the commit only: whatever tells a caller that something is done.
    pub after: Vec<Effect>,
    /// Links whose first words are in `after`: nothing may overtake them.
    pub(crate) opening: BTreeSet<LinkId>,
}

impl Effects {
    /// Adds an answer that goes out after the commit.
    pub(crate) fn answer(&mut self, conn: ConnId, line: &HubLine, tag: Option<Tag>) {
        self.after.push(Effect::Line {
            conn,
            bytes: line.encode().into(),
            tag,
            may_drop: false,
        });
    }

    /// Adds a push that goes out at once; with a tag it may be dropped.
    pub(crate) fn push(&mut self, conn: ConnId, bytes: Arc<[u8]>, tag: Option<Tag>) {
        let may_drop = tag.is_some();
        self.now.push(Effect::Line {
            conn,
            bytes,
            tag,
            may_drop,
        });
    }
}
