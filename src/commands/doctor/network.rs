//! The machine's networks: which interfaces there are, and who can reach an address of theirs.

use std::net::IpAddr;

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// The interface's name.
    pub(super) name: String,
    /// The address.
    pub(super) ip: IpAddr,
    /// How many bits of it are the network's.
    pub(super) prefix: u8,
}

/// Who can reach an address, as far as the address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// Machines on the same cable or Wi-Fi.
    Link,
    /// The network it is in.
    Private,
    /// A provider's or a VPN's network (100.64.0.0/10).
    Shared,
    /// Everybody.
    Public,
}

impl Reach {
    /// Returns who can reach an address.
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) if ip.is_link_local() => Self::Link,
            IpAddr::V4(ip) if ip.is_private() => Self::Private,
            IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 0x40 => {
                Self::Shared
            }
            IpAddr::V4(_) => Self::Public,
            IpAddr::V6(ip) => match (ip.to_ipv4_mapped(), ip.segments()[0]) {
                (Some(ip), _) => Self::of(IpAddr::V4(ip)),
                _ if ip.is_loopback() => Self::Loopback,
                (_, first) if first & 0xffc0 == 0xfe80 => Self::Link,
                (_, first) if first & 0xfe00 == 0xfc00 => Self::Private,
                _ => Self::Public,
            },
        }
    }

    /// Returns who that is, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Loopback => "this machine only",
            Self::Link => "machines on the same cable or Wi-Fi",
            Self::Private => "machines on that network",
            Self::Shared => "machines on that VPN or behind the same provider",
            Self::Public => "everybody, unless a firewall is before it",
        }
    }
}

/// Returns the addresses of this machine; none where the system does not tell.
pub(super) fn interfaces() -> Vec<Interface> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found
        .into_iter()
        .map(|interface| Interface {
            prefix: match &interface.addr {
                if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                if_addrs::IfAddr::V6(v6) => v6.prefixlen,
            },
            ip: interface.ip(),
            name: interface.name,
        })
        .collect()
}

impl Interface {
    /// Returns whether an IPv4 address is in the network of this one.
    pub(super) fn is_near(&self, other: IpAddr) -> bool {
        let (IpAddr::V4(own), IpAddr::V4(other)) = (self.ip, other) else {
            return false;
        };
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix.min(32)))
            .unwrap_or(0);
        own.to_bits() & mask == other.to_bits() & mask
    }
}

/// Returns IP address and port of a multiaddr that begins with them.
pub(super) fn socket_of(multiaddr: &str) -> Option<(IpAddr, u16)> {
    let parts: Vec<&str> = multiaddr.split('/').collect();
    match parts.as_slice() {
        ["", "ip4" | "ip6", ip, "tcp", port, ..] => Some((ip.parse().ok()?, port.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_address_tells_who_can_reach_it() {
        for (ip, reach) in [
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("169.254.1.1", Reach::Link),
            ("fe80::1", Reach::Link),
            ("192.168.1.2", Reach::Private),
            ("172.20.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("100.100.1.1", Reach::Shared),
            ("100.128.1.1", Reach::Public),
            ("203.0.113.7", Reach::Public),
            ("2001:db8::1", Reach::Public),
            ("::ffff:10.0.0.1", Reach::Private),
        ] {
            assert_eq!(Reach::of(ip.parse().unwrap()), reach, "{ip}");
        }
    }

    #[test]
    fn a_neighbour_is_told_by_the_network() {
        let interface = Interface {
            name: "eth0".into(),
            ip: "10.1.2.3".parse().unwrap(),
            prefix: 24,
        };
        assert!(interface.is_near("10.1.2.99".parse().unwrap()));
        assert!(!interface.is_near("10.1.3.1".parse().unwrap()));
        let all = Interface {
            prefix: 0,
            ..interface
        };
        assert!(all.is_near("1.1.1.1".parse().unwrap()));
        assert_eq!(
            socket_of("/ip6/fd00::1/tcp/7/p2p/x"),
            Some(("fd00::1".parse().unwrap(), 7))
        );
        assert_eq!(socket_of("/dns4/x/tcp/7"), None);
    }
}
