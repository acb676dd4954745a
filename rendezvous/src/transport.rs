//! How bytes get from a hub to the server: TCP, noise, yamux, without any key of a mesh.

use crate::counted::Counted;
use crate::metrics::Metrics;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, noise, tcp, yamux};
use std::time::Duration;

/// Streams one connection may have: its own, a circuit per hub of a mesh of which none is
/// reached directly, and those that wait to pair.
const STREAMS: usize = 512;

/// Returns the server's transport; whoever is not through with its handshakes in time is gone.
pub(crate) fn transport(
    keypair: &Keypair,
    handshake: Duration,
    metrics: Metrics,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS);
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let transport = tcp
        .map(move |socket, _| Counted::new(socket, metrics.clone()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux)
        .boxed();
    Ok(TransportTimeout::new(transport, handshake).boxed())
}
