//! Budgets against storms: how many pushes a sender, and a pair of peers, may cause.
//!
//! Over budget a message is stored quietly and the sender is told; nothing is lost.

use crate::Tunables;
use ecorelay_protocol::{Address, Name};
use std::collections::BTreeMap;

/// Senders and pairs remembered at once; the fullest buckets are forgotten first.
const BUCKETS: usize = 20_000;

/// A token bucket that fills with time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Thousandths of a token.
    level: u64,
    filled: u64,
}

/// How much a bucket holds and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    burst: u64,
    per_minute: u64,
}

impl Rate {
    pub(crate) fn new(burst: u32, per_minute: u32) -> Self {
        Self {
            burst: u64::from(burst) * 1_000,
            per_minute: u64::from(per_minute) * 1_000,
        }
    }

    pub(crate) fn full(self, now: u64) -> Bucket {
        Bucket {
            level: self.burst,
            filled: now,
        }
    }

    fn fill(self, bucket: &mut Bucket, now: u64) {
        let gained = now
            .saturating_sub(bucket.filled)
            .saturating_mul(self.per_minute)
            / 60_000;
        if gained > 0 {
            bucket.level = bucket.level.saturating_add(gained).min(self.burst);
            bucket.filled = now;
        }
    }

    /// Takes one token out; returns whether there was one.
    pub(crate) fn take(self, bucket: &mut Bucket, now: u64) -> bool {
        let allowed = self.allows(bucket, now);
        if allowed {
            bucket.level -= 1_000;
        }
        allowed
    }

    /// Returns how many tokens are there.
    pub(crate) fn left(self, bucket: &mut Bucket, now: u64) -> usize {
        self.fill(bucket, now);
        usize::try_from(bucket.level / 1_000).unwrap_or(usize::MAX)
    }

    fn allows(self, bucket: &mut Bucket, now: u64) -> bool {
        self.fill(bucket, now);
        bucket.level >= 1_000
    }
}

/// What is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    Sender,
    Conversation,
}

/// All budgets of a hub.
#[derive(Debug)]
pub(crate) struct Budgets {
    sender: Rate,
    conversation: Rate,
    broadcast: Rate,
    senders: BTreeMap<Address, Bucket>,
    conversations: BTreeMap<(Address, Address), Bucket>,
    broadcasts: BTreeMap<Name, Bucket>,
}

impl Budgets {
    pub(crate) fn new(t: &Tunables) -> Self {
        Self {
            sender: Rate::new(t.push_burst, t.push_per_minute),
            conversation: Rate::new(t.conversation_burst, t.conversation_per_minute),
            broadcast: Rate::new(t.broadcasts_per_minute, t.broadcasts_per_minute),
            senders: BTreeMap::new(),
            conversations: BTreeMap::new(),
            broadcasts: BTreeMap::new(),
        }
    }

    /// Takes one push from `from` to `to` out of the budgets, or says which is used up.
    pub(crate) fn push(&mut self, from: &Address, to: &Name, now: u64) -> Result<(), Exhausted> {
        let to = &Address::local(to.clone());
        prune(&mut self.senders, self.sender, now);
        prune(&mut self.conversations, self.conversation, now);
        let pair = if from <= to { (from, to) } else { (to, from) };
        let pair = (pair.0.clone(), pair.1.clone());
        let sender = self
            .senders
            .entry(from.clone())
            .or_insert_with(|| self.sender.full(now));
        let conversation = self
            .conversations
            .entry(pair)
            .or_insert_with(|| self.conversation.full(now));
        if !self.sender.allows(sender, now) {
            return Err(Exhausted::Sender);
        }
        if !self.conversation.allows(conversation, now) {
            return Err(Exhausted::Conversation);
        }
        sender.level -= 1_000;
        conversation.level -= 1_000;
        Ok(())
    }

    /// Takes one push from `from` out of its own budget only (rooms, groups: many recipients).
    pub(crate) fn fan_out(&mut self, from: &Name, now: u64) -> bool {
        prune(&mut self.senders, self.sender, now);
        let bucket = self
            .senders
            .entry(Address::local(from.clone()))
            .or_insert_with(|| self.sender.full(now));
        self.sender.take(bucket, now)
    }

    /// Takes one broadcast out of the sender's budget.
    pub(crate) fn broadcast(&mut self, from: &Name, now: u64) -> bool {
        prune(&mut self.broadcasts, self.broadcast, now);
        let bucket = self
            .broadcasts
            .entry(from.clone())
            .or_insert_with(|| self.broadcast.full(now));
        self.broadcast.take(bucket, now)
    }
}

/// Forgets full buckets when there are too many, and all of them if that is not enough.
fn prune<K: Ord>(buckets: &mut BTreeMap<K, Bucket>, rate: Rate, now: u64) {
    if buckets.len() >= BUCKETS {
        buckets.retain(|_, bucket| {
            rate.fill(bucket, now);
            bucket.level < rate.burst
        });
        if buckets.len() >= BUCKETS {
            buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_runs_dry_and_time_fills_again() {
        let mut budgets = Budgets::new(&Tunables {
            conversation_burst: 3,
            conversation_per_minute: 60,
            ..Tunables::default()
        });
        let [a, b]: [Address; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        for _ in 0..2 {
            assert_eq!(budgets.push(&a, &b.name, 1_000), Ok(()));
        }
        assert_eq!(budgets.push(&b, &a.name, 1_000), Ok(()));
        assert_eq!(
            budgets.push(&a, &b.name, 1_000),
            Err(Exhausted::Conversation)
        );
        assert_eq!(budgets.push(&a, &b.name, 2_000), Ok(()));
        assert_eq!(
            budgets.push(&a, &b.name, 2_000),
            Err(Exhausted::Conversation)
        );
    }

    #[test]
    fn the_number_of_budgets_is_bounded() {
        let mut budgets = Budgets::new(&Tunables::default());
        let to: Name = "to".parse().unwrap();
        for n in 0..BUCKETS + 10 {
            let from: Address = format!("n{n}").parse().unwrap();
            let _ = budgets.push(&from, &to, 5);
        }
        assert!(budgets.senders.len() <= BUCKETS && budgets.conversations.len() <= BUCKETS);
    }
}
