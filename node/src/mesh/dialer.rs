//! Whom to dial, and when. Plain bookkeeping: no sockets, and the time comes from outside.
//!
//! Of two hubs that list each other the one with the smaller PeerId dials at once, the other
//! only if that comes to nothing. A hub that is at a rendezvous server is dialled through it as
//! well, a little later than at its own addresses; those are still tried now and then while it is
//! connected through a server.

mod plan;

pub(super) use plan::{Dial, Target};

use super::config::Timing;
use super::names;
use ecorelay_hub::{LinkPath, MeshPeers};
use libp2p::{Multiaddr, PeerId};
use plan::Plan;
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
    /// Hubs that are connected, and how.
    connected: HashMap<PeerId, LinkPath>,
    /// Where a hub was that wants to be dialled: of two machines with one identity it is the one
    /// that is not connected.
    callers: HashMap<PeerId, Multiaddr>,
    /// Ways through servers to the hubs that are there.
    circuits: HashMap<PeerId, Vec<Multiaddr>>,
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
            connected: HashMap::new(),
            callers: HashMap::new(),
            circuits: HashMap::new(),
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
            wanted.insert(Target::Hub(peer), (addresses, Some(peer), true));
            if let Some(circuits) = self.circuits.get(&peer) {
                let circuits = circuits.clone();
                wanted.insert(Target::Circuit(peer), (circuits, Some(peer), true));
            }
        }
        for text in &peers.addresses {
            let Ok(address) = text.parse::<Multiaddr>() else {
                tracing::warn!(address = text, "this is no multiaddr; it is not dialled");
                continue;
            };
            let (address, expected) = names::split(address);
            let target = Target::Address(address.clone());
            wanted.insert(target, (vec![address], expected, true));
        }
        let nearby = self.nearby.keys().filter(|_| self.try_nearby);
        for peer in nearby.copied().collect::<Vec<_>>() {
            let target = wanted.entry(Target::Hub(peer));
            target.or_insert((Vec::new(), Some(peer), false));
        }
        self.plans.retain(|target, _| wanted.contains_key(target));
        for (target, (addresses, expected, listed)) in wanted {
            self.plan(target, addresses, expected, listed, now);
        }
        self.next = None;
    }

    /// Takes the ways through servers to all hubs that are there.
    pub(super) fn set_circuits(&mut self, circuits: HashMap<PeerId, Vec<Multiaddr>>, now: Instant) {
        self.plans.retain(|target, _| match target {
            Target::Circuit(peer) => circuits.contains_key(peer),
            Target::Hub(_) | Target::Address(_) => true,
        });
        for (peer, ways) in &circuits {
            if self.plans.contains_key(&Target::Hub(*peer)) {
                self.plan(Target::Circuit(*peer), ways.clone(), Some(*peer), true, now);
            }
        }
        self.circuits = circuits;
        self.next = None;
    }

    /// Makes a plan, or brings it up to date; new addresses are tried soon.
    fn plan(
        &mut self,
        target: Target,
        addresses: Vec<Multiaddr>,
        expected: Option<PeerId>,
        listed: bool,
        now: Instant,
    ) {
        let due = now + self.first_wait(&target, listed);
        let plan = self.plans.entry(target).or_insert_with(|| Plan {
            addresses: Vec::new(),
            expected,
            found: None,
            attempts: 0,
            due,
            dialing: false,
            listed,
        });
        plan.expected = expected;
        plan.listed = listed;
        if plan.addresses != addresses {
            plan.addresses = addresses;
            plan.attempts = 0;
            plan.due = plan.due.min(due);
        }
    }

    /// Returns how long the first attempt waits: for a hub that dials itself, for it lists this
    /// one. No hub lists one that is still looking for its mesh.
    fn first_wait(&self, target: &Target, listed: bool) -> Duration {
        let lists_this = listed && !self.try_nearby;
        let turn = match target {
            Target::Hub(peer) | Target::Circuit(peer) if lists_this && !self.precedes(peer) => {
                self.timing.yield_dial
            }
            _ => Duration::ZERO,
        };
        turn + self.head_start(target)
    }

    /// Returns how long a way through a server waits for a direct one: as long as there may be
    /// one.
    fn head_start(&self, target: &Target) -> Duration {
        let Target::Circuit(peer) = target else {
            return Duration::ZERO;
        };
        let plan = self.plans.get(&Target::Hub(*peer));
        let known = plan.is_some_and(|plan| !plan.addresses.is_empty());
        if known || self.nearby.contains_key(peer) {
            self.timing.head_start
        } else {
            Duration::ZERO
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
            self.plan(target, Vec::new(), Some(peer), false, now);
        } else if let Some(plan) = self.plans.get(&target) {
            let due = now + self.first_wait(&target, plan.listed);
            if let Some(plan) = self.plans.get_mut(&target) {
                plan.attempts = 0;
                plan.due = plan.due.min(due);
                // A dial that is under way goes to where the hub was before: it can take seconds
                // to find nobody there, and the other hub waits for this one.
                let mut known = self.nearby.get(&peer).into_iter().flatten();
                plan.dialing &= known.all(|at| plan.addresses.contains(at));
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
            let target = Target::Hub(peer);
            if self.plans.get(&target).is_some_and(|plan| !plan.listed) {
                self.plans.remove(&target);
            }
        }
        self.next = None;
        Some(left)
    }

    /// Notes that a hub is connected; `target` is what was dialled, if this hub dialled.
    pub(super) fn up(&mut self, peer: PeerId, path: LinkPath, target: Option<&Target>) {
        if path == LinkPath::Direct {
            self.connected.insert(peer, path);
        } else {
            self.connected.entry(peer).or_insert(path);
        }
        if let Some(plan) = target.and_then(|target| self.plans.get_mut(target)) {
            plan.dialing = false;
            plan.found = Some(peer);
        }
        self.next = None;
    }

    /// Notes that a hub is connected only through a server now.
    pub(super) fn relayed_only(&mut self, peer: PeerId) {
        self.connected.insert(peer, LinkPath::Relayed);
        self.next = None;
    }

    /// Returns whether a hub is connected, however.
    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.connected.contains_key(peer)
    }

    /// Notes that a hub is no longer connected, after this long.
    pub(super) fn down(&mut self, peer: PeerId, lived: Duration, now: Instant) {
        self.connected.remove(&peer);
        let wait = if self.precedes(&peer) {
            Duration::ZERO
        } else {
            self.timing.yield_dial
        };
        let later = self.head_start(&Target::Circuit(peer));
        let (timing, random) = (self.timing, &mut self.random);
        for (target, plan) in &mut self.plans {
            if plan.expected.or(plan.found) == Some(peer) {
                if lived >= GOOD {
                    plan.attempts = 0;
                }
                let later = match target {
                    Target::Circuit(_) => later,
                    Target::Hub(_) | Target::Address(_) => Duration::ZERO,
                };
                plan.retry(now, wait + later, timing, random);
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

    /// Notes from where a hub has dialled that is connected, as far as this hub knows: it is
    /// dialled there next.
    pub(super) fn called(&mut self, peer: PeerId, from: &Multiaddr) {
        if let (Some(machine), true) = (machine(from), self.connected.contains_key(&peer)) {
            self.callers.insert(peer, machine);
        }
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

    /// Notes that this machine is on another network: what could not be reached may be now.
    pub(super) fn moved(&mut self, now: Instant) {
        let waits: Vec<_> = self
            .plans
            .iter()
            .map(|(target, plan)| (target.clone(), self.first_wait(target, plan.listed)))
            .collect();
        for (target, wait) in waits {
            if let Some(plan) = self.plans.get_mut(&target) {
                plan.attempts = 0;
                plan.due = plan.due.min(now + wait);
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
        self.recognise();
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
                let caller = self.callers.remove(peer);
                let at_caller = |address: &Multiaddr| machine(address) == caller;
                if caller.is_some() && addresses.iter().any(at_caller) {
                    addresses.retain(at_caller);
                }
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

    /// Notes which connected hubs are known to listen at the addresses of which nobody said who is
    /// there: a second connection with one of them would end the first.
    fn recognise(&mut self) {
        let mut found = Vec::new();
        for (target, plan) in &self.plans {
            let Target::Address(address) = target else {
                continue;
            };
            if plan.expected.or(plan.found).is_some() {
                continue;
            }
            let listens = |peer: &&PeerId| {
                let listed = self.plans.get(&Target::Hub(**peer));
                let listed = listed.is_some_and(|plan| plan.addresses.contains(address));
                let seen = self.nearby.get(*peer);
                listed || seen.is_some_and(|seen| seen.contains(address))
            };
            if let Some(peer) = self.connected.keys().find(listens) {
                found.push((target.clone(), *peer));
            }
        }
        for (target, peer) in found {
            self.found(&target, peer);
        }
    }

    /// Notes who is at an address.
    pub(super) fn found(&mut self, target: &Target, peer: PeerId) {
        if let Some(plan) = self.plans.get_mut(target) {
            plan.found = Some(peer);
        }
        self.next = None;
    }

    fn ready(&self, target: &Target, plan: &Plan) -> bool {
        let nearby = matches!(target, Target::Hub(peer) if self.nearby.contains_key(peer));
        let who = plan.expected.or(plan.found);
        let path = who.and_then(|peer| self.connected.get(&peer));
        // A hub is dialled directly also while it is connected through a server.
        let rests = match target {
            Target::Circuit(_) => path.is_some(),
            Target::Hub(_) | Target::Address(_) => path == Some(&LinkPath::Direct),
        };
        !plan.dialing
            && (nearby || !plan.addresses.is_empty())
            && !rests
            && !plan
                .expected
                .is_some_and(|peer| self.blocked.contains(&peer))
    }
}

/// Returns the part of an address that says which machine it is.
fn machine(address: &Multiaddr) -> Option<Multiaddr> {
    address
        .iter()
        .next()
        .map(|part| Multiaddr::empty().with(part))
}

#[cfg(test)]
mod tests;
