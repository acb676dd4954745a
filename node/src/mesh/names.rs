//! From libp2p's words to the protocol's and back.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// Returns a PeerId as the brain knows it; nothing for one that is none of an ed25519 key.
pub(super) fn text(peer: &PeerId) -> Option<ecorelay_protocol::PeerId> {
    peer.to_base58().parse().ok()
}

/// Returns a PeerId as libp2p knows it; nothing where the text is none.
pub(super) fn peer(text: &ecorelay_protocol::PeerId) -> Option<PeerId> {
    text.as_str().parse().ok()
}

/// Splits a multiaddr into where and, if it says so, who.
pub(super) fn split(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        Some(other) => (address.with(other), None),
        None => (address, None),
    }
}

/// Returns the machine of an address, without its port.
pub(super) fn host(address: &Multiaddr) -> Multiaddr {
    address.iter().take(1).collect()
}

/// Returns where an address leads, if it is one.
pub(super) fn place(text: &str) -> Option<Multiaddr> {
    let (address, _) = split(text.parse().ok()?);
    (!address.is_empty()).then_some(address)
}
