//! When an author is asked for what is missing of it: one question at a time.

use crate::mesh::LinkId;

/// A gap may close by itself for so long before its author is asked, in ms: gossip can take
/// different ways.
pub(super) const GRACE_MS: u64 = 150;
/// An author that does not answer is asked again after this long at first, in ms; then after
/// twice as long, and so on.
pub(super) const RETRY_MS: u64 = 5_000;
/// The longest such wait, in ms.
pub(super) const RETRY_MOST_MS: u64 = 60_000;

/// Whether and when an author is asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// When the next question is due, once there is no other.
    due: Option<u64>,
    /// The question that is not answered yet: over which link, and how long that may take.
    open: Option<(LinkId, u64)>,
    /// Questions in a row that were not answered.
    unanswered: u32,
}

impl Asking {
    /// Something is missing that will not come by itself.
    pub(super) fn soon(&mut self, now: u64) {
        self.due = Some(now);
    }

    /// Something is missing that may come by itself.
    pub(super) fn missed(&mut self, now: u64) {
        if self.open.is_none() {
            self.due.get_or_insert(now + GRACE_MS);
        }
    }

    /// Nothing can be asked for in the next time.
    pub(super) fn later(&mut self, now: u64) {
        self.due = Some(now + RETRY_MS);
    }

    /// Nothing is missing, or there is nobody to ask.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    /// Returns whether to ask now. On a link of its own the author has not been asked.
    pub(super) fn is_due(&mut self, now: u64, link: LinkId) -> bool {
        if self
            .open
            .is_some_and(|(on, until)| on != link || until <= now)
        {
            self.open = None;
            self.due = Some(now);
        }
        self.open.is_none() && self.due.is_some_and(|due| due <= now)
    }

    pub(super) fn asked(&mut self, now: u64, link: LinkId) {
        let wait = RETRY_MS.saturating_mul(1 << self.unanswered.min(8));
        self.unanswered = self.unanswered.saturating_add(1);
        self.due = None;
        self.open = Some((link, now + wait.min(RETRY_MOST_MS)));
    }

    /// An answer has come. If it settled nothing, because gossip was faster, the next question
    /// waits a little: an author must not be able to keep this hub busy.
    pub(super) fn answered(&mut self, now: u64, helped: bool) {
        self.open = None;
        if helped {
            self.unanswered = 0;
            self.due = Some(now);
        } else {
            self.due = Some(now + GRACE_MS);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.open.map(|(_, until)| until).or(self.due)
    }
}
