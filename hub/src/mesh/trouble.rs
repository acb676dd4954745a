//! What went wrong on the mesh, in words with a remedy, until it is over.

use crate::hub::{Done, Turn};
use crate::mesh::{DialFailure, Mesh};
use crate::{Hub, Store, Warning};
use ecorelay_protocol::{PeerId, visible};
use std::collections::BTreeMap;

/// Troubles and failed dials that are remembered; the oldest goes first.
const REMEMBERED: usize = 64;
/// Hubs on the local network that are remembered.
const NEARBY: usize = 256;
/// Addresses of one of them.
const ADDRESSES: usize = 16;

/// Everything that `status` warns of and that is about the mesh.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// By code and subject; with the time.
    raised: BTreeMap<(&'static str, String), (u64, Warning)>,
    /// Handshakes that failed since the last that did not, by hub or host.
    handshakes: BTreeMap<String, u32>,
}

/// A dial that failed.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) peer: Option<PeerId>,
    pub(super) failure: String,
    pub(super) ts: u64,
}

impl Troubles {
    /// Raises a warning; one of the same code about the same subject is replaced.
    pub(super) fn raise(
        &mut self,
        code: &'static str,
        subject: &str,
        message: impl Into<String>,
        remedy: &str,
        now: u64,
    ) {
        let warning = Warning {
            code: code.into(),
            message: message.into(),
            remedy: remedy.into(),
        };
        self.raised.insert((code, subject.into()), (now, warning));
        if self.raised.len() > REMEMBERED {
            let oldest = self.raised.iter().min_by_key(|(_, (ts, _))| *ts);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.raised.remove(&key);
            }
        }
    }

    /// Lifts every warning of a code.
    pub(super) fn over(&mut self, code: &str) {
        self.raised.retain(|(raised, _), _| *raised != code);
    }

    /// Lifts the warning of a code about one subject.
    pub(super) fn over_for(&mut self, code: &'static str, subject: &str) {
        self.raised.remove(&(code, subject.to_owned()));
    }

    /// Counts a handshake that failed; returns whether it is not the first in a row: one may
    /// fail because a hub just ends or starts.
    fn failed_again(&mut self, subject: &str) -> bool {
        if self.handshakes.len() >= REMEMBERED && !self.handshakes.contains_key(subject) {
            self.handshakes.clear();
        }
        let count = self.handshakes.entry(subject.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count > 1
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.raised.values().map(|(_, warning)| warning)
    }
}

impl Mesh {
    /// Notes that nobody was reached at an address.
    pub(crate) fn note_dial(
        &mut self,
        address: String,
        peer: Option<PeerId>,
        failure: String,
        ts: u64,
    ) {
        self.remember_dial(address, Dial { peer, failure, ts });
    }

    fn remember_dial(&mut self, address: String, dial: Dial) {
        self.dials.insert(address, dial);
        if self.dials.len() > REMEMBERED {
            let oldest = self.dials.iter().min_by_key(|(_, dial)| dial.ts);
            if let Some(address) = oldest.map(|(address, _)| address.clone()) {
                self.dials.remove(&address);
            }
        }
    }

    /// Forgets that nobody was reached at these addresses.
    pub(crate) fn forget_dials(&mut self, addresses: &[String]) {
        self.dials.retain(|address, _| !addresses.contains(address));
    }

    /// Raises a warning; one of the same code about the same subject is replaced.
    pub(crate) fn raise(
        &mut self,
        code: &'static str,
        subject: &str,
        message: String,
        remedy: &str,
        now: u64,
    ) {
        self.troubles.raise(code, subject, message, remedy, now);
    }

    /// Lifts a warning about one subject.
    pub(crate) fn calm(&mut self, code: &'static str, subject: &str) {
        self.troubles.over_for(code, subject);
    }
}

impl Hub {
    /// Raises a warning about another hub; one of the same code about it is replaced.
    pub(crate) fn raise_trouble(
        &mut self,
        now: u64,
        code: &'static str,
        peer: &PeerId,
        message: String,
        remedy: &str,
    ) {
        self.mesh
            .troubles
            .raise(code, peer.as_str(), message, remedy, now);
    }

    /// Lifts a warning about another hub.
    pub(crate) fn trouble_over(&mut self, code: &'static str, peer: &PeerId) {
        self.mesh.troubles.over_for(code, peer.as_str());
    }

    /// Warns that another machine uses this hub's key.
    pub(super) fn cloned(&mut self, now: u64) {
        self.mesh.troubles.raise(
            "cloned_identity",
            "",
            "Another machine uses this hub's identity.key: the others see only one of the two.",
            "Stop the hub on the copy, remove its identity.key and relay.db, start it and let it join anew: ecorelay join",
            now,
        );
    }

    /// The key file may not be the one of the mesh that the store remembers.
    pub(super) fn check_key(&mut self) {
        let Some(key) = &self.mesh.key else {
            return;
        };
        let started = self.config.started;
        match &self.mesh.row {
            Some(row) if row.psk != *key && !row.former_keys.contains(key) => self.mesh.troubles.raise(
                "mesh_key_differs",
                "",
                "mesh.key is not the key with which this hub joined its mesh: the other hubs will not let it in.",
                "Restore mesh.key, or move it away and start the hub again (ecorelay node restart): it then writes the key it joined with.",
                started,
            ),
            Some(_) => self.mesh.troubles.over("mesh_key_differs"),
            None => self.mesh.troubles.raise(
                "not_admitted",
                "",
                "There is a mesh.key, but this hub was never admitted to a mesh.",
                "Make a ticket on a hub of the mesh (ecorelay invite) and use it here: ecorelay join",
                started,
            ),
        }
    }

    pub(super) fn seen(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: PeerId,
        mut addresses: Vec<String>,
    ) -> Done {
        addresses.truncate(ADDRESSES);
        if let Some((_, known)) = self.mesh.nearby.get_mut(&peer) {
            *known = addresses;
        } else if self.mesh.nearby.len() < NEARBY {
            self.mesh.nearby.insert(peer, (t.now, addresses));
            self.status_shown(t);
        }
        Ok(())
    }

    /// A connection did not come about.
    pub(super) fn dial_failed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: Option<PeerId>,
        address: String,
        failure: DialFailure,
    ) -> Done {
        let peer = peer.or_else(|| self.hub_at(&address));
        let name = peer.as_ref().map(|peer| self.hub_name(peer));
        let place = match &name {
            Some(name) => format!("{name} at {address}"),
            None => address.clone(),
        };
        let words = match &failure {
            DialFailure::Unreachable(why) => format!("not reachable: {}", visible(why)),
            DialFailure::TimedOut => {
                "nothing answered in time (a firewall, or another mesh key)".to_owned()
            }
            DialFailure::Handshake => "the handshake failed".to_owned(),
            DialFailure::Own => {
                let host = host_of(&address);
                let here = self.mesh.listening.iter().any(|own| host_of(own) == host);
                if !here && !host.starts_with("/ip4/127.") && host != "/ip6/::1" {
                    self.cloned(t.now);
                }
                "the key there is this hub's own".to_owned()
            }
            DialFailure::WrongPeer(other) => format!("another hub answers there: {other}"),
        };
        let linked = peer
            .as_ref()
            .is_some_and(|peer| self.mesh.link_to(peer).is_some());
        // A wrong key hangs as often as it fails; a hub that multicast hears is not out of reach.
        let silent = failure == DialFailure::TimedOut
            && peer
                .as_ref()
                .is_some_and(|peer| self.mesh.nearby.contains_key(peer));
        let subject = peer
            .as_ref()
            .map_or_else(|| host_of(&address), PeerId::as_str)
            .to_owned();
        if (failure == DialFailure::Handshake || silent)
            && !linked
            && self.mesh.troubles.failed_again(&subject)
        {
            self.mesh.troubles.raise(
                "wrong_key",
                &subject,
                format!("{place}: something answers, but the handshake fails. Most likely the two machines have different mesh keys."),
                "If both belong to one mesh, let the one that is wrong join again: ecorelay invite on a hub that works, ecorelay join on the other.",
                t.now,
            );
        }
        if let Some(known) = peer.as_ref().and_then(|peer| self.mesh.hubs.get_mut(peer))
            && known.link.is_none()
        {
            known.why = Some(words.clone());
        }
        if let Some(peer) = &peer {
            self.doubt(t.now, peer, &failure);
        }
        let dial = Dial {
            peer,
            failure: words,
            ts: t.now,
        };
        self.mesh.remember_dial(address, dial);
        self.status_shown(t);
        Ok(())
    }

    /// Returns the hub that is known to be at the host of an address.
    fn hub_at(&self, address: &str) -> Option<PeerId> {
        let host = host_of(address);
        let is_there = |addresses: &[String]| addresses.iter().any(|a| host_of(a) == host);
        let seen = self.mesh.nearby.iter().find(|(_, (_, a))| is_there(a));
        let seen = seen.map(|(peer, _)| peer.clone());
        seen.or_else(|| {
            let mut hubs = self.mesh.hubs.iter();
            let known = hubs.find(|(_, known)| {
                let entry = known.entry.as_ref();
                entry.is_some_and(|entry| is_there(&entry.addresses))
            });
            known.map(|(peer, _)| peer.clone())
        })
    }

    /// A link is open: what went wrong on the way to it is over.
    pub(super) fn dial_worked(&mut self, peer: &PeerId, address: &str) {
        self.mesh
            .dials
            .retain(|known, dial| known != address && dial.peer.as_ref() != Some(peer));
        self.mesh.troubles.handshakes.remove(peer.as_str());
        self.mesh.troubles.handshakes.remove(host_of(address));
        self.mesh.troubles.over_for("wrong_key", peer.as_str());
        self.mesh.troubles.over_for("wrong_key", host_of(address));
    }
}

/// Returns the part of a multiaddr that names the host.
fn host_of(address: &str) -> &str {
    address.find("/tcp/").map_or(address, |at| &address[..at])
}
