//! Where a connection comes from: what the bounds "per IP" count.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the /64 of an IPv6 address: whoever has one address of it has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl Origin {
    /// Returns the origin of an address; all addresses without an IP are one.
    pub(crate) fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Self(IpAddr::V4(ip)),
            Some(Protocol::Ip6(ip)) => Self::of_v6(ip),
            _ => Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.to_ipv4_mapped() {
            Some(ip) => Self(IpAddr::V4(ip)),
            None => Self(IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() & (u128::MAX << 64),
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn of(text: &str) -> Origin {
        Origin::of(&text.parse().unwrap())
    }

    #[test]
    fn a_network_of_ipv6_is_one_origin_and_mapped_ipv4_is_ipv4() {
        assert_eq!(
            of("/ip6/2001:db8::1/tcp/1"),
            of("/ip6/2001:db8::ffff:1/tcp/2")
        );
        assert_ne!(
            of("/ip6/2001:db8::1/tcp/1"),
            of("/ip6/2001:db8:0:1::1/tcp/1")
        );
        assert_eq!(
            of("/ip4/127.0.0.1/tcp/1"),
            of("/ip6/::ffff:127.0.0.1/tcp/9")
        );
        assert_ne!(of("/ip4/127.0.0.1/tcp/1"), of("/ip4/127.0.0.2/tcp/1"));
    }
}
