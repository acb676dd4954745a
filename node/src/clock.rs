//! The hub's time: wall-clock milliseconds that never go backwards.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the wall clock must be ahead of us before we follow it: after sleep, or when it was
/// set. Smaller differences are drift.
const LEAP: Duration = Duration::from_secs(1);

/// Counts on from the wall clock at the start with the monotonic clock; follows the wall clock
/// forward only, so that timers and timestamps keep their order.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Wall-clock time that belongs to `start`.
    base: Duration,
}

impl Clock {
    /// Returns a clock that shows the wall clock's time.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            base: wall(),
        }
    }

    /// Returns the time in ms since 1970.
    pub(crate) fn now(&mut self) -> u64 {
        self.at(wall())
    }

    fn at(&mut self, wall: Duration) -> u64 {
        let own = self.base + self.start.elapsed();
        if wall > own + LEAP {
            self.base += wall - own;
        }
        u64::try_from((self.base + self.start.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}

fn wall() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_take_the_hub_along() {
        let mut clock = Clock::new();
        let before = clock.now();
        assert!(clock.at(Duration::ZERO) >= before);
        let day = Duration::from_secs(86_400);
        let leapt = clock.at(wall() + day);
        assert!(leapt >= before + 86_000_000);
        assert!(clock.now() >= leapt);
    }
}
