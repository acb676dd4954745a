//! The last so many ids, each with what is known of it; the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};

/// Ids that are remembered.
pub(crate) const REMEMBERED: usize = 1_000;

/// A bounded memory of ids.
#[derive(Debug)]
pub(crate) struct Remembered<V> {
    known: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Remembered<V> {
    /// Remembers `id`; what was known of it is replaced.
    pub(crate) fn insert(&mut self, id: &str, value: V) {
        if self.known.insert(id.to_owned(), value).is_some() {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Returns what is known of `id`.
    pub(crate) fn get(&self, id: &str) -> Option<&V> {
        self.known.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first_and_the_memory_is_bounded() {
        let mut ids = Remembered::default();
        for n in 0..REMEMBERED + 5 {
            ids.insert(&n.to_string(), n);
            ids.insert("again", 0);
        }
        assert_eq!(ids.get("4"), None);
        assert_eq!(ids.get(&REMEMBERED.to_string()), Some(&REMEMBERED));
        assert!(ids.known.len() <= REMEMBERED && ids.order.len() <= REMEMBERED);
    }
}
