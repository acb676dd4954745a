//! A hub as a rendezvous server sees it: a libp2p node with a relay client that opens the
//! protocols of `ecorelay_protocol::rendezvous`.

#![allow(dead_code, unreachable_pub, missing_docs)] // each test uses a part of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod hub;
pub mod opener;
pub mod wire;

use ecorelay_rendezvous::{Config, Identity, Server};
use std::future::Future;
use std::time::Duration;

/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that should happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Returns a server on a free port.
pub async fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::local(Identity::generate());
    change(&mut config);
    Server::start(config).await.unwrap()
}

/// Returns a token of a mesh.
pub fn token(mesh: u8) -> Vec<u8> {
    vec![mesh; 32]
}
