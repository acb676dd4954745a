//! The protocols of a hub, on one page.

use super::config::{MeshConfig, MeshError};
use super::gate::Gate;
use super::gossip::{self, Gossip};
use super::one_path::OnePath;
use super::rendezvous::{Hops, HubsOnly, ServerStreams};
use super::streams::LinkStreams;
use ecorelay_protocol::limits::HUBS;
use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::IdentTopic;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{dcutr, identify, mdns};
use std::time::Duration;

/// Handshakes at a time with hubs that dialled; each takes seconds at most.
const PENDING_IN: u32 = 64;
/// Handshakes at a time with hubs that were dialled.
pub(super) const PENDING_OUT: u32 = 64;
/// Connections with one hub: one is kept, others come up when both dial at once or one of them
/// has lost the first.
const PER_HUB: u32 = 4;
/// Connections together: one per hub, and as many again for those that come and go.
const CONNECTIONS: usize = 2 * HUBS;
/// How long an announcement on the local network is good. A hub that left is forgotten then.
const MDNS_TTL: Duration = Duration::from_secs(90);
/// How often the local network is asked, should an answer have been lost.
const MDNS_INTERVAL: Duration = Duration::from_secs(30);

/// What a hub speaks. libp2p's ping is not among it: the links have a heartbeat, and it comes
/// to something.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    /// Bounds connections and handshakes.
    pub(super) limits: connection_limits::Behaviour,
    /// Refuses hubs that were revoked.
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    /// Keeps one connection per hub.
    pub(super) gate: Gate,
    /// Streams with rendezvous servers.
    pub(super) servers: ServerStreams,
    /// One stream per connection, for everything one hub says to another.
    pub(super) streams: HubsOnly<LinkStreams>,
    /// From a connection through a server to a direct one.
    pub(super) punch: HubsOnly<Toggle<dcutr::Behaviour>>,
    /// Rooms and broadcasts, to all hubs.
    pub(super) gossip: HubsOnly<OnePath<Gossip>>,
    /// Says which program this is, and nothing of addresses: those are in the directory.
    pub(super) identify: identify::Behaviour,
    /// Finds hubs on the local network.
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(super) fn new(
        config: &MeshConfig,
        topic: &IdentTopic,
        servers: ServerStreams,
        hops: &Hops,
    ) -> Result<Self, MeshError> {
        let keypair = config.identity.keypair();
        let public = keypair.public();
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_IN))
            .with_max_pending_outgoing(Some(PENDING_OUT))
            .with_max_established_per_peer(Some(PER_HUB))
            .with_max_established(u32::try_from(CONNECTIONS).ok());
        let identify = identify::Config::new("/ecorelay/1".into(), public.clone())
            .with_agent_version(concat!("ecorelay/", env!("CARGO_PKG_VERSION")).into())
            .with_hide_listen_addrs(true)
            // What others say of their addresses is never dialled.
            .with_cache_size(0);
        let mdns = config.mdns.then(|| {
            let config = mdns::Config {
                ttl: MDNS_TTL,
                query_interval: MDNS_INTERVAL,
                // With it, IPv4 would be off.
                enable_ipv6: false,
            };
            mdns::tokio::Behaviour::new(config, public.to_peer_id())
        });
        // Without multicast hubs are found by the addresses in the directory and on the command
        // line.
        let mdns = mdns.and_then(|mdns| {
            mdns.inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
                .ok()
        });
        let gossip = gossip::gossip(keypair, topic, &config.timing).map_err(MeshError::Setup)?;
        let punch = config
            .punch
            .then(|| dcutr::Behaviour::new(public.to_peer_id()));
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            blocked: allow_block_list::Behaviour::default(),
            gate: Gate::new(public.to_peer_id(), hops, &config.timing),
            servers,
            streams: HubsOnly::new(LinkStreams::default(), hops),
            punch: HubsOnly::new(punch.into(), hops),
            gossip: HubsOnly::new(OnePath::new(gossip), hops),
            identify: identify::Behaviour::new(identify),
            mdns: mdns.into(),
        })
    }
}
