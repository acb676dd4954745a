//! What goes wrong with publications, and what a person is told of it.
//!
//! Gossip can fall silent for good on a connection that is otherwise sound (measured: one large
//! message is enough). [`Watchdog`] notices; [`Troubles`] keeps what is shown.

use crate::mesh::LinkId;
use ecorelay_protocol::PeerId;
use std::collections::{BTreeMap, VecDeque};

/// Rounds in which publications came only for the asking, before the connection is made anew.
const ROUNDS: usize = 3;
/// They count within this time, in ms; and a connection is made anew once in it at most.
const ROUND_MS: u64 = 60_000;
/// A trouble is shown this long after it was last seen, in ms.
const SHOWN_MS: u64 = 10 * 60_000;

/// Watches whether the publications of one author come by gossip.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// The link on which the author last said how far it has published.
    link: Option<LinkId>,
    /// It has published numbers above this one, which gossip has not brought.
    above: Option<u64>,
    rounds: VecDeque<u64>,
    redialled: Option<u64>,
}

impl Watchdog {
    /// The author says how far it has published; `tail` was known before.
    pub(super) fn announced(&mut self, link: LinkId, tail: u64, seq: u64) {
        if self.link != Some(link) {
            // Gossip had no way while there was no link.
            self.link = Some(link);
            self.above = None;
            self.rounds.clear();
        } else if seq > tail {
            self.above.get_or_insert(tail);
        }
    }

    /// Gossip of the author came.
    pub(super) fn gossip(&mut self) {
        self.above = None;
        self.rounds.clear();
    }

    /// A publication came for the asking that gossip should have brought; returns whether to
    /// make the connection anew.
    pub(super) fn filled(&mut self, now: u64, seq: u64) -> bool {
        if self.above.is_none_or(|above| seq <= above) {
            return false;
        }
        self.above = None;
        self.rounds.push_back(now);
        while self.rounds.front().is_some_and(|at| at + ROUND_MS <= now) {
            self.rounds.pop_front();
        }
        let again = self.redialled.is_none_or(|at| at + ROUND_MS <= now);
        let redial = self.rounds.len() >= ROUNDS && again;
        if redial {
            self.redialled = Some(now);
            self.rounds.clear();
        }
        redial
    }
}

/// What can go wrong with the publications of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// They are not what they should be.
    Unreadable,
    /// They come too fast.
    Flood,
    /// Some could not be had any more.
    Missed,
    /// Gossip does not bring them.
    Silent,
}

impl Trouble {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "rooms_unreadable",
            Self::Flood => "rooms_flood",
            Self::Missed => "rooms_missed",
            Self::Silent => "rooms_gossip_silent",
        }
    }

    /// Returns what is wrong with the publications of a hub, `count` of them.
    pub(super) fn message(self, hub: &str, count: u64) -> String {
        match self {
            Self::Unreadable => format!(
                "Room messages or broadcasts of the hub {hub} cannot be read; they are dropped."
            ),
            Self::Flood => format!(
                "Room messages or broadcasts of the hub {hub} come faster than this hub takes them; what is too much is dropped."
            ),
            Self::Missed => format!(
                "{count} room messages or broadcasts of the hub {hub} were missed: they are no longer kept there."
            ),
            Self::Silent => format!(
                "Room messages of the hub {hub} come only for the asking, half a second late; the connection is made anew."
            ),
        }
    }

    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "Update EcoRelay on both machines; ecorelay node status shows the versions."
            }
            Self::Flood => {
                "ecorelay node status there shows its sessions: end the one that sends so many."
            }
            Self::Missed => {
                "Nothing, if the two hubs were apart for 10 minutes or more; else see ecorelay doctor."
            }
            Self::Silent => {
                "Nothing, if this goes away within minutes; else ecorelay node restart there."
            }
        }
    }
}

/// The troubles that are shown: when each was last seen, in ms, and how often.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    seen: BTreeMap<(Trouble, PeerId), (u64, u64)>,
}

impl Troubles {
    /// Notes a trouble; returns how often it was seen, if what is shown changes with that.
    pub(super) fn note(
        &mut self,
        now: u64,
        trouble: Trouble,
        peer: &PeerId,
        count: u64,
    ) -> Option<u64> {
        let entry = self.seen.entry((trouble, peer.clone())).or_insert((now, 0));
        let first = entry.1 == 0;
        *entry = (now, entry.1.saturating_add(count));
        (first || trouble == Trouble::Missed).then_some(entry.1)
    }

    /// Notes that a trouble is over; returns whether it was shown.
    pub(super) fn lift(&mut self, trouble: Trouble, peer: &PeerId) -> bool {
        // Most hubs have none: no key is made for them.
        !self.seen.is_empty() && self.seen.remove(&(trouble, peer.clone())).is_some()
    }

    /// Forgets and returns what was not seen for long.
    pub(super) fn forget_old(&mut self, now: u64) -> Vec<(Trouble, PeerId)> {
        let is_old = |(_, (last, _)): &(&(Trouble, PeerId), &(u64, u64))| last + SHOWN_MS <= now;
        let old = self.seen.iter().filter(is_old);
        let old: Vec<_> = old.map(|(key, _)| key.clone()).collect();
        self.seen.retain(|_, (last, _)| *last + SHOWN_MS > now);
        old
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.seen.values().map(|(last, _)| last + SHOWN_MS).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keys as _, PlainKeys};

    #[test]
    fn silent_gossip_makes_the_connection_anew_once_a_minute() {
        let mut dog = Watchdog::default();
        let mut redials = Vec::new();
        dog.announced(LinkId(1), 0, 50);
        assert!(!dog.filled(0, 50), "what was missed without a link");
        for round in 1..=80 {
            let (now, tail) = (round * 1_000, 50 + round);
            dog.announced(LinkId(1), tail, tail + 1);
            if dog.filled(now, tail + 1) {
                redials.push(round);
            }
        }
        assert_eq!(redials, [3, 63]);
    }

    #[test]
    fn one_round_by_gossip_is_enough() {
        let mut dog = Watchdog::default();
        dog.announced(LinkId(1), 0, 0);
        for n in 0..20 {
            dog.announced(LinkId(1), n, n + 1);
            assert!(!dog.filled(n, n + 1));
            if n % 2 == 1 {
                dog.gossip();
            }
        }
    }

    #[test]
    fn a_trouble_is_shown_for_a_while() {
        let mut troubles = Troubles::default();
        let peer = |n| PlainKeys::numbered(n).peer_id().clone();
        assert_eq!(troubles.note(1, Trouble::Missed, &peer(1), 2), Some(2));
        assert_eq!(troubles.note(2, Trouble::Missed, &peer(1), 3), Some(5));
        assert_eq!(troubles.note(2, Trouble::Flood, &peer(3), 1), Some(1));
        assert_eq!(troubles.note(3, Trouble::Flood, &peer(3), 1), None);
        assert!(troubles.lift(Trouble::Flood, &peer(3)));
        assert!(!troubles.lift(Trouble::Flood, &peer(3)));
        assert_eq!(troubles.forget_old(1 + SHOWN_MS), []);
        let old = troubles.forget_old(2 + SHOWN_MS);
        assert_eq!(old, [(Trouble::Missed, peer(1))]);
        assert_eq!(troubles.next_deadline(), None);
    }
}
