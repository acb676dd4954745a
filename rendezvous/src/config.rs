//! What a server is told: where it listens, who may enter, and how much anybody gets.

use crate::Identity;
use ecorelay_protocol::limits::HUBS;
use ecorelay_protocol::rendezvous::TOKEN_BYTES;
use libp2p::Multiaddr;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// SHA-256 of a mesh's admission token: where its hubs meet.
pub type Namespace = [u8; TOKEN_BYTES];

/// What a server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who it is.
    pub identity: Identity,
    /// Multiaddrs to listen on.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which hubs reach it; where there is none, the listen addresses are taken.
    pub external: Vec<Multiaddr>,
    /// Meshes that may enter; all where it is missing.
    pub allow: Option<HashSet<Namespace>>,
    /// Where Prometheus asks, if it may.
    pub metrics: Option<SocketAddr>,
    /// The socket on which `status` asks, if there is one.
    pub status_socket: Option<PathBuf>,
    /// How much anybody gets.
    pub limits: Limits,
    /// How long anything may take.
    pub timing: Timing,
}

impl Config {
    /// Returns the configuration of a server that listens on a free port of this machine only,
    /// for tests.
    pub fn local(identity: Identity) -> Self {
        use libp2p::multiaddr::Protocol;
        let address = Multiaddr::empty()
            .with(Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST))
            .with(Protocol::Tcp(0));
        Self {
            identity,
            listen: vec![address],
            external: Vec::new(),
            allow: None,
            metrics: None,
            status_socket: None,
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// How much anybody gets. An IP is one IPv4 address or one /64 of IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections together.
    pub connections: u32,
    /// Connections per IP: offices and mobile networks have one for many.
    pub connections_per_ip: u32,
    /// New connections per IP and minute.
    pub connects_per_minute: u32,
    /// Handshakes under way together.
    pub handshakes: u32,
    /// Handshakes under way per IP.
    pub handshakes_per_ip: u32,
    /// Meshes together.
    pub meshes: usize,
    /// Hubs per mesh.
    pub hubs_per_mesh: usize,
    /// Reservations per mesh.
    pub reservations_per_mesh: usize,
    /// Reservations per IP.
    pub reservations_per_ip: usize,
    /// Circuits together.
    pub circuits: usize,
    /// Circuits per mesh.
    pub circuits_per_mesh: usize,
    /// Circuits per IP.
    pub circuits_per_ip: usize,
    /// Circuits per hub.
    pub circuits_per_hub: usize,
    /// Reservations and circuits that one hub may ask for per minute.
    pub requests_per_minute: u32,
    /// Messages one hub may say per minute.
    pub messages_per_minute: u32,
    /// Pairing pipes together, waiting or joined.
    pub pipes: usize,
    /// Pairing pipes per IP.
    pub pipes_per_ip: usize,
    /// Guests that may look for a host, per IP and minute: each may cost somebody a code.
    pub guests_per_minute: u32,
    /// Bytes one pairing conversation may have.
    pub pipe_bytes: u64,
    /// Memory of the process above which nobody new is let in, in MiB.
    pub memory_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_ip: 128,
            connects_per_minute: 240,
            handshakes: 512,
            handshakes_per_ip: 32,
            meshes: 2_000,
            hubs_per_mesh: HUBS,
            reservations_per_mesh: HUBS,
            reservations_per_ip: 128,
            circuits: 16_384,
            circuits_per_mesh: 4_096,
            circuits_per_ip: 1_024,
            circuits_per_hub: 128,
            requests_per_minute: 240,
            messages_per_minute: 120,
            pipes: 1_024,
            pipes_per_ip: 64,
            guests_per_minute: 20,
            // A bundle with a roster of 1,000 hubs is far below.
            pipe_bytes: 8 * 1024 * 1024,
            memory_mib: 1_024,
        }
    }
}

/// How long anything may take. Not for people to change.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From a connection to the end of its handshakes.
    pub handshake: Duration,
    /// A connection that neither entered nor pairs is closed after this.
    pub idle: Duration,
    /// A hub that says nothing for this long is gone: three of its heartbeats.
    pub silence: Duration,
    /// A hub or guest that does not take what is written for this long is gone.
    pub write: Duration,
    /// How long a host that has not entered may wait for its guest: a code is good for two
    /// minutes.
    pub pipe_wait: Duration,
    /// How long a pairing conversation may last: a person may have to be asked.
    pub pipe_life: Duration,
    /// A reservation that is not renewed ends after this.
    pub reservation: Duration,
    /// A circuit ends after this.
    pub circuit: Duration,
    /// From the order to stop to the end.
    pub stop: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            silence: Duration::from_secs(45),
            write: Duration::from_secs(20),
            pipe_wait: Duration::from_secs(150),
            pipe_life: Duration::from_secs(300),
            reservation: Duration::from_secs(60 * 60),
            circuit: Duration::from_secs(24 * 60 * 60),
            stop: Duration::from_secs(2),
        }
    }
}
