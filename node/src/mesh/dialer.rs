//! Whom to dial, and when. Plain bookkeeping: no sockets, and the time comes from outside.
//!
//! Of two hubs that list each other the one with the smaller PeerId dials at once, the other
//! only if that comes to nothing.

use super::config::Timing;
use super::names;
use ecorelay_hub::MeshPeers;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Dials at a time; fewer than handshakes are allowed.
const AT_A_TIME: usize = 24;
/// Addresses of one hub that are tried.
const ADDRESSES: usize = 16;
/// Hubs of the local network that are remembered.
const NEARBY: usize = 1_024;
/// A connection that held this long was a good one: after its loss the waits begin anew.
const GOOD: Duration = Duration::from_secs(10);
/// Doublings of the wait; far more than it takes to reach the longest.
const DOUBLINGS: u32 = 16;

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// A hub, wherever it is.
    Hub(PeerId),
    /// An address, whoever is there.
    Address(Multiaddr),
}

/// A dial that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) target: Target,
    /// Who must be there; nothing: anybody.
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
}

/// How far a target has been reached.
#[derive(Debug)]
struct Plan {
    /// Addresses that the brain gave.
    addresses: Vec<Multiaddr>,
    /// Who must be there.
    expected: Option<PeerId>,
    /// Who was there last, where nobody must.
    found: Option<PeerId>,
    /// Attempts since a good connection.
    attempts: u32,
    due: Instant,
    dialing: bool,
}

/// Everything about dialling.
#[derive(Debug)]
pub(super) struct Dialer {
    local: PeerId,
    timing: Timing,
    plans: HashMap<Target, Plan>,
    blocked: HashSet<PeerId>,
    try_nearby: bool,
    /// Hubs of the local network and where they are.
    nearby: HashMap<PeerId, BTreeSet<Multiaddr>>,
    connected: HashSet<PeerId>,
    random: fastrand::Rng,
    /// When something is due next; nothing when that must be found out anew.
    next: Option<Option<Instant>>,
}

impl Dialer {
    pub(super) fn new(local: PeerId, timing: Timing) -> Self {
        Self {
            local,
            timing,
            plans: HashMap::new(),
            blocked: HashSet::new(),
            try_nearby: false,
            nearby: HashMap::new(),
            connected: HashSet::new(),
            random: fastrand::Rng::new(),
            next: None,
        }
    }

    /// Returns whether this hub has the smaller PeerId, as text: the same on every hub.
    pub(super) fn precedes(&self, peer: &PeerId) -> bool {
        self.local.to_base58() < peer.to_base58()
    }

    /// Takes the whole truth about whom to be connected to.
    pub(super) fn set(&mut self, peers: &MeshPeers, now: Instant) {
        self.blocked = peers.blocked.iter().filter_map(names::peer).collect();
        self.try_nearby = peers.try_nearby;
        let mut wanted = HashMap::new();
        for (text, addresses) in &peers.hubs {
            let Some(peer) = names::peer(text).filter(|peer| *peer != self.local) else {
                continue;
            };
            let addresses = addresses.iter().filter_map(|text| names::place(text));
            let addresses = addresses.take(ADDRESSES).collect();
            wanted.insert(Target::Hub(peer), (addresses, Some(peer)));
        }
        for text in &peers.addresses {
            let Ok(address) = text.parse::<Multiaddr>() else {
                tracing::warn!(address = text, "this is no multiaddr; it is not dialled");
                continue;
            };
            let (address, expected) = names::split(address);
            let target = Target::Address(address.clone());
            wanted.insert(target, (vec![address], expected));
        }
        let nearby = self.nearby.keys().filter(|_| self.try_nearby);
        for peer in nearby.copied().collect::<Vec<_>>() {
            let target = wanted.entry(Target::Hub(peer));
            target.or_insert((Vec::new(), Some(peer)));
        }
        self.plans.retain(|target, _| wanted.contains_key(target));
        for (target, (addresses, expected)) in wanted {
            self.plan(target, addresses, expected, now);
        }
        self.next = None;
    }

    /// Makes a plan, or brings it up to date; new addresses are tried soon.
    fn plan(
        &mut self,
        target: Target,
        addresses: Vec<Multiaddr>,
        expected: Option<PeerId>,
        now: Instant,
    ) {
        let due = now + self.first_wait(&target, &addresses);
        let plan = self.plans.entry(target).or_insert_with(|| Plan {
            addresses: Vec::new(),
            expected,
            found: None,
            attempts: 0,
            due,
            dialing: false,
        });
        plan.expected = expected;
        if plan.addresses != addresses {
            plan.addresses = addresses;
            plan.attempts = 0;
            plan.due = plan.due.min(due);
        }
    }

    /// Returns how long the first attempt waits: for a hub that lists this one, and dials itself.
    fn first_wait(&self, target: &Target, listed: &[Multiaddr]) -> Duration {
        match target {
            Target::Hub(peer)
                if !self.precedes(peer) && !(self.try_nearby && listed.is_empty()) =>
            {
                self.timing.yield_dial
            }
            _ => Duration::ZERO,
        }
    }

    /// Notes where a hub of the local network is now; returns all its addresses if they are new.
    pub(super) fn seen(
        &mut self,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
        now: Instant,
    ) -> Option<Vec<String>> {
        if self.nearby.len() >= NEARBY && !self.nearby.contains_key(&peer) {
            return None;
        }
        let known = self.nearby.entry(peer).or_default();
        let before = known.len();
        for address in addresses {
            if known.len() < ADDRESSES {
                known.insert(address);
            }
        }
        if known.len() == before {
            return None;
        }
        let all = known.iter().map(Multiaddr::to_string).collect();
        let target = Target::Hub(peer);
        if self.try_nearby && !self.plans.contains_key(&target) {
            self.plan(target, Vec::new(), Some(peer), now);
        } else if let Some(plan) = self.plans.get(&target) {
            let due = now + self.first_wait(&target, &plan.addresses);
            if let Some(plan) = self.plans.get_mut(&target) {
                plan.attempts = 0;
                plan.due = plan.due.min(due);
            }
        }
        self.next = None;
        Some(all)
    }

    /// Notes that a hub of the local network no longer is at these addresses; returns those that
    /// are left if there was one of them.
    pub(super) fn unseen(
        &mut self,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Option<Vec<String>> {
        let known = self.nearby.get_mut(&peer)?;
        let before = known.len();
        for address in addresses {
            known.remove(&address);
        }
        if known.len() == before {
            return None;
        }
        let left = known.iter().map(Multiaddr::to_string).collect();
        if known.is_empty() {
            self.nearby.remove(&peer);
            if self
                .plans
                .get(&Target::Hub(peer))
                .is_some_and(|plan| plan.addresses.is_empty())
                && self.try_nearby
            {
                self.plans.remove(&Target::Hub(peer));
            }
        }
        self.next = None;
        Some(left)
    }

    /// Notes that a hub is connected; `target` is what was dialled, if this hub dialled.
    pub(super) fn up(&mut self, peer: PeerId, target: Option<&Target>) {
        self.connected.insert(peer);
        if let Some(plan) = target.and_then(|target| self.plans.get_mut(target)) {
            plan.dialing = false;
            plan.found = Some(peer);
        }
        self.next = None;
    }

    /// Notes that a hub is no longer connected, after this long.
    pub(super) fn down(&mut self, peer: PeerId, lived: Duration, now: Instant) {
        self.connected.remove(&peer);
        let wait = if self.precedes(&peer) {
            Duration::ZERO
        } else {
            self.timing.yield_dial
        };
        let (timing, random) = (self.timing, &mut self.random);
        for plan in self.plans.values_mut() {
            if plan.expected.or(plan.found) == Some(peer) {
                if lived >= GOOD {
                    plan.attempts = 0;
                }
                plan.retry(now, wait, timing, random);
            }
        }
        self.next = None;
    }

    /// Notes that a dial came to nothing.
    pub(super) fn failed(&mut self, target: &Target, now: Instant) {
        let (timing, random) = (self.timing, &mut self.random);
        if let Some(plan) = self.plans.get_mut(target) {
            plan.dialing = false;
            plan.retry(now, Duration::ZERO, timing, random);
        }
        self.next = None;
    }

    /// Lets a hub be dialled at once, whoever's turn it is.
    pub(super) fn hurry(&mut self, peer: PeerId, now: Instant) {
        for plan in self.plans.values_mut() {
            if plan.expected.or(plan.found) == Some(peer) {
                plan.attempts = 0;
                plan.due = now;
            }
        }
        self.next = None;
    }

    /// Returns when [`Dialer::due`] is to be called next.
    pub(super) fn next(&mut self) -> Option<Instant> {
        if let Some(next) = self.next {
            return next;
        }
        let busy = self.plans.values().filter(|plan| plan.dialing).count() >= AT_A_TIME;
        let ready = self
            .plans
            .iter()
            .filter(|(target, plan)| !busy && self.ready(target, plan));
        let next = ready.map(|(_, plan)| plan.due).min();
        self.next = Some(next);
        next
    }

    /// Returns the dials that are due; each ends with [`Dialer::up`] or [`Dialer::failed`].
    pub(super) fn due(&mut self, now: Instant) -> Vec<Dial> {
        if self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let busy = self.plans.values().filter(|plan| plan.dialing).count();
        let mut due: Vec<_> = self
            .plans
            .iter()
            .filter(|(target, plan)| plan.due <= now && self.ready(target, plan))
            .map(|(target, plan)| (plan.due, target.clone()))
            .collect();
        due.sort_by_key(|(due, _)| *due);
        due.truncate(AT_A_TIME.saturating_sub(busy));
        let dials = due.into_iter().filter_map(|(_, target)| {
            let plan = self.plans.get_mut(&target)?;
            plan.dialing = true;
            let mut addresses = plan.addresses.clone();
            if let Target::Hub(peer) = &target {
                let nearby = self.nearby.get(peer).into_iter().flatten();
                let new: Vec<_> = nearby
                    .filter(|at| !addresses.contains(at))
                    .cloned()
                    .collect();
                addresses.extend(new);
            }
            Some(Dial {
                peer: plan.expected,
                addresses,
                target,
            })
        });
        let dials = dials.collect();
        self.next = None;
        dials
    }

    fn ready(&self, target: &Target, plan: &Plan) -> bool {
        let nearby = matches!(target, Target::Hub(peer) if self.nearby.contains_key(peer));
        let who = plan.expected.or(plan.found);
        !plan.dialing
            && (nearby || !plan.addresses.is_empty())
            && !who.is_some_and(|peer| self.connected.contains(&peer))
            && !plan
                .expected
                .is_some_and(|peer| self.blocked.contains(&peer))
    }
}

impl Plan {
    /// Sets the time of the next attempt: later each time, and not the same on every hub.
    fn retry(&mut self, now: Instant, wait: Duration, timing: Timing, random: &mut fastrand::Rng) {
        let doubled = timing.retry * 2_u32.pow(self.attempts.min(DOUBLINGS));
        let jitter = 0.5 + random.f64();
        self.attempts = self.attempts.saturating_add(1);
        self.due = now + wait + doubled.min(timing.retry_most).mul_f64(jitter);
    }
}
