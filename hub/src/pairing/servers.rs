//! The rendezvous servers of the mesh: a list that every hub hands on in its directory entry, and
//! of which the later word about an address counts.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, PunchOutcome, ServerState, Store, Write};
use ecorelay_protocol::link::RendezvousEntry;
use ecorelay_protocol::{ErrorCode, PeerId, limits, visible};
use serde_json::{Value, json};

/// A time further ahead than this is of a clock that is wrong, in ms.
const AHEAD_MS: u64 = limits::DAY_MS;

impl Hub {
    /// Returns the rendezvous servers to use, the first added first: the same on every hub that
    /// has heard the same.
    pub(crate) fn rendezvous_servers(&self) -> Vec<String> {
        let entries = self.pairing.rendezvous.values();
        let mut there: Vec<&RendezvousEntry> = entries.filter(|entry| !entry.removed).collect();
        there.sort_by_key(|entry| (entry.ts, &entry.address));
        let there = there.into_iter().take(limits::RENDEZVOUS);
        there.map(|entry| entry.address.clone()).collect()
    }

    /// Returns what this hub tells others of rendezvous servers.
    pub(crate) fn rendezvous_entries(&self) -> Vec<RendezvousEntry> {
        self.pairing.rendezvous.values().cloned().collect()
    }

    /// Adds or removes a rendezvous server.
    pub(crate) fn change_rendezvous(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        address: &str,
        add: bool,
    ) -> Done {
        let address = address.trim();
        if add && !is_server(address) {
            return refuse(
                ErrorCode::BadArgs,
                "A rendezvous server is a multiaddr such as /ip4/203.0.113.7/tcp/4001/p2p/PEER_ID or /dns4/relay.example.org/tcp/4001/p2p/PEER_ID; the server prints it when it starts.",
            );
        }
        let servers = self.rendezvous_servers();
        let there = servers.iter().any(|known| known == address);
        if add && !there && servers.len() >= limits::RENDEZVOUS {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "A mesh has {} rendezvous servers at most. Remove one first: ecorelay rendezvous remove",
                    limits::RENDEZVOUS
                ),
            );
        }
        if !add && !there {
            return refuse(
                ErrorCode::BadArgs,
                "No such rendezvous server. Those that are there: ecorelay rendezvous list",
            );
        }
        if add != there {
            let before = self.pairing.rendezvous.get(address);
            let entry = RendezvousEntry {
                address: address.to_owned(),
                ts: before.map_or(t.now, |entry| t.now.max(entry.ts + 1)),
                removed: !add,
            };
            self.pairing.rendezvous.insert(address.to_owned(), entry);
            self.rendezvous_changed(t)?;
        }
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Takes over what another hub of the mesh says of rendezvous servers.
    pub(crate) fn merge_rendezvous(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        entries: &[RendezvousEntry],
    ) -> Done {
        let known = &mut self.pairing.rendezvous;
        let mut changed = false;
        for entry in entries.iter().take(limits::RENDEZVOUS_KNOWN) {
            let newer = known
                .get(&entry.address)
                .is_none_or(|old| (entry.ts, entry.removed) > (old.ts, old.removed));
            if newer && entry.ts <= t.now.saturating_add(AHEAD_MS) && is_server(&entry.address) {
                known.insert(entry.address.clone(), entry.clone());
                changed = true;
            }
        }
        if changed {
            self.rendezvous_changed(t)?;
        }
        Ok(())
    }

    /// Takes over the servers of a mesh that this hub comes into; what it hears of them later
    /// counts more.
    pub(super) fn adopt_rendezvous(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        addresses: &[String],
        keep_own: bool,
    ) -> Done {
        if !keep_own {
            self.pairing.rendezvous.clear();
        }
        for address in addresses.iter().take(limits::RENDEZVOUS) {
            if is_server(address) && !self.pairing.rendezvous.contains_key(address) {
                let entry = RendezvousEntry {
                    address: address.clone(),
                    ts: 0,
                    removed: false,
                };
                self.pairing.rendezvous.insert(address.clone(), entry);
            }
        }
        self.rendezvous_changed(t)
    }

    fn rendezvous_changed(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let known = &mut self.pairing.rendezvous;
        while known.len() > limits::RENDEZVOUS_KNOWN {
            // What was removed long ago first; then what was added last.
            let removed = known.values().filter(|entry| entry.removed);
            let first = removed.min_by_key(|entry| (entry.ts, &entry.address));
            let last = || {
                known
                    .values()
                    .max_by_key(|entry| (entry.ts, &entry.address))
            };
            let Some(address) = first.or_else(last).map(|entry| entry.address.clone()) else {
                break;
            };
            known.remove(&address);
        }
        let entries = self.rendezvous_entries();
        self.write(t, Write::SetRendezvous(entries))?;
        let servers = self.rendezvous_servers();
        self.pairing
            .servers
            .retain(|address, _| servers.contains(address));
        self.pairing.door.changed();
        self.peers_changed(t);
        self.status_changed(t);
        Ok(())
    }

    /// The body says how it stands with a server.
    pub(crate) fn server_state(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        address: String,
        state: ServerState,
    ) {
        if self.rendezvous_servers().contains(&address) {
            self.pairing.servers.insert(address, state);
            self.status_shown(t);
        }
    }

    /// The body says how a hole punch ended.
    pub(crate) fn punched(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: PeerId,
        outcome: PunchOutcome,
    ) {
        let mesh = &self.mesh;
        self.pairing.punches.retain(|peer, _| mesh.is_member(peer));
        if self.mesh.is_member(&peer) {
            self.pairing.punches.insert(peer, (t.now, outcome));
            self.status_shown(t);
        }
    }

    /// Returns the rendezvous servers, as `status` shows them.
    pub(crate) fn servers_view(&self) -> Vec<Value> {
        let view = |address: String| {
            let (state, observed, hubs, reason) = match self.pairing.servers.get(&address) {
                Some(ServerState::Connecting) => ("connecting", None, None, None),
                Some(ServerState::Reserved { observed, hubs }) => {
                    ("reserved", Some(visible(observed)), Some(*hubs), None)
                }
                Some(ServerState::Failed { reason }) => {
                    ("failed", None, None, Some(visible(reason)))
                }
                None if self.mesh.row.is_some() => ("connecting", None, None, None),
                None => ("idle", None, None, None),
            };
            json!({
                "address": address, "state": state, "observed": observed, "hubs": hubs,
                "reason": reason,
            })
        };
        self.rendezvous_servers().into_iter().map(view).collect()
    }

    /// Returns the last hole punch with a hub, as `status` shows it.
    pub(crate) fn punch_view(&self, peer: &PeerId) -> Value {
        let Some((ts, outcome)) = self.pairing.punches.get(peer) else {
            return Value::Null;
        };
        let (outcome, reason) = match outcome {
            PunchOutcome::Direct => ("direct", None),
            PunchOutcome::Failed { reason } => ("failed", Some(visible(reason))),
        };
        json!({ "outcome": outcome, "reason": reason, "ts": ts })
    }

    /// Returns a server that works as far as is known, as `host:port`.
    pub(super) fn server_for_codes(&self) -> Option<String> {
        let servers = self.rendezvous_servers();
        let works = |address: &&String| {
            let state = self.pairing.servers.get(*address);
            !matches!(state, Some(ServerState::Failed { .. }))
        };
        let best = servers.iter().find(works).or_else(|| servers.first())?;
        host_and_port(best)
    }
}

/// Returns whether a multiaddr can be that of a rendezvous server.
fn is_server(address: &str) -> bool {
    let Some((place, peer)) = address.split_once("/p2p/") else {
        return false;
    };
    address.len() <= limits::MULTIADDR_CHARS
        && address.bytes().all(|b| b.is_ascii_graphic())
        && host_and_port(place).is_some()
        && peer.parse::<PeerId>().is_ok()
}

/// Returns the host and port of a multiaddr as people write them.
fn host_and_port(address: &str) -> Option<String> {
    let mut parts = address.split('/').skip(1);
    let (kind, host) = (parts.next()?, parts.next()?);
    let (tcp, port) = (parts.next()?, parts.next()?);
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    if tcp != "tcp" || !matches!(parts.next(), None | Some("p2p")) || host.is_empty() {
        return None;
    }
    match kind {
        "ip4" => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok()
            .then(|| format!("{host}:{port}")),
        "ip6" => host
            .parse::<std::net::Ipv6Addr>()
            .is_ok()
            .then(|| format!("[{host}]:{port}")),
        "dns" | "dns4" | "dns6" => Some(format!("{host}:{port}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_a_port_and_a_key() {
        let key = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        for (place, shown) in [
            ("/ip4/203.0.113.7/tcp/4001", "203.0.113.7:4001"),
            ("/ip6/2001:db8::1/tcp/1", "[2001:db8::1]:1"),
            ("/dns4/relay.example.org/tcp/443", "relay.example.org:443"),
        ] {
            assert_eq!(host_and_port(place).as_deref(), Some(shown));
            let whole = format!("{place}/p2p/{key}");
            assert!(is_server(&whole) && !is_server(place), "{whole}");
            assert_eq!(host_and_port(&whole).as_deref(), Some(shown));
        }
        for bad in [
            format!("/ip4/203.0.113.7/udp/1/p2p/{key}"),
            format!("/ip4/203.0.113.7/tcp/0/p2p/{key}"),
            format!("/ip4/203.0.113/tcp/1/p2p/{key}"),
            format!("/ip4/203.0.113.7/tcp/1/p2p/{key}/p2p-circuit"),
            format!("203.0.113.7:1/p2p/{key}"),
            "/ip4/203.0.113.7/tcp/1/p2p/nobody!".to_owned(),
        ] {
            assert!(!is_server(&bad), "{bad}");
        }
    }
}
