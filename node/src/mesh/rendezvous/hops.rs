//! Which connections lead to rendezvous servers: the only ones without the mesh's key.

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A socket address and who must be there.
type Place = (IpAddr, u16, PeerId);

/// The ways to servers, shared by the swarm's task, its protocols and its transport. A way is open
/// from just before it is dialled until the dial has failed or the connection is closed.
#[derive(Debug, Clone, Default)]
pub(in crate::mesh) struct Hops(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    servers: HashSet<PeerId>,
    ways: HashMap<ConnectionId, HashSet<Place>>,
}

impl Hops {
    /// Takes the keys of all servers there are.
    pub(in crate::mesh) fn set_servers(&self, servers: HashSet<PeerId>) {
        self.lock().servers = servers;
    }

    /// Opens the way to a server, which is about to be dialled there.
    pub(super) fn open(&self, connection: ConnectionId, server: PeerId, addresses: &[Multiaddr]) {
        let places = addresses.iter().filter_map(|address| {
            let mut parts = address.iter();
            let (ip, port) = socket(&mut parts)?;
            parts.next().is_none().then_some((ip, port, server))
        });
        let places = places.collect();
        self.lock().ways.insert(connection, places);
    }

    /// Closes a way; returns whether it was one.
    pub(in crate::mesh) fn close(&self, connection: ConnectionId) -> bool {
        self.lock().ways.remove(&connection).is_some()
    }

    /// Returns whether a connection leads to a server.
    pub(in crate::mesh) fn leads_to_server(&self, connection: ConnectionId) -> bool {
        self.lock().ways.contains_key(&connection)
    }

    /// Returns whether this is the key of a server.
    pub(in crate::mesh) fn is_server(&self, peer: &PeerId) -> bool {
        self.lock().servers.contains(peer)
    }

    /// Returns whether what is dialled there goes without the mesh's key: exactly a server's
    /// socket address, and the server's key must be proven there.
    pub(in crate::mesh) fn is_plain(&self, dialled: &Multiaddr) -> bool {
        let mut parts = dialled.iter();
        let place = socket(&mut parts).and_then(|(ip, port)| match (parts.next(), parts.next()) {
            (Some(Protocol::P2p(server)), None) => Some((ip, port, server)),
            _ => None,
        });
        place.is_some_and(|place| self.lock().ways.values().any(|way| way.contains(&place)))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // One change at a time: never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn socket<'a>(parts: &mut impl Iterator<Item = Protocol<'a>>) -> Option<(IpAddr, u16)> {
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_the_exact_way_to_a_server_is_plain() {
        let (hops, server, other) = (Hops::default(), PeerId::random(), PeerId::random());
        let id = ConnectionId::new_unchecked(1);
        let at: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
        let plain = |text: String| hops.is_plain(&text.parse().unwrap());
        assert!(!plain(format!("{at}/p2p/{server}")));
        hops.open(id, server, std::slice::from_ref(&at));
        assert!(plain(format!("{at}/p2p/{server}")));
        assert!(hops.leads_to_server(id));
        let others = [
            at.to_string(),
            format!("{at}/p2p/{other}"),
            format!("/ip4/203.0.113.7/tcp/4002/p2p/{server}"),
            format!("/ip4/203.0.113.8/tcp/4001/p2p/{server}"),
            format!("{at}/p2p/{server}/p2p-circuit/p2p/{other}"),
        ];
        for other in others {
            assert!(!plain(other));
        }
        assert!(hops.close(id) && !hops.close(id));
        assert!(!plain(format!("{at}/p2p/{server}")));
    }
}
