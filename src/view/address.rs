//! Multiaddrs as people know addresses: `10.0.0.2:4001`.

use super::text::one_line;

/// Returns a multiaddr shortened to host and port where it is a plain one; others as they are.
pub(crate) fn host_port(address: &str) -> String {
    let address = one_line(address);
    let parts: Vec<&str> = address.split('/').collect();
    match parts.as_slice() {
        ["", "ip6", host, "tcp", port, rest @ ..] if is_plain(rest) => format!("[{host}]:{port}"),
        [
            "",
            "ip4" | "dns" | "dns4" | "dns6",
            host,
            "tcp",
            port,
            rest @ ..,
        ] if is_plain(rest) => {
            format!("{host}:{port}")
        }
        _ => address,
    }
}

/// Returns whether nothing but the other hub's identity follows.
fn is_plain(rest: &[&str]) -> bool {
    matches!(rest, [] | ["p2p", _])
}

/// Returns the multiaddr without the identity at its end.
pub(crate) fn without_peer(address: &str) -> &str {
    address
        .rsplit_once("/p2p/")
        .map_or(address, |(place, _)| place)
}

/// Returns the identity at the end of a multiaddr.
pub(crate) fn peer_of(address: &str) -> Option<&str> {
    address.rsplit_once("/p2p/").map(|(_, peer)| peer)
}

/// Returns whether only this machine itself can reach the address.
pub(crate) fn is_loopback(address: &str) -> bool {
    let socket: Result<std::net::SocketAddr, _> = address.parse();
    socket.is_ok_and(|socket| socket.ip().is_loopback())
        || address.starts_with("/ip4/127.")
        || address.starts_with("/ip6/::1/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_plain_multiaddr_is_shown_as_host_and_port() {
        for (address, shown) in [
            ("/ip4/10.0.0.2/tcp/4001", "10.0.0.2:4001"),
            ("/ip4/10.0.0.2/tcp/4001/p2p/12D3KooWx", "10.0.0.2:4001"),
            ("/ip6/fd00::2/tcp/4001", "[fd00::2]:4001"),
            (
                "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWx/p2p-circuit",
                "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWx/p2p-circuit",
            ),
            ("nonsense\u{1b}", "nonsense⟨U+001B⟩"),
        ] {
            assert_eq!(host_port(address), shown);
        }
        let whole = "/ip4/10.0.0.2/tcp/4001/p2p/12D3KooWx";
        assert_eq!(without_peer(whole), "/ip4/10.0.0.2/tcp/4001");
        assert_eq!(
            (peer_of(whole), peer_of("/ip4/1.1.1.1/tcp/1")),
            (Some("12D3KooWx"), None)
        );
        assert!(is_loopback("[::1]:1") && !is_loopback("10.0.0.1:1"));
        assert!(is_loopback("/ip6/::1/tcp/1") && !is_loopback("/ip6/::11/tcp/1"));
    }
}
