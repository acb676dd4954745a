//! How the mesh is to be started, and its clocks.

use super::Identity;
use ecorelay_protocol::Psk;
use std::time::Duration;

/// How the mesh is to be started.
#[derive(Debug, Clone)]
pub(crate) struct MeshConfig {
    /// This hub's key.
    pub(crate) identity: Identity,
    /// The mesh's key.
    pub(crate) psk: Psk,
    /// Multiaddrs to listen on; none means every interface, at ports the system chooses.
    pub(crate) listen: Vec<String>,
    /// Multiaddrs at which others reach this hub and that it cannot know of itself.
    pub(crate) external: Vec<String>,
    /// Whether to find hubs on the local network, and to be found.
    pub(crate) mdns: bool,
    /// Whether hubs that are connected through a server try to get through to each other.
    pub(crate) punch: bool,
    /// Deadlines and intervals.
    pub(crate) timing: Timing,
}

/// Deadlines and intervals; only tests have others than the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// A connection is up after this long, or fails. A wrong mesh key often hangs instead of
    /// failing; everything else takes a few round trips.
    pub(crate) connect: Duration,
    /// When nothing came for this long, the other hub is asked for a sign of life.
    pub(crate) heartbeat: Duration,
    /// A link is dead when no byte came for this long. libp2p itself does not notice a cut
    /// cable. Source: measured.
    pub(crate) dead: Duration,
    /// A link is cut when the other hub takes no byte for this long; a publication that waits for
    /// longer is dropped.
    pub(crate) stall: Duration,
    /// Connections this close together come from two hubs that dialled at once. Longer than a
    /// dial may take; a later one was dialled by a hub that has lost the first.
    pub(crate) at_once: Duration,
    /// How long the hub with the larger PeerId waits for the other to dial.
    pub(crate) yield_dial: Duration,
    /// The first retry comes after about this long; each further one after twice as long.
    pub(crate) retry: Duration,
    /// The longest wait between retries.
    pub(crate) retry_most: Duration,
    /// A hub is dialled through a server this long after its own addresses.
    pub(crate) head_start: Duration,
    /// How often a rendezvous server is asked for a sign of life.
    pub(crate) server_ping: Duration,
    /// A rendezvous server is given up when nothing came from it for this long.
    pub(crate) server_dead: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            heartbeat: Duration::from_secs(5),
            dead: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            at_once: Duration::from_secs(5),
            yield_dial: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            retry_most: Duration::from_secs(30),
            head_start: Duration::from_millis(300),
            server_ping: Duration::from_secs(15),
            server_dead: Duration::from_secs(45),
        }
    }
}

/// Why there is no mesh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// An address to listen on is none.
    #[error("\"{0}\" is not a multiaddr to listen on; write, for example, /ip4/0.0.0.0/tcp/4711")]
    Address(String),
    /// No listener could be opened.
    #[error("the mesh cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// Something libp2p needs could not be made.
    #[error("the mesh cannot be started: {0}")]
    Setup(String),
}
