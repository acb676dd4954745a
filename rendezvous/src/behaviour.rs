//! What the server speaks, on one page.

use crate::circuits::Circuits;
use crate::config::Config;
use crate::door::Door;
use crate::meshes::Meshes;
use crate::metrics::Metrics;
use crate::streams::Streams;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identify;
use libp2p::swarm::NetworkBehaviour;

/// Connections with one hub: the one on which it entered, one that replaces it, and those on
/// which it pairs.
const PER_HUB: u32 = 8;

/// What the server speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// Who may connect.
    pub(crate) door: Door,
    /// Bounds connections with one hub.
    pub(crate) limits: connection_limits::Behaviour,
    /// On which hubs enter and pair.
    pub(crate) streams: Streams,
    /// Reservations and circuits.
    pub(crate) circuits: Circuits,
    /// Tells a hub under which address it is seen, and nothing of the server's own.
    pub(crate) identify: identify::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(config: &Config, metrics: &Metrics) -> Self {
        let public = config.identity.keypair().public();
        let meshes = Meshes::new(config.limits.clone(), config.allow.clone());
        let limits = ConnectionLimits::default()
            .with_max_pending_outgoing(Some(0))
            .with_max_established_per_peer(Some(PER_HUB));
        let identify = identify::Config::new("/ecorelay/1".into(), public.clone())
            .with_agent_version(concat!("ecorelay-rendezvous/", env!("CARGO_PKG_VERSION")).into())
            .with_hide_listen_addrs(true)
            .with_cache_size(0);
        Self {
            door: Door::new(config.limits.clone(), metrics.clone()),
            limits: connection_limits::Behaviour::new(limits),
            streams: Streams::default(),
            circuits: Circuits::new(
                public.to_peer_id(),
                &config.limits,
                &config.timing,
                meshes,
                metrics.clone(),
            ),
            identify: identify::Behaviour::new(identify),
        }
    }
}
