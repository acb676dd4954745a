//! How much is measured.

/// How often everything is done.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Turns that floor and subject take; one number of the table is the median of this many.
    pub(crate) rounds: usize,
    /// Messages per turn where one is timed at a time.
    pub(crate) samples: usize,
    /// Messages per turn where many are in flight.
    pub(crate) flood: usize,
    /// Starts of a channel.
    pub(crate) channel_starts: usize,
    /// Runs of a hook.
    pub(crate) hook_runs: usize,
    /// Starts of a hub.
    pub(crate) hub_starts: usize,
    /// Unread messages in the fullest mailbox.
    pub(crate) full_mailbox: usize,
}

impl Plan {
    /// Returns the plan of a quick run, or of a thorough one.
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self {
                rounds: 1,
                samples: 30,
                flood: 2_000,
                channel_starts: 3,
                hook_runs: 3,
                hub_starts: 2,
                full_mailbox: 1_000,
            }
        } else {
            Self {
                rounds: 5,
                samples: 400,
                flood: 20_000,
                channel_starts: 20,
                hook_runs: 40,
                hub_starts: 10,
                full_mailbox: 5_000,
            }
        }
    }
}
