//! When the hubs of a namespace are told who is there. Many changes at once are told once, and
//! the more hubs are to be told, the longer it is waited for more.

use crate::config::Namespace;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The least wait.
const LEAST: Duration = Duration::from_millis(20);
/// The wait for each hub that is to be told: 1,000 hubs hear of changes once in a second.
const PER_HUB: Duration = Duration::from_millis(1);

/// What is to be told, and when.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    due: HashMap<Namespace, Instant>,
}

impl Presence {
    /// Notes a change in a namespace with so many hubs.
    pub(crate) fn changed(&mut self, namespace: Namespace, hubs: usize, now: Instant) {
        let hubs = u32::try_from(hubs).unwrap_or(u32::MAX);
        let due = now + LEAST + PER_HUB.saturating_mul(hubs);
        self.due.entry(namespace).or_insert(due);
    }

    /// Returns when [`Presence::take`] will have something.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Returns the namespaces whose time has come.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Namespace> {
        self.due
            .extract_if(|_, due| *due <= now)
            .map(|(namespace, _)| namespace)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn changes_at_once_are_told_once_and_none_is_put_off() {
        let mut presence = Presence::default();
        let now = Instant::now();
        presence.changed([1; 32], 2, now);
        let due = presence.next().unwrap();
        presence.changed([1; 32], 900, now + LEAST);
        assert_eq!(presence.next(), Some(due));
        assert!(presence.take(now).is_empty());
        assert_eq!(presence.take(due), [[1; 32]]);
        assert_eq!(presence.next(), None);
    }
}
