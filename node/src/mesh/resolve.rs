//! Host names in addresses: looked up with the system's resolver, which also knows the names of
//! the local network.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long one name may take.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried.
const PER_NAME: usize = 4;

/// Which addresses a name may stand for.
type Wanted = fn(&IpAddr) -> bool;

/// Returns whether an address begins with a name.
pub(super) fn is_named(address: &Multiaddr) -> bool {
    name(address).is_some()
}

/// Returns the addresses with their names looked up; those that cannot be are left out.
pub(super) async fn resolve(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut resolved = Vec::new();
    for address in addresses {
        let Some((name, wanted)) = name(&address) else {
            resolved.push(address);
            continue;
        };
        match timeout(LOOK_UP, lookup_host((name.as_str(), 0))).await {
            Ok(Ok(found)) => {
                let found = found.map(|at| at.ip()).filter(wanted).take(PER_NAME);
                resolved.extend(
                    found.filter_map(|ip| address.replace(0, |_| Some(Protocol::from(ip)))),
                );
            }
            Ok(Err(error)) => tracing::debug!(%address, %error, "the name is not known"),
            Err(_) => tracing::debug!(%address, "looking up the name takes too long"),
        }
    }
    resolved
}

/// Returns the name an address begins with, and which addresses it may stand for.
fn name(address: &Multiaddr) -> Option<(String, Wanted)> {
    match address.iter().next()? {
        Protocol::Dns(name) => Some((name.into_owned(), |_| true)),
        Protocol::Dns4(name) => Some((name.into_owned(), IpAddr::is_ipv4)),
        Protocol::Dns6(name) => Some((name.into_owned(), IpAddr::is_ipv6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn names_become_numbers_and_numbers_stay() {
        let addresses = ["/dns4/localhost/tcp/7", "/ip4/10.0.0.1/tcp/1"];
        let addresses = addresses.map(|text| text.parse::<Multiaddr>().unwrap());
        assert!(is_named(&addresses[0]) && !is_named(&addresses[1]));
        let resolved = resolve(addresses.to_vec()).await;
        let expected = ["/ip4/127.0.0.1/tcp/7", "/ip4/10.0.0.1/tcp/1"];
        assert_eq!(resolved, expected.map(|text| text.parse().unwrap()));
        let unknown = "/dns/no-such-name.invalid/tcp/1".parse().unwrap();
        assert_eq!(resolve(vec![unknown]).await, []);
    }
}
