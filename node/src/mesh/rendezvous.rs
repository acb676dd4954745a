//! Rendezvous servers: strangers that tell hubs of one mesh of each other, and pass their bytes
//! on when they cannot reach each other directly.
//!
//! A server is no hub and has no key of the mesh. [`Hops`] says which connections lead to
//! servers; only those go without the mesh's key, and all protocols between hubs are kept off
//! them ([`HubsOnly`]). [`ServerStreams`] opens streams to servers and takes circuits from them,
//! [`Circuits`] is the transport made of those, `conversation` is what is said to one server, and
//! [`Servers`] knows all of them and when to dial each. Whatever a server says is foreign.
//!
//! The ready-made client of circuits is not used: it ends the whole program when a server
//! promises a place for too many years.

mod circuit;
mod conversation;
mod hops;
mod hubs_only;
mod servers;
mod streams;
mod transport;

pub(super) use circuit::CircuitError;
pub(super) use conversation::{Conversation, News, Said};
pub(super) use hops::Hops;
pub(super) use hubs_only::HubsOnly;
pub(super) use servers::{ServerDial, Servers};
pub(super) use streams::{Opener, ServerStreams};
pub(super) use transport::Circuits;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// Returns whether an address goes through a server.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Returns the address of a hub by way of a server; without a hub, of whoever is there.
pub(super) fn circuit(server: &Multiaddr, id: PeerId, hub: Option<PeerId>) -> Multiaddr {
    let address = server.clone().with(Protocol::P2p(id));
    let address = address.with(Protocol::P2pCircuit);
    match hub {
        Some(hub) => address.with(Protocol::P2p(hub)),
        None => address,
    }
}
