//! Coming back after a change of the mesh's key was missed.
//!
//! A hub with an old key cannot be linked: the handshake fails, or nothing answers in time. So a
//! member that cannot be reached is asked at its pairing listener, where only keys count, for the
//! roster and the key. Two hubs that have both missed something ask each other in turn.

use super::attempts::{Stage, no, not_member};
use super::{AttemptId, PairingEffect, Purpose};
use crate::hub::{Done, Turn};
use crate::{DialFailure, Hub, Store};
use ecorelay_protocol::link::Rekey;
use ecorelay_protocol::pairing::{Bundle, Method, PairingCode as Why, PairingRefuse, Word};
use ecorelay_protocol::{Bytes, PeerId, Psk, limits};
use std::collections::BTreeMap;

/// A hub that reaches nobody this long after its start asks, in ms.
const ALONE_MS: u64 = 10_000;
/// Between two that it asks a hub waits, in ms.
const PAUSE_MS: u64 = 30_000;
/// It asks the same hub again after this, in ms, doubled each time up to the last.
const AGAIN_MS: u64 = 30_000;
const LONGEST_AGAIN_MS: u64 = 30 * 60 * 1_000;
/// How long it looks for one, in ms.
const DIAL_MS: u64 = 10_000;
/// A hub that asked here and is not linked this long after that is asked in turn, in ms.
const IN_TURN_MS: u64 = 5_000;
/// Keys under which a hub waits at rendezvous servers, and is looked for there.
const KEYS: usize = 2;

/// Which hubs may have another key than this one.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    doubts: BTreeMap<PeerId, Doubt>,
    /// Whom this hub asks now.
    asked: Option<PeerId>,
    /// Nobody is asked before this, in ms.
    next: u64,
    /// After the start it was looked whether anybody is reached.
    looked_round: bool,
}

/// A hub that could not be linked.
#[derive(Debug, Default)]
struct Doubt {
    /// When it may be asked, in ms.
    due: u64,
    /// How often it was.
    tries: u32,
}

impl Renewal {
    /// Forgets whom this hub asks: the conversation ended with a batch that was taken back. While
    /// the disk is full that happens again and again; the next is not asked at once.
    pub(super) fn broken_off(&mut self, now: u64) {
        self.asked = None;
        self.next = self.next.max(now + PAUSE_MS);
    }

    /// Returns when somebody is asked.
    fn due(&self) -> Option<u64> {
        if self.asked.is_some() {
            return None; // the dial and the conversation have deadlines of their own
        }
        let due = self.doubts.values().map(|doubt| doubt.due).min();
        due.map(|due| due.max(self.next))
    }

    /// Returns who is asked now: of those that are due, whom was asked least.
    fn turn(&self, now: u64) -> Option<PeerId> {
        self.due().filter(|due| *due <= now)?;
        let due = self.doubts.iter().filter(|(_, doubt)| doubt.due <= now);
        let first = due.min_by_key(|(_, doubt)| (doubt.tries, doubt.due));
        first.map(|(peer, _)| peer.clone())
    }
}

impl Hub {
    /// Returns when [`Hub::renewal_timer`] is due.
    pub(crate) fn renewal_deadline(&self) -> Option<u64> {
        self.mesh.row.as_ref()?;
        let renewal = &self.pairing.renewal;
        let alone = self.config.started + ALONE_MS;
        let alone = (!renewal.looked_round).then_some(alone);
        renewal.due().into_iter().chain(alone).min()
    }

    /// A member could not be linked: it may have another key.
    pub(crate) fn doubt(&mut self, now: u64, peer: &PeerId, failure: &DialFailure) {
        let telling = match failure {
            DialFailure::Handshake | DialFailure::TimedOut => true,
            DialFailure::Unreachable(_) => self.mesh.linked().next().is_none(),
            DialFailure::Own | DialFailure::WrongPeer(_) => false,
        };
        if telling {
            self.doubt_from(peer, now);
        }
    }

    fn doubt_from(&mut self, peer: &PeerId, due: u64) {
        let other = peer != self.keys.peer_id();
        if other && self.mesh.is_member(peer) && self.mesh.link_to(peer).is_none() {
            let doubts = &mut self.pairing.renewal.doubts;
            doubts
                .entry(peer.clone())
                .or_insert(Doubt { due, tries: 0 });
        }
    }

    /// Nobody is reached, or this hub was revoked, as far as it knows: it asks everybody in turn
    /// whether there is news.
    pub(crate) fn doubt_all(&mut self, due: u64) {
        let members: Vec<PeerId> = self.mesh.members().cloned().collect();
        for peer in members {
            self.doubt_from(&peer, due);
        }
    }

    /// A hub is linked: there is no doubt about it any more.
    pub(crate) fn no_doubt(&mut self, peer: &PeerId) {
        self.pairing.renewal.doubts.remove(peer);
    }

    pub(super) fn renewal_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        if self.mesh.row.is_none() {
            return;
        }
        let alone_at = self.config.started + ALONE_MS;
        if !self.pairing.renewal.looked_round && t.now >= alone_at {
            self.pairing.renewal.looked_round = true;
            if self.mesh.linked().next().is_none() {
                self.doubt_all(t.now);
            }
        }
        while let Some(peer) = self.pairing.renewal.turn(t.now) {
            let member = self.mesh.is_member(&peer) && self.mesh.link_to(&peer).is_none();
            if !member || !self.ask_for_key(t, &peer) {
                self.pairing.renewal.doubts.remove(&peer);
            }
        }
    }

    /// Asks a member for the roster and the key; returns whether there is a way to it.
    fn ask_for_key(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> bool {
        let addresses = self.mesh.pairing_addresses(peer);
        let rendezvous = self.renewal_places(&self.mesh.keys());
        if addresses.is_empty() && rendezvous.is_empty() {
            return false;
        }
        self.pairing.renewal.asked = Some(peer.clone());
        let (until, peer) = (t.now + DIAL_MS, peer.clone());
        let dial = |dial| PairingEffect::Dial {
            dial,
            method: Method::Member,
            secret: Bytes::default(),
            peer: Some(peer),
            addresses,
            rendezvous,
            until,
        };
        self.dial_pairing(t, Purpose::Renewal, dial, until);
        true
    }

    /// Returns where members meet at rendezvous servers that have one of these keys.
    pub(super) fn renewal_places(&self, keys: &[Psk]) -> Vec<(String, Bytes)> {
        let mut places = Vec::new();
        for server in self.rendezvous_servers() {
            let peer = server.rsplit_once("/p2p/").map(|(_, peer)| peer);
            let Some(peer) = peer.and_then(|peer| peer.parse::<PeerId>().ok()) else {
                continue;
            };
            let of_key = |key: &Psk| Bytes(key.renewal_place(&peer).to_vec());
            let keys = keys.iter().take(KEYS).map(of_key);
            places.extend(keys.map(|place| (server.clone(), place)));
        }
        places
    }

    /// Asking a member came to its end, whichever; it is asked again later if it is not linked.
    pub(super) fn renewal_ended(&mut self, t: &mut Turn<'_, impl Store>, over: bool) {
        let jitter = u64::from(self.ids.secret()[0]);
        let renewal = &mut self.pairing.renewal;
        let Some(peer) = renewal.asked.take() else {
            return;
        };
        renewal.next = if over { t.now } else { t.now + PAUSE_MS };
        if let Some(doubt) = renewal.doubts.get_mut(&peer) {
            let again = AGAIN_MS.saturating_mul(1 << doubt.tries.min(8));
            let again = again.min(LONGEST_AGAIN_MS);
            doubt.tries = doubt.tries.saturating_add(1);
            doubt.due = t.now + again + again * jitter / 1_024;
        }
    }

    /// A member refuses: this hub was revoked, or the other does not know it yet.
    pub(super) fn renewal_refused(&mut self, t: &mut Turn<'_, impl Store>, refuse: &PairingRefuse) {
        if refuse.code == Why::NotMember
            && let Some(peer) = self.pairing.renewal.asked.clone()
        {
            let name = self.hub_name(&peer);
            let message = format!(
                "{name} says that this hub does not belong to the mesh (any more): most likely it was revoked."
            );
            let remedy = "Ask whoever runs the mesh. To take part again: stop the hub, move identity.key, mesh.key and relay.db away, and pair anew: ecorelay pair";
            self.raise_trouble(t.now, "not_member", &peer, message, remedy);
            self.status_shown(t);
        }
        if refuse.code == Why::HubIdTaken
            && let Some(peer) = self.pairing.renewal.asked.clone()
        {
            let name = self.hub_name(&peer);
            let message = format!(
                "{name} says that another hub of the mesh it is in now has this hub's name."
            );
            let remedy =
                "Set another hub_id in config.toml of one of them, then: ecorelay node restart";
            self.raise_trouble(t.now, "hub_id_taken", &peer, message, remedy);
            self.status_shown(t);
        }
        self.renewal_ended(t, false);
    }

    /// A member that asked here may have what this hub lacks.
    pub(super) fn asked_in_turn(&mut self, t: &Turn<'_, impl Store>, peer: &PeerId) {
        self.doubt_from(peer, t.now + IN_TURN_MS);
    }

    /// Takes over what a member of the mesh says of the roster and the key.
    pub(super) fn renew(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        bundle: Bundle,
    ) -> Done {
        let Some(peer) = self.pairing.attempts.get(&id).map(|a| a.peer.clone()) else {
            return Ok(());
        };
        let bad = |message: &str| no(Why::BadMessage, message);
        let root = self.mesh.row.as_ref().map(|row| &row.root);
        let refuse = if root != Some(&bundle.root) || bundle.giver != peer {
            Some(bad("This is not the mesh that was agreed on."))
        } else if !self.mesh.is_member(&peer) {
            Some(not_member())
        } else if bundle.roster.len() > 2 * limits::ROSTER {
            Some(bad("This is larger than a mesh can be."))
        } else {
            None
        };
        if let Some(refuse) = refuse {
            return self.refuse_attempt(t, id, refuse);
        }
        let keys = &self.keys;
        let rekey = bundle.rekey.map(|signed| {
            let rekey = signed.open::<Rekey>(|by, m, s| keys.verify(by, m, s));
            rekey.map(|rekey| (rekey, signed))
        });
        let rekey = match rekey.transpose() {
            Ok(rekey) => rekey.filter(|(rekey, _)| rekey.psk == bundle.psk),
            Err(_) => {
                let refuse = bad("A key that its maker did not sign.");
                return self.refuse_attempt(t, id, refuse);
            }
        };
        if !self.merge_roster(t, bundle.roster)? {
            let refuse = bad("An entry of the roster is not signed by its author.");
            return self.refuse_attempt(t, id, refuse);
        }
        if let Some((rekey, signed)) = rekey.filter(|_| self.mesh.is_member(&peer)) {
            self.consider_key(t, rekey, signed)?;
        }
        if let Some(attempt) = self.pairing.attempts.get_mut(&id) {
            attempt.stage = Stage::Took;
        }
        self.say(t, id, Word::Taken);
        Ok(())
    }
}
