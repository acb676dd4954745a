//! The books: what was asked, answered, shown and read, by the text, which is unique.

use std::collections::{BTreeMap, BTreeSet};

/// One direct message.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The actor who sent it.
    pub sender: usize,
    /// Its number among those of its sender.
    pub order: u64,
    /// The machine it is for.
    pub to: usize,
    pub accepted: bool,
    /// Not by a full disk: what is on its way into a live session or to another hub then cannot be
    /// taken back.
    pub refused: bool,
    /// Its sender was told afterwards that it was not taken.
    pub told: bool,
}

/// Everything the actors wrote down.
#[derive(Debug, Default)]
pub struct Books {
    pub letters: BTreeMap<String, Letter>,
    /// Which text has which id, at the sender's hub.
    pub texts: BTreeMap<String, String>,
    /// Who was shown which text in an inbox.
    pub shown: BTreeMap<String, Vec<usize>>,
    /// How often the reading of a text was confirmed.
    pub settled: BTreeMap<String, usize>,
    /// Texts that somebody set out to answer.
    pub answered: BTreeSet<String>,
    /// Answers to an ask: handed over is as good as read.
    pub answers: BTreeSet<String>,
    /// Texts that a push path handed over.
    pub handed: BTreeSet<String>,
    /// Each reader's texts, in the order of its inbox.
    pub orders: BTreeMap<usize, Vec<String>>,
    /// Every name an actor has had.
    pub names: BTreeMap<usize, BTreeSet<String>>,
    /// Group texts that were accepted: the author, and the group's id on every hub.
    pub said: BTreeMap<String, (usize, String)>,
    /// Actors who were taken out of a group once, or left it.
    pub parted: BTreeSet<(String, usize)>,
    /// Somebody was taken out of a group: what it said at the same time does not count.
    pub removals: bool,
    /// Room messages: who was shown them how often.
    pub heard: BTreeMap<(usize, String), usize>,
}

impl Books {
    /// Notes an inbox entry and checks what holds at once.
    pub fn show(&mut self, reader: usize, hub: usize, from: &str, text: &str) {
        let letter = &self.letters[text];
        assert_eq!(letter.to, hub, "{text} is at hub{hub}");
        self.check_from(hub, from, text, letter.sender);
        let shown = self.shown.entry(text.to_owned()).or_default();
        assert!(
            shown.iter().all(|other| *other == reader),
            "{text} was shown to {shown:?} and to {reader}"
        );
        shown.push(reader);
        let order = self.orders.entry(reader).or_default();
        if !order.iter().any(|t| t == text) {
            order.push(text.to_owned());
        }
    }

    /// Checks that `from`, as a hub shows it, is an address the sender has had.
    pub fn check_from(&self, hub: usize, from: &str, text: &str, sender: usize) {
        let (name, at) = match from.split_once('@') {
            Some((name, at)) => (name, at.to_owned()),
            None => (from, format!("hub{hub}")),
        };
        let home = format!("hub{}", sender / 100);
        assert_eq!(at, home, "{text} is shown as from {from}");
        assert!(
            self.names[&sender].contains(name),
            "{text} is shown as from {from}; its sender is {:?}",
            self.names[&sender]
        );
    }

    /// What must hold of every letter when all is quiet and everything was read.
    pub fn check(&self, ordered: bool) {
        for (text, letter) in &self.letters {
            let shown = self.shown.get(text).is_some_and(|s| !s.is_empty())
                || self.answers.contains(text) && self.handed.contains(text);
            let settled = self.settled.get(text).copied().unwrap_or(0);
            assert!(settled <= 1, "{text} was read {settled} times");
            assert!(
                !letter.accepted || shown || letter.told || self.answered.contains(text),
                "accepted {text} was never read, and its sender never told"
            );
            assert!(
                !(shown && letter.told),
                "{text} was read, and its sender was told that it was not taken"
            );
            assert!(!(letter.refused && shown), "refused {text} was read");
        }
        if ordered {
            self.check_order();
        }
    }

    /// What one reader got from one sender to one address rises.
    fn check_order(&self) {
        for order in self.orders.values() {
            let mut last: BTreeMap<(usize, &str), u64> = BTreeMap::new();
            for text in order {
                let letter = &self.letters[text];
                let to = text.rsplit(':').next().unwrap();
                let before = last.insert((letter.sender, to), letter.order);
                assert!(
                    before.is_none_or(|b| b < letter.order),
                    "{text} comes after number {before:?}"
                );
            }
        }
    }
}
