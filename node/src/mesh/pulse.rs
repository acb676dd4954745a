//! Whether the other end of a link is alive, and how far away it is.

use super::config::Timing;
use std::time::{Duration, Instant};

/// The round-trip time is measured at least this often, however much is said besides.
const MEASURE: Duration = Duration::from_secs(30);

/// What is to be done when a deadline passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send a ping with this value.
    Ping(u64),
    /// Nothing came for too long.
    Dead,
}

/// The heartbeat of one link. Whoever has heard nothing for an interval asks; the answer is a
/// sign of life for both, so that on a quiet link the two take turns.
#[derive(Debug)]
pub(super) struct Pulse {
    timing: Timing,
    heard: Instant,
    asked: Instant,
    /// The value of the last ping; 0 before the first.
    value: u64,
    answered: bool,
}

impl Pulse {
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            heard: now,
            asked: now,
            value: 0,
            answered: true,
        }
    }

    /// Returns the value of a ping that is sent now.
    pub(super) fn ask(&mut self, now: Instant) -> u64 {
        self.asked = now;
        self.value += 1;
        self.answered = false;
        self.value
    }

    /// Notes that a byte came, or that the reader was busy until now.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Takes an answer; returns the round-trip time if it answers the last ping.
    pub(super) fn answer(&mut self, value: u64, now: Instant) -> Option<Duration> {
        if self.answered || value != self.value {
            return None;
        }
        self.answered = true;
        Some(now.saturating_duration_since(self.asked))
    }

    /// Returns when [`Pulse::beat`] is to be called next.
    pub(super) fn next(&self) -> Instant {
        self.dead_at().min(self.ask_at())
    }

    /// Returns what is to be done now, if anything.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Beat> {
        if now >= self.dead_at() {
            Some(Beat::Dead)
        } else if now >= self.ask_at() {
            Some(Beat::Ping(self.ask(now)))
        } else {
            None
        }
    }

    fn dead_at(&self) -> Instant {
        self.heard + self.timing.dead
    }

    fn ask_at(&self) -> Instant {
        (self.heard.max(self.asked) + self.timing.heartbeat).min(self.asked + MEASURE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_asked_about_and_then_is_death() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Timing::default(), start);
        assert_eq!(pulse.ask(start), 1);
        assert_eq!(pulse.answer(1, start + SECOND / 1000), Some(SECOND / 1000));
        assert_eq!(pulse.answer(1, start + SECOND), None);
        let mut log = Vec::new();
        let mut now = start;
        while log.last() != Some(&Beat::Dead) {
            now = pulse.next();
            log.extend(pulse.beat(now));
        }
        assert_eq!(log, [Beat::Ping(2), Beat::Ping(3), Beat::Dead]);
        assert_eq!(now, start + 15 * SECOND);
    }

    #[test]
    fn a_busy_link_is_measured_now_and_then() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Timing::default(), start);
        let mut pings = 0;
        for second in 1..=120 {
            let now = start + second * SECOND;
            pings += u32::from(pulse.beat(now).is_some());
            pulse.heard(now);
        }
        assert_eq!(pings, 4);
    }
}
