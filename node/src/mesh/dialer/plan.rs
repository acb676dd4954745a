//! What is dialled, and the waits between attempts.

use crate::mesh::config::Timing;
use libp2p::{Multiaddr, PeerId};
use std::time::{Duration, Instant};

/// Doublings of the wait; far more than it takes to reach the longest.
const DOUBLINGS: u32 = 16;

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::mesh) enum Target {
    /// A hub, wherever it is.
    Hub(PeerId),
    /// A hub, through a server.
    Circuit(PeerId),
    /// An address, whoever is there.
    Address(Multiaddr),
}

/// A dial that is due.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mesh) struct Dial {
    pub(in crate::mesh) target: Target,
    /// Who must be there; nothing: anybody.
    pub(in crate::mesh) peer: Option<PeerId>,
    pub(in crate::mesh) addresses: Vec<Multiaddr>,
}

/// How far a target has been reached.
#[derive(Debug)]
pub(super) struct Plan {
    /// Addresses that the brain gave.
    pub(super) addresses: Vec<Multiaddr>,
    /// Who must be there.
    pub(super) expected: Option<PeerId>,
    /// Who was there last, where nobody must.
    pub(super) found: Option<PeerId>,
    /// Attempts since a good connection.
    pub(super) attempts: u32,
    pub(super) due: Instant,
    pub(super) dialing: bool,
    /// The brain named it; otherwise it is only a hub of the local network.
    pub(super) listed: bool,
}

impl Plan {
    /// Sets the time of the next attempt: later each time, and not the same on every hub.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        wait: Duration,
        timing: Timing,
        random: &mut fastrand::Rng,
    ) {
        let doubled = timing.retry * 2_u32.pow(self.attempts.min(DOUBLINGS));
        let jitter = 0.5 + random.f64() / 2.0;
        self.attempts = self.attempts.saturating_add(1);
        self.due = now + wait + doubled.min(timing.retry_most).mul_f64(jitter);
    }
}
