//! What the brain wants done.

use crate::ConnId;
use ecorelay_protocol::HubLine;
use std::sync::Arc;

/// Marks a line whose fate the brain wants to know ([`crate::Input::Flushed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Write a line to a client. A tagged line may be dropped when the client's queue is full
    /// (the body reports it); for an untagged one the body closes the connection instead.
    Line {
        /// To whom.
        conn: ConnId,
        /// The bytes, newline included; shared between recipients.
        bytes: Arc<[u8]>,
        /// Report what became of it.
        tag: Option<Tag>,
    },
    /// Close a connection once what was written before is out.
    Close {
        /// Which.
        conn: ConnId,
    },
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
}

impl Effects {
    /// Adds an answer that goes out after the commit.
    pub(crate) fn answer(&mut self, conn: ConnId, line: &HubLine, tag: Option<Tag>) {
        self.after.push(Effect::Line {
            conn,
            bytes: line.encode().into(),
            tag,
        });
    }

    /// Adds a push that goes out at once.
    pub(crate) fn push(&mut self, conn: ConnId, bytes: Arc<[u8]>, tag: Option<Tag>) {
        self.now.push(Effect::Line { conn, bytes, tag });
    }
}
