//! What `status` and `relay_peers` show of the mesh.

use crate::Hub;
use crate::mesh::{Known, LinkPath};
use ecorelay_protocol::{PeerId, PeerInfo, iso_ms};
use serde_json::{Value, json};

/// Sessions of a hub that is away are listed for this long, in ms.
const LISTED_MS: u64 = 24 * 60 * 60 * 1_000;

impl Hub {
    /// Returns the sessions of the other hubs as peers.
    pub(crate) fn remote_peers(&self, now: u64, extended: bool) -> Vec<PeerInfo> {
        let mut peers = Vec::new();
        for (peer, known) in &self.mesh.hubs {
            let Some(entry) = known.entry.as_ref().filter(|_| self.mesh.is_member(peer)) else {
                continue;
            };
            let offline = known.link.is_none();
            if offline && now >= known.offline_since + LISTED_MS {
                continue;
            }
            let hub = &known.row.hub_id;
            peers.extend(entry.sessions.iter().map(|(name, s)| PeerInfo {
                name: format!("{name}@{hub}"),
                cwd: s.cwd.clone(),
                git_branch: s.git_branch.clone(),
                last_seen: if offline { known.offline_since } else { now },
                agent: extended.then(|| s.agent.clone()),
                hub: extended.then(|| hub.to_string()),
                state: extended.then(|| {
                    if offline {
                        format!("offline-since {}", iso_ms(known.offline_since))
                    } else {
                        s.state.clone()
                    }
                }),
                push: None,
            }));
        }
        peers
    }

    /// Returns what `status` shows of the mesh itself.
    pub(crate) fn mesh_view(&self) -> Value {
        let joining = self.pairing.joining.as_ref().map(|joining| &joining.ticket);
        let root = self.mesh.row.as_ref().map(|row| &row.root);
        let Some(root) = joining.map(|ticket| &ticket.root).or(root) else {
            return Value::Null;
        };
        json!({
            "root": root,
            // One that is alone in a mesh of its own and joins another is not where it wants to be.
            "admitted": self.mesh.is_admitted() && joining.is_none(),
            "joining": joining.is_some(),
            "inviter": joining.map(|ticket| &ticket.hub_id),
            "epoch": self.mesh.epoch,
            "generation": self.mesh.row.as_ref().map_or(0, |row| row.generation),
            "changing_key": self.mesh.change_due.is_some(),
            "revoked": self.revoked_view(),
            "addresses": self.mesh.listening,
            "pairing_addresses": self.pairing.listening,
        })
    }

    /// Returns the hubs that were revoked and are not forgotten.
    fn revoked_view(&self) -> Vec<Value> {
        let revoked = self.mesh.roster.revoked();
        revoked
            .filter_map(|peer| {
                let row = &self.mesh.hubs.get(peer)?.row;
                Some(json!({ "hub_id": row.hub_id, "peer_id": peer, "label": row.label }))
            })
            .collect()
    }

    /// Returns the other hubs of the mesh, as `status` shows them.
    pub(crate) fn hubs_view(&self) -> Vec<Value> {
        let members = self.mesh.roster.members();
        // Of who was admitted and never came, nothing is known, or it was forgotten.
        let others = members.filter(|peer| self.mesh.hubs.contains_key(*peer));
        others
            .map(|peer| {
                let known = self.mesh.hubs.get(peer);
                let link = known.and_then(|k| self.mesh.links.get(&k.link?));
                let entry = known.and_then(|k| k.entry.as_ref());
                let sessions = entry.map(|entry| &entry.sessions);
                let outbox = self.mesh.outboxes.get(peer);
                let state = match link.map(|link| link.path) {
                    Some(LinkPath::Direct) => "direct",
                    Some(LinkPath::Relayed) => "relayed",
                    None => "offline",
                };
                let since = link.map(|link| link.since);
                let peers = sessions.into_iter().flatten().map(|(name, s)| {
                    json!({
                        "name": name, "agent": s.agent, "state": s.state, "cwd": s.cwd,
                        "git_branch": s.git_branch,
                    })
                });
                json!({
                    "hub_id": self.hub_name(peer),
                    "peer_id": peer,
                    "label": known.and_then(|known| known.row.label.as_ref()),
                    "policy": known.map(|known| known.row.policy).unwrap_or_default(),
                    "state": state,
                    "address": link.map(|link| &link.address),
                    "rtt_ms": link.and_then(|link| link.round_trip).map(|us| us as f64 / 1_000.0),
                    "since": since.or(known.map(|known| known.offline_since)),
                    "sessions": sessions.map_or(0, |sessions| sessions.len()),
                    "peers": peers.collect::<Vec<_>>(),
                    "outbox": outbox.map_or(0, |outbox| outbox.waiting),
                    "outbox_oldest": outbox.and_then(|outbox| outbox.oldest),
                    "punch": self.punch_view(peer),
                    "why": known.and_then(|known| known.why.as_ref()).filter(|_| link.is_none()),
                    "version": known.and_then(|known| known.software.as_ref()),
                })
            })
            .collect()
    }

    /// Returns the hubs on the local network that are not of this mesh.
    pub(crate) fn nearby_view(&self) -> Vec<Value> {
        let strangers = self.mesh.nearby.iter();
        strangers
            .filter(|(peer, _)| !self.mesh.is_member(peer))
            .map(|(peer, (since, addresses))| {
                json!({ "peer_id": peer, "addresses": addresses, "since": since })
            })
            .collect()
    }

    /// Returns the dials that failed, and the addresses that a person gave.
    pub(crate) fn dials_view(&self) -> Vec<Value> {
        let given = self.mesh.row.as_ref().map(|row| row.addresses.as_slice());
        let given = given.unwrap_or_default().iter();
        let untried = given
            .filter(|address| !self.mesh.dials.contains_key(*address))
            .map(|address| {
                let peer = self.listens_at(address);
                json!({"address": address, "peer_id": peer, "failure": null, "ts": null})
            });
        let failed = self.mesh.dials.iter().map(|(address, dial)| {
            json!({
                "address": address, "peer_id": dial.peer, "failure": dial.failure, "ts": dial.ts,
            })
        });
        failed.chain(untried).collect()
    }

    /// Returns the linked hub that listens at an address.
    fn listens_at(&self, address: &str) -> Option<&PeerId> {
        let place = |address: &str| match address.split_once("/p2p/") {
            Some((place, _)) => place.to_owned(),
            None => address.to_owned(),
        };
        let wanted = place(address);
        let mut linked = self.mesh.linked();
        let listens = |known: &Known| {
            let entry = known.entry.as_ref();
            entry.is_some_and(|entry| entry.addresses.iter().any(|a| place(a) == wanted))
        };
        linked
            .find(|(_, known, _)| listens(known))
            .map(|(peer, _, _)| peer)
    }

    /// Returns the warnings about the mesh.
    pub(crate) fn mesh_warnings(&self, now: u64) -> Vec<Value> {
        let mut warnings: Vec<Value> = self.mesh.troubles.warnings().map(|w| json!(w)).collect();
        let others = self
            .mesh
            .roster
            .members()
            .filter(|p| **p != self.mesh.me)
            .count();
        let linked = self.mesh.linked().count();
        let up = now.saturating_sub(self.config.started);
        let listens = self.config.about.get("mdns") != Some(&Value::Bool(false));
        if listens && others > linked && self.mesh.nearby.is_empty() && up > NO_MULTICAST_MS {
            warnings.push(json!({
                "code": "no_multicast",
                "message": "Nothing was heard on the local network (multicast), and not every hub of the mesh is linked.",
                "remedy": "If the missing hub is on this network, multicast is blocked there: ecorelay connect /ip4/ADDRESS/tcp/PORT (its addresses: ecorelay node status, over there)",
            }));
        }
        warnings
    }
}

/// A hub that has heard nothing on its network for this long after its start warns, in ms.
const NO_MULTICAST_MS: u64 = 10_000;
