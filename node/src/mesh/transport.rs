//! How bytes get from hub to hub: TCP or a circuit through a server, the mesh's key around
//! everything, noise, yamux. To a rendezvous server, which has no key, they go without it. And
//! what it means when that fails.

use super::config::Timing;
use super::names;
use super::rendezvous::{CircuitError, Circuits, Hops};
use super::stall::Impatient;
use ecorelay_hub::DialFailure;
use ecorelay_protocol::Psk;
use futures_util::future::Either;
use libp2p::core::ConnectedPoint;
use libp2p::core::Endpoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::{TransportTimeout, TransportTimeoutError};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::swarm::{DialError, ListenError};
use libp2p::{Multiaddr, PeerId, Transport as _, TransportError, noise, tcp, yamux};
use std::error::Error;
use std::io;
use std::time::Duration;

/// A dial whose TCP part hangs must say so before the whole runs out of time.
const HEAD_START: Duration = Duration::from_millis(100);

/// TCP failed, before anything of the mesh was said. Around its cause, for what libp2p puts
/// around an error shows only the cause of what is inside.
#[derive(Debug, thiserror::Error)]
#[error("TCP failed")]
struct TcpFailed(#[source] TcpCause);

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct TcpCause(TransportTimeoutError<io::Error>);

/// There is no circuit.
#[derive(Debug, thiserror::Error)]
#[error("no circuit")]
struct NoCircuit(#[source] NoCircuitCause);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NoCircuitCause(CircuitError);

/// Returns the transport of a mesh. Only what `hops` says is plain goes without the mesh's key,
/// and only when this hub dials: nobody who dials it does without.
pub(super) fn transport(
    keypair: &Keypair,
    psk: &Psk,
    circuits: Circuits,
    hops: &Hops,
    timing: &Timing,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let psk = PreSharedKey::new(*psk.bytes());
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let tcp = TransportTimeout::with_outgoing_timeout(tcp, timing.connect);
    let tcp = tcp.map_err(|error| TcpFailed(TcpCause(error)));
    let circuits = circuits.map_err(|error| NoCircuit(NoCircuitCause(error)));
    let (stall, hops) = (timing.stall, hops.clone());
    let tcp = tcp
        .map(move |socket, _| Impatient::new(socket, stall))
        .and_then(move |socket, point| {
            let plain = is_plain(&hops, &point);
            async move {
                if plain {
                    return Ok(Either::Left(socket));
                }
                let secured = PnetConfig::new(psk).handshake(socket).await;
                secured.map(Either::Right)
            }
        });
    let circuits = circuits
        .map(move |stream, _| Impatient::new(stream, stall))
        .and_then(move |stream, _| PnetConfig::new(psk).handshake(stream));
    let transport = circuits
        .or_transport(tcp)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .boxed();
    Ok(TransportTimeout::new(transport, timing.connect + HEAD_START).boxed())
}

fn is_plain(hops: &Hops, point: &ConnectedPoint) -> bool {
    match point {
        ConnectedPoint::Dialer {
            address,
            role_override: Endpoint::Dialer,
            ..
        } => hops.is_plain(address),
        _ => false,
    }
}

/// Returns how a dial failed, with the address where it is known to have been one of several;
/// nothing where it is of no interest to anybody.
pub(super) fn dial_failures(error: DialError) -> Vec<(Multiaddr, DialFailure)> {
    match error {
        DialError::Transport(errors) => errors
            .into_iter()
            .map(|(address, error)| {
                let failure = transport_failure(&error);
                (address, failure)
            })
            .collect(),
        DialError::LocalPeerId { address } => vec![(address, DialFailure::Own)],
        DialError::WrongPeerId { obtained, address } => names::text(&obtained)
            .map(|peer| (address, DialFailure::WrongPeer(peer)))
            .into_iter()
            .collect(),
        DialError::NoAddresses
        | DialError::DialPeerConditionFalse(_)
        | DialError::Aborted
        | DialError::Denied { .. } => Vec::new(),
    }
}

/// Returns how the handshake with someone who dialled failed.
pub(super) fn listen_failure(error: &ListenError) -> Option<DialFailure> {
    match error {
        ListenError::Transport(error) => Some(transport_failure(error)),
        ListenError::LocalPeerId { .. } => Some(DialFailure::Own),
        ListenError::Aborted | ListenError::WrongPeerId { .. } | ListenError::Denied { .. } => None,
    }
}

fn transport_failure(error: &TransportError<io::Error>) -> DialFailure {
    let error = match error {
        TransportError::MultiaddrNotSupported(_) => {
            return DialFailure::Unreachable("this kind of address cannot be dialled".into());
        }
        TransportError::Other(error) => error,
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(TcpCause(failed)) = error.downcast_ref() {
            return DialFailure::Unreachable(match failed {
                TransportTimeoutError::Timeout => "nothing answers".into(),
                other => other.to_string(),
            });
        }
        if let Some(NoCircuitCause(failed)) = error.downcast_ref() {
            return DialFailure::Unreachable(failed.to_string());
        }
        if let Some(TransportTimeoutError::<io::Error>::Timeout) = error.downcast_ref() {
            return DialFailure::TimedOut;
        }
        // An io::Error's own `source` skips the error it was made of.
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    DialFailure::Handshake
}
