//! How much is measured.

use std::time::Duration;

/// How often everything is done.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Turns that floor and subject take; one number of the table is the median of this many.
    pub(crate) rounds: usize,
    /// Messages per turn where one is timed at a time.
    pub(crate) samples: usize,
    /// Messages per turn where many are in flight.
    pub(crate) flood: usize,
    /// Hubs that one speaker's words go to.
    pub(crate) rooms: [usize; 2],
    /// Hubs linked to the one that idles.
    pub(crate) linked: usize,
    /// How long hubs are watched doing nothing.
    pub(crate) idle: Duration,
    /// Sizes of the meshes in which growth shows.
    pub(crate) sizes: &'static [usize],
}

impl Plan {
    /// Returns the plan of a quick run, or of a thorough one.
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self {
                rounds: 1,
                samples: 30,
                flood: 1_000,
                rooms: [2, 3],
                linked: 4,
                idle: Duration::from_secs(3),
                sizes: &[3, 6],
            }
        } else {
            Self {
                rounds: 5,
                samples: 400,
                flood: 10_000,
                rooms: [2, 5],
                linked: 20,
                idle: Duration::from_secs(30),
                sizes: &[10, 20, 50],
            }
        }
    }
}
