//! How bytes get from a hub to the server: TCP, noise, yamux, without any key of a mesh.

use crate::counted::Counted;
use crate::metrics::Metrics;
use crate::muxer::{Loads, Yamux};
use crate::origin::Origin;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, noise, tcp};
use std::time::Duration;

/// Returns the server's transport; whoever is not through with its handshakes in time is gone.
pub(crate) fn transport(
    keypair: &Keypair,
    handshake: Duration,
    metrics: Metrics,
    loads: Loads,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let transport = tcp
        .map(move |socket, _| Counted::new(socket, metrics.clone()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex_ext(move |_, point| {
            Yamux::new(loads.clone(), Origin::of(point.get_remote_address()))
        })
        .boxed();
    Ok(TransportTimeout::new(transport, handshake).boxed())
}
