//! How often somebody did something in the last minute.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What is counted anew.
const MINUTE: Duration = Duration::from_secs(60);
/// Keys that are counted at a time; beyond, nobody new may, until the minute is over. An attacker
/// with more addresses than this is stopped by the bounds on connections.
const KEYS: usize = 65_536;

/// Counts per key and minute.
#[derive(Debug)]
pub(crate) struct Rate<K> {
    most: u32,
    counts: HashMap<K, u32>,
    began: Option<Instant>,
}

impl<K: Eq + Hash> Rate<K> {
    /// Returns a counter that allows so many per minute.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most,
            counts: HashMap::new(),
            began: None,
        }
    }

    /// Counts once more; returns whether that is still allowed.
    pub(crate) fn allows(&mut self, key: K, now: Instant) -> bool {
        let fresh = |began| now.saturating_duration_since(began) < MINUTE;
        if !self.began.is_some_and(fresh) {
            self.began = Some(now);
            self.counts = HashMap::new();
        }
        if self.counts.len() >= KEYS && !self.counts.contains_key(&key) {
            return false;
        }
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_minute_later_it_is_allowed_again_and_others_always_are() {
        let mut rate = Rate::new(2);
        let now = Instant::now();
        assert!(rate.allows(1, now) && rate.allows(1, now));
        assert!(!rate.allows(1, now));
        assert!(rate.allows(2, now));
        assert!(rate.allows(1, now + MINUTE));
    }

    #[test]
    fn so_many_keys_and_no_more() {
        let mut rate = Rate::new(1);
        let now = Instant::now();
        assert!((0..KEYS).all(|key| rate.allows(key, now)));
        assert!(!rate.allows(KEYS, now));
        assert_eq!(rate.counts.len(), KEYS);
    }
}
