//! At which ports the hub listens for other hubs.
//!
//! A port that stays the same lets tickets and addresses that people noted keep working after a
//! restart. So port 0 means: one of a few ports that come from the hub's key. They are probed
//! first, because libp2p shares ports among the programs of one user (`SO_REUSEPORT`): without
//! the probe a second hub would get half of the first one's connections, and no error.

use super::Identity;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};

/// The ports of the hubs' own choice: below those that systems give to outgoing connections.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;
/// How many of them one hub tries.
const CANDIDATES: usize = 8;

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// As it was configured, with ports in place of 0 and of those that are taken.
    pub(super) listen: Vec<String>,
    /// Configured addresses whose port is taken.
    pub(super) taken: Vec<String>,
}

/// Chooses the ports for configured addresses.
pub(super) fn choose(configured: &[String], identity: &Identity) -> Places {
    let mut places = Places {
        listen: Vec::new(),
        taken: Vec::new(),
    };
    for address in configured {
        let listen = match Place::parse(address) {
            Some(place) if place.port == 0 => place.with_port(free_port(place.ip, identity)),
            Some(place) if is_taken(place.ip, place.port) => {
                places.taken.push(address.clone());
                place.with_port(free_port(place.ip, identity))
            }
            _ => address.clone(),
        };
        places.listen.push(listen);
    }
    places
}

/// Returns the addresses with ports of the system's choice.
pub(super) fn any(configured: &[String]) -> Vec<String> {
    let any = |address: &String| {
        Place::parse(address).map_or_else(|| address.clone(), |place| place.with_port(0))
    };
    configured.iter().map(any).collect()
}

/// An address of the form `/ip4/…/tcp/…`.
struct Place<'a> {
    head: &'a str,
    ip: IpAddr,
    port: u16,
}

impl<'a> Place<'a> {
    fn parse(address: &'a str) -> Option<Self> {
        let (head, port) = address.rsplit_once("/tcp/")?;
        let ip = head
            .strip_prefix("/ip4/")
            .or_else(|| head.strip_prefix("/ip6/"))?;
        Some(Self {
            head,
            ip: ip.parse().ok()?,
            port: port.parse().ok()?,
        })
    }

    fn with_port(&self, port: u16) -> String {
        format!("{}/tcp/{port}", self.head)
    }
}

/// Returns the first free port of the hub's own; 0 when none is free.
fn free_port(ip: IpAddr, identity: &Identity) -> u16 {
    let free = |port: &u16| TcpListener::bind((ip, *port)).is_ok();
    candidates(identity).find(free).unwrap_or(0)
}

fn candidates(identity: &Identity) -> impl Iterator<Item = u16> {
    let key = identity.keypair().public().to_peer_id().to_bytes();
    // The last bytes of a PeerId are those of the key itself: as good as random.
    let pairs = (0..CANDIDATES).filter_map(move |n| {
        let end = key.len().checked_sub(2 * n)?;
        key.get(end.checked_sub(2)?..end)?.try_into().ok()
    });
    pairs.map(|pair| FIRST + u16::from_be_bytes(pair) % COUNT)
}

fn is_taken(ip: IpAddr, port: u16) -> bool {
    TcpListener::bind((ip, port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn identity() -> Identity {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(&dir.path().join("identity.key")).unwrap()
    }

    fn choose_one(address: &str, identity: &Identity) -> (String, bool) {
        let places = choose(&[address.to_owned()], identity);
        (places.listen[0].clone(), !places.taken.is_empty())
    }

    #[test]
    fn a_hub_chooses_the_same_port_again_while_it_is_free() {
        let identity = identity();
        let any = "/ip4/127.0.0.1/tcp/0";
        let (first, _) = choose_one(any, &identity);
        assert_eq!(choose_one(any, &identity), (first.clone(), false));
        let port = Place::parse(&first).unwrap().port;
        assert!((FIRST..FIRST + COUNT).contains(&port));

        let _other = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (second, taken) = choose_one(any, &identity);
        assert!(second != first && !taken);
    }

    #[test]
    fn a_configured_port_that_is_taken_is_named_and_another_one_chosen() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let address = format!("/ip4/127.0.0.1/tcp/{port}");
        let (instead, taken) = choose_one(&address, &identity());
        assert!(taken && instead != address && instead.starts_with("/ip4/127.0.0.1/tcp/"));
        drop(other);
        assert_eq!(choose_one(&address, &identity()), (address, false));
    }

    #[test]
    fn an_address_of_another_kind_is_left_to_libp2p() {
        for address in ["/dns4/desk/tcp/0", "/ip4/127.0.0.1/udp/0", "nonsense", ""] {
            assert_eq!(choose_one(address, &identity()), (address.into(), false));
        }
        assert_eq!(any(&["/ip6/::1/tcp/4711".into()]), ["/ip6/::1/tcp/0"]);
    }
}
