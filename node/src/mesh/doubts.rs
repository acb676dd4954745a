//! Failed handshakes that may mean nothing: when two hubs dial each other at once, one of the two
//! connections is refused, and looks like a handshake with another key to the side that did not
//! refuse it. So they are told only if no connection came up.

use ecorelay_hub::DialFailure;
use ecorelay_protocol::PeerId;
use libp2p::Multiaddr;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long it takes for the other connection to come up at most.
const WAIT: Duration = Duration::from_secs(1);
/// Failures that wait; of more, all but the first are told only when they happen again.
const MOST: usize = 256;

/// A connection that did not come up.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) at: Instant,
    /// Who was dialled, where that is known.
    pub(super) peer: Option<PeerId>,
    pub(super) address: Multiaddr,
    /// Where failures count as one: the address that was dialled, or the machine that dialled.
    pub(super) place: String,
    pub(super) failure: DialFailure,
}

/// Failures that wait.
#[derive(Debug, Default)]
pub(super) struct Doubts(VecDeque<Failed>);

impl Doubts {
    /// Keeps a failure that may mean nothing; gives any other back, to be told at once.
    pub(super) fn keep(&mut self, failed: Failed) -> Option<Failed> {
        match failed.failure {
            DialFailure::Handshake | DialFailure::TimedOut => {
                if self.0.len() < MOST {
                    self.0.push_back(failed);
                }
                None
            }
            _ => Some(failed),
        }
    }

    /// Returns when [`Doubts::take`] is to be called next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.front().map(|failed| failed.at + WAIT)
    }

    /// Returns a failure that has waited long enough.
    pub(super) fn take(&mut self, now: Instant) -> Option<Failed> {
        self.next()
            .filter(|at| *at <= now)
            .and_then(|_| self.0.pop_front())
    }
}
