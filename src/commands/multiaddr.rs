//! Multiaddrs as they stand on the command line: checked, and where one is wrong, told how it
//! should look.

use ecorelay_protocol::{PeerId, limits};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How a right address of a hub looks.
pub(super) const EXAMPLE: &str = "/ip4/10.0.0.2/tcp/4001";
/// How a right address of a rendezvous server looks.
const SERVER: &str = "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…";

/// Whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An IP address; the identity may be missing.
    Hub,
    /// A host name is as good; the identity must be there.
    Server,
}

/// Returns a multiaddr that a hub can dial, or what is wrong with it and how it should look.
pub(super) fn of_hub(text: &str) -> Result<String, String> {
    check(text, Of::Hub)
}

/// Returns the multiaddr of a rendezvous server, or what is wrong with it and how it should look.
pub(super) fn of_server(text: &str) -> Result<String, String> {
    check(text, Of::Server)
}

fn check(text: &str, of: Of) -> Result<String, String> {
    let example = match of {
        Of::Hub => EXAMPLE,
        Of::Server => SERVER,
    };
    let text = text.trim();
    if text.len() > limits::MULTIADDR_CHARS {
        return Err("this is too long to be an address".to_owned());
    }
    if !text.starts_with('/') {
        return Err(match (meant(text), of) {
            (Some(address), Of::Hub) => {
                format!("an address is written as a multiaddr here; did you mean {address}?")
            }
            (Some(address), Of::Server) => format!(
                "the server's identity is part of its address here: {address}/p2p/…; `ecorelay-rendezvous` prints the whole when it starts"
            ),
            (None, _) => format!("an address is written as a multiaddr, like {example}"),
        });
    }
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    let [kind, host, "tcp", port, rest @ ..] = parts.as_slice() else {
        return Err(format!(
            "an address has a host and a TCP port, like {example}"
        ));
    };
    match (*kind, of) {
        ("ip4", _) if host.parse::<Ipv4Addr>().is_ok() => {}
        ("ip6", _) if host.parse::<Ipv6Addr>().is_ok() => {}
        ("ip4" | "ip6", _) => return Err(format!("{host} is not an {kind} address")),
        ("dns" | "dns4" | "dns6", Of::Server) if is_host_name(host) => {}
        ("dns" | "dns4" | "dns6", Of::Server) => {
            return Err(format!("{host} is not a host name"));
        }
        ("dns" | "dns4" | "dns6" | "dnsaddr", Of::Hub) => {
            return Err("names are not looked up; write the machine's IP address".to_owned());
        }
        _ => {
            return Err(format!(
                "\"{kind}\" is not known here; begin with /ip4/ or /ip6/"
            ));
        }
    }
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(format!("{port} is not a port from 1 to 65535"));
    }
    match (rest, of) {
        ([], Of::Hub) => Ok(text.to_owned()),
        ([], Of::Server) => Err(format!(
            "the server's identity is missing at the end: {text}/p2p/…; `ecorelay-rendezvous` prints the whole when it starts"
        )),
        (["p2p", peer], _) if peer.parse::<PeerId>().is_ok() => Ok(text.to_owned()),
        (["p2p", peer], _) => Err(format!("{peer} is not a PeerId")),
        _ => Err(format!(
            "/{} cannot be part of an address here",
            rest.join("/")
        )),
    }
}

fn is_host_name(host: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.len() <= 253 && host.chars().all(letter)
}

/// Returns the multiaddr that somebody meant who wrote `host:port`.
fn meant(text: &str) -> Option<String> {
    let of = |ip: IpAddr, port: &str| match ip {
        IpAddr::V4(ip) => format!("/ip4/{ip}/tcp/{port}"),
        IpAddr::V6(ip) => format!("/ip6/{ip}/tcp/{port}"),
    };
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(of(socket.ip(), &socket.port().to_string()));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(of(ip, "PORT"));
    }
    let (_, port) = text.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?;
    Some(format!(
        "/ip4/ADDRESS/tcp/{port} with the machine's IP address"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    #[test]
    fn what_is_no_multiaddr_is_told_with_what_was_meant() {
        let whole = format!("/ip6/::1/tcp/1/p2p/{PEER}");
        for right in [EXAMPLE, " /ip6/fd00::2/tcp/4001", &whole] {
            assert_eq!(of_hub(right), Ok(right.trim().to_owned()));
        }
        for (text, word) in [
            ("10.0.0.2:4001", "did you mean /ip4/10.0.0.2/tcp/4001?"),
            ("[fd00::2]:4001", "did you mean /ip6/fd00::2/tcp/4001?"),
            ("10.0.0.2", "/ip4/10.0.0.2/tcp/PORT"),
            ("desk:4001", "/ip4/ADDRESS/tcp/4001"),
            ("desk", EXAMPLE),
            ("/ip4/10.0.0.2", "TCP port"),
            ("/ip4/10.0.0.2/udp/4001", "TCP port"),
            ("/ip4/10.0.0.256/tcp/4001", "10.0.0.256"),
            ("/ip6/10.0.0.2/tcp/4001", "ip6"),
            ("/ip4/10.0.0.2/tcp/0", "65535"),
            ("/ip4/10.0.0.2/tcp/70000", "65535"),
            ("/dns4/desk/tcp/4001", "IP address"),
            ("/ip4/10.0.0.2/tcp/4001/p2p/x", "PeerId"),
            ("/ip4/10.0.0.2/tcp/4001/ws", "/ws"),
            ("/unix/tmp/tcp/1", "/ip4/"),
        ] {
            let said = of_hub(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
        assert!(of_hub(&"/".repeat(1_000)).unwrap_err().contains("long"));
    }

    #[test]
    fn a_server_has_an_identity_and_may_have_a_name() {
        for place in [
            "/ip4/203.0.113.7/tcp/4001",
            "/dns4/relay.example.org/tcp/4001",
        ] {
            let whole = format!("{place}/p2p/{PEER}");
            assert_eq!(of_server(&whole), Ok(whole));
            assert!(of_server(place).unwrap_err().contains("identity"));
        }
        let said = of_server("203.0.113.7:4001").unwrap_err();
        assert!(said.contains("/ip4/203.0.113.7/tcp/4001/p2p/…"), "{said}");
        assert!(of_server(&format!("/dns4/a b/tcp/1/p2p/{PEER}")).is_err());
    }
}
