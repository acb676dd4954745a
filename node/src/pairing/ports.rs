//! At which ports the pairing listener is.
//!
//! They come from the hub's key like those of the mesh, but are others: an address in a ticket or
//! in the directory keeps working after a restart.

use ecorelay_protocol::PeerId;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;

/// The ports: below those of the mesh's own choice.
const FIRST: u16 = 11_000;
const COUNT: u16 = 9_000;
/// How many of them one hub tries.
const CANDIDATES: usize = 8;
/// Addresses that are told; a machine with more has most of them for its containers.
const TOLD: usize = 16;

/// Returns the ports of a hub, best first.
pub(super) fn candidates(peer: &PeerId) -> impl Iterator<Item = u16> + use<> {
    let digest = Sha256::digest(format!("ecorelay pairing port 1:{peer}"));
    let pairs: Vec<u16> = digest
        .as_slice()
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
        .collect();
    pairs
        .into_iter()
        .take(CANDIDATES)
        .map(|pair| FIRST + pair % COUNT)
}

/// Returns the IP addresses to listen at: those of the mesh.
pub(super) fn places(listen: &[String]) -> Vec<IpAddr> {
    let mut places = Vec::new();
    for address in listen {
        let ip = address
            .strip_prefix("/ip4/")
            .or_else(|| address.strip_prefix("/ip6/"))
            .and_then(|rest| rest.split('/').next()?.parse().ok());
        places.extend(ip.filter(|ip| !places.contains(ip)));
    }
    places
}

/// Returns the addresses at which others reach a listener: of one at every address, those of the
/// machine's interfaces.
pub(super) fn told(listeners: &[(IpAddr, u16)]) -> Vec<String> {
    let mut all = Vec::new();
    for (ip, port) in listeners {
        if ip.is_unspecified() {
            let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
            let same_kind = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4() || ip.is_ipv6();
            let ips = interfaces.iter().map(if_addrs::Interface::ip);
            all.extend(ips.filter(same_kind).map(|ip| (ip, *port)));
        } else {
            all.push((*ip, *port));
        }
    }
    let asked = |at: &IpAddr| listeners.iter().any(|(ip, _)| ip == at);
    let leads_here = |(ip, _): &&(IpAddr, u16)| asked(ip) || leads_from_elsewhere(ip);
    let mut far: Vec<_> = all.iter().filter(leads_here).collect();
    if far.is_empty() {
        far = all.iter().filter(|(ip, _)| ip.is_loopback()).collect();
    }
    far.truncate(TOLD);
    let text = |(ip, port): &(IpAddr, u16)| std::net::SocketAddr::new(*ip, *port).to_string();
    far.into_iter().map(text).collect()
}

fn leads_from_elsewhere(ip: &IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !ip.is_unspecified() && !local
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::pairing::tests::some_peer;

    #[test]
    fn a_hub_has_the_same_ports_after_a_restart_and_others_than_the_mesh() {
        let peer = some_peer();
        let ports: Vec<_> = candidates(&peer).collect();
        assert_eq!(ports, candidates(&peer).collect::<Vec<_>>());
        assert_eq!(ports.len(), CANDIDATES);
        assert!(ports.iter().all(|port| (FIRST..20_000).contains(port)));
    }

    #[test]
    fn it_listens_where_the_mesh_does() {
        let listen = [
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/tcp/7",
            "/ip6/::/tcp/0",
            "/dns/x/tcp/1",
        ];
        let listen = listen.map(String::from);
        assert_eq!(
            places(&listen),
            ["127.0.0.1", "::"].map(|ip| ip.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn the_loopback_address_is_told_only_where_it_was_asked_for_or_is_all_there_is() {
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(told(&[(here, 7)]), ["127.0.0.1:7"]);
        let any = told(&["0.0.0.0".parse().map(|ip| (ip, 7)).unwrap()]);
        assert!(!any.is_empty() && any.iter().all(|at| at.ends_with(":7")));
        assert!(any.len() == 1 || !any.contains(&"127.0.0.1:7".to_owned()));
    }
}
