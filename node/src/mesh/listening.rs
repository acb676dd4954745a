//! Which of the addresses this hub listens on others can dial.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses that are told; a machine with more has most of them for its containers.
const TOLD: usize = 16;

/// The addresses this hub listens on.
#[derive(Debug, Default)]
pub(super) struct Listening {
    all: BTreeSet<Multiaddr>,
    /// The loopback address was asked for, so it is told like any other.
    loopback: bool,
    /// Addresses a person gave that lead here.
    external: Vec<String>,
    told: Option<Vec<String>>,
}

impl Listening {
    /// `asked` are the addresses this hub was told to listen on, `external` those that lead to
    /// it besides.
    pub(super) fn new(asked: &[Multiaddr], external: &[String]) -> Self {
        Self {
            loopback: asked.iter().any(is_loopback),
            external: external.to_vec(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, address: Multiaddr) {
        self.all.insert(address);
    }

    pub(super) fn remove(&mut self, address: &Multiaddr) {
        self.all.remove(address);
    }

    /// Returns the addresses to be told, if they are others than those that were told last.
    pub(super) fn news(&mut self) -> Option<Vec<String>> {
        let addresses = self.dialable();
        (self.told.as_ref() != Some(&addresses)).then_some(addresses)
    }

    /// Notes that these addresses were told.
    pub(super) fn told(&mut self, addresses: Vec<String>) {
        self.told = Some(addresses);
    }

    /// Returns the addresses that lead here from elsewhere; when there is none, those that lead
    /// here from this machine.
    fn dialable(&self) -> Vec<String> {
        let far = self
            .all
            .iter()
            .filter(|at| !is_link_local(at) && (self.loopback || !is_loopback(at)));
        let text = |at: &Multiaddr| at.to_string();
        let mut told: Vec<_> = far.map(text).collect();
        if told.is_empty() {
            told = self
                .all
                .iter()
                .filter(|at| is_loopback(at))
                .map(text)
                .collect();
        }
        // First: that others reach them is known.
        told.retain(|address| !self.external.contains(address));
        told.splice(..0, self.external.iter().cloned());
        told.truncate(TOLD);
        told
    }

    /// Returns whether this hub listens where what it dials can come from.
    pub(super) fn is_settled(&self) -> bool {
        self.all.iter().any(|at| self.loopback || !is_loopback(at))
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Link-local addresses need the name of an interface, which means nothing elsewhere.
fn is_link_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Ipv4Addr::is_link_local(&ip) || ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => Ipv6Addr::is_unicast_link_local(&ip) || ip.is_unspecified(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn news(asked: &str, all: &[&str]) -> Vec<String> {
        let mut listening = Listening::new(&[asked.parse().unwrap()], &[]);
        for address in all {
            listening.add(address.parse().unwrap());
        }
        listening.news().unwrap()
    }

    #[test]
    fn what_leads_nowhere_from_elsewhere_is_not_told() {
        let lan = "/ip4/192.168.1.2/tcp/1";
        let any = "/ip4/0.0.0.0/tcp/0";
        let here = "/ip4/127.0.0.1/tcp/1";
        assert_eq!(news(any, &[here, lan, "/ip6/fe80::1/tcp/1"]), [lan]);
        assert_eq!(news(any, &[here]), [here]);
        assert_eq!(news("/ip4/127.0.0.1/tcp/0", &[here, lan]), [here, lan]);
    }

    #[test]
    fn the_same_is_not_told_twice() {
        let mut listening = Listening::new(&[], &[]);
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        listening.add(address.clone());
        let told = listening.news().unwrap();
        listening.told(told);
        assert_eq!(listening.news(), None);
        listening.remove(&address);
        assert_eq!(listening.news(), Some(Vec::new()));
    }
}
