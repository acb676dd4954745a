//! What a server is told: where it listens, who may enter, and how much anybody gets.

use crate::Identity;
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

/// Why a limit cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no such limit.
    #[error("there is no limit \"{0}\"; there are: {known}", known = known())]
    Unknown(String),
    /// It cannot have this value.
    #[error("limits.{name} cannot be {value}; it is a number from 1 to {most}")]
    Value {
        /// Which.
        name: &'static str,
        /// What it should have been.
        value: i64,
        /// The largest.
        most: u64,
    },
}

fn known() -> String {
    let names: Vec<_> = Limits::TABLE.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

/// Makes the struct, its defaults and the table of one list.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, at most $most:expr;)*) => {
        /// How much anybody gets. An IP is one IPv4 address or one /64 of IPv6.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// All limits: name, default and largest value.
            pub const TABLE: &[(&str, u64, u64)] = &[
                $((stringify!($name), $default, $most),)*
            ];

            /// Sets the limit of this name.
            ///
            /// # Errors
            /// When there is none, or the value is zero, below or too large.
            pub fn set(&mut self, name: &str, value: i64) -> Result<(), LimitError> {
                match name {
                    $(stringify!($name) => {
                        let fits = u64::try_from(value).is_ok_and(|v| (1..=$most).contains(&v));
                        let wrong = || LimitError::Value {
                            name: stringify!($name),
                            value,
                            most: $most,
                        };
                        let number = fits.then(|| value.try_into().ok()).flatten();
                        self.$name = number.ok_or_else(wrong)?;
                    })*
                    other => return Err(LimitError::Unknown(other.into())),
                }
                Ok(())
            }
        }
    };
}

limits! {
    /// Connections together.
    connections: u32 = 4_096, at most 1_000_000;
    /// Connections per IP: offices and mobile networks have one for many.
    connections_per_ip: u32 = 128, at most 1_000_000;
    /// New connections per IP and minute.
    connects_per_minute: u32 = 240, at most 1_000_000;
    /// Handshakes under way together.
    handshakes: u32 = 512, at most 100_000;
    /// Handshakes under way per IP.
    handshakes_per_ip: u32 = 32, at most 100_000;
    /// Meshes together.
    meshes: usize = 2_000, at most 1_000_000;
    /// Hubs per mesh. More than the protocol names at a time have no place in a list.
    hubs_per_mesh: usize = 1_000, at most 1_000;
    /// Reservations per mesh.
    reservations_per_mesh: usize = 1_000, at most 1_000;
    /// Reservations per IP.
    reservations_per_ip: usize = 128, at most 1_000_000;
    /// Circuits together.
    circuits: usize = 16_384, at most 10_000_000;
    /// Circuits per mesh.
    circuits_per_mesh: usize = 4_096, at most 1_000_000;
    /// Circuits per IP.
    circuits_per_ip: usize = 1_024, at most 10_000_000;
    /// Circuits per hub. A connection has 256 streams, and each end of a circuit is one.
    circuits_per_hub: usize = 128, at most 160;
    /// Reservations and circuits that one hub may ask for per minute.
    requests_per_minute: u32 = 240, at most 1_000_000;
    /// Messages one hub may say per minute.
    messages_per_minute: u32 = 120, at most 1_000_000;
    /// Pairing pipes together, waiting or joined.
    pipes: usize = 1_024, at most 1_000_000;
    /// Pairing pipes per IP.
    pipes_per_ip: usize = 64, at most 1_000_000;
    /// Guests that may look for a host, per IP and minute: each may cost somebody a code.
    guests_per_minute: u32 = 20, at most 1_000_000;
    /// Bytes one pairing conversation may have. A bundle with a roster of 1,000 hubs is far below.
    pipe_bytes: u64 = 8 * 1024 * 1024, at most 1024 * 1024 * 1024;
    /// Memory of the process above which nobody new is let in, in MiB.
    memory_mib: u64 = 1_024, at most 1024 * 1024;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn limits_are_set_by_name_and_within_bounds() {
        let mut limits = Limits::default();
        limits.set("connections", 9).unwrap();
        assert_eq!(limits.connections, 9);
        for value in [-1, 0, 1_000_001, i64::MAX] {
            let error = limits.set("connections", value).unwrap_err().to_string();
            assert!(error.contains("limits.connections") && error.contains("1000000"));
        }
        let error = limits.set("conections", 1).unwrap_err().to_string();
        assert!(error.contains("conections") && error.contains("connections_per_ip"));
        for (name, default, _) in Limits::TABLE {
            limits.set(name, i64::try_from(*default).unwrap()).unwrap();
        }
        assert_eq!(limits, Limits::default());
        let hubs = u64::try_from(ecorelay_protocol::limits::HUBS).unwrap();
        assert!(Limits::TABLE.contains(&("hubs_per_mesh", hubs, hubs)));
    }
}
