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
    /// Starts of a hub.
    pub(crate) hub_starts: usize,
    /// Unread messages in the fullest mailbox.
    pub(crate) full_mailbox: usize,
    /// Budgets are held against the numbers.
    pub(crate) judged: bool,
    only: Vec<String>,
}

impl Plan {
    /// Returns the plan for these arguments: `--quick` measures little; words pick sections.
    ///
    /// # Errors
    /// A sentence about an argument that is not known.
    pub(crate) fn from(arguments: &[String]) -> Result<Self, String> {
        let is = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let unknown = |a: &&String| a.starts_with('-') && *a != "--quick" && *a != "--bench";
        if let Some(argument) = arguments.iter().find(unknown) {
            return Err(format!(
                "There is no argument \"{argument}\". Use --quick, or names of sections."
            ));
        }
        let words = arguments.iter().filter(|a| !a.starts_with('-'));
        let only = words.cloned().collect();
        // Cargo says --bench for `cargo bench` only; `cargo test --benches` is to be fast.
        Ok(if is("--quick") || !is("--bench") {
            Self {
                rounds: 1,
                samples: 30,
                flood: 2_000,
                channel_starts: 3,
                hub_starts: 2,
                full_mailbox: 1_000,
                judged: false,
                only,
            }
        } else {
            Self {
                rounds: 5,
                samples: 400,
                flood: 20_000,
                channel_starts: 20,
                hub_starts: 10,
                full_mailbox: 5_000,
                judged: true,
                only,
            }
        })
    }

    /// Returns whether a section is to be measured.
    pub(crate) fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }
}
