//! The pairing listener: plain TCP, outside the mesh. Whoever comes has a few seconds to say
//! something that makes sense; a scanner is gone at its first word.

use super::conversation::host;
use super::door::Door;
use super::guard::one_address;
use super::talk::Talks;
use super::wire::{ByteStream, TalkError};
use crate::mesh::Identity;
use ecorelay_hub::PairingSide;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long accepting pauses when the system has no more files to give.
const PAUSE: Duration = Duration::from_millis(200);

/// What every conversation of a host needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) identity: Arc<Identity>,
    pub(super) door: Door,
    pub(super) talks: Talks,
}

impl Host {
    /// Holds one conversation with a guest that comes from `from`; returns `None` where there was
    /// no room for it.
    pub(super) async fn receive<S: ByteStream>(&self, stream: S, from: &str) -> Option<()> {
        let Some(_pass) = self.door.guard().enter(from) else {
            tracing::debug!(from, "no room for another pairing conversation");
            return None;
        };
        match host(stream, &self.identity, &self.door, from).await {
            Ok(established) => {
                let peer = established.peer.clone();
                tracing::info!(from, %peer, "a hub has come to pair");
                self.talks.hold(established, PairingSide::Host).await;
            }
            // Scanners are not worth a line at the usual level.
            Err(why @ (TalkError::TooLong(_) | TalkError::HungUp | TalkError::Invalid(_))) => {
                tracing::debug!(from, %why, "nobody who wants to pair");
            }
            Err(why) => tracing::info!(from, %why, "pairing came to nothing"),
        }
        Some(())
    }
}

/// Opens a listener: at the first of these ports that is free, or else at any.
pub(super) async fn open(ip: IpAddr, ports: impl Iterator<Item = u16>) -> io::Result<TcpListener> {
    for port in ports {
        if let Ok(listener) = TcpListener::bind((ip, port)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind((ip, 0)).await
}

/// Takes whoever comes. Conversations go on when this ends.
pub(super) async fn serve(listener: TcpListener, host: Host) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // One small message at a time, each waited for.
                let _ = stream.set_nodelay(true);
                let host = host.clone();
                tokio::spawn(async move { host.receive(stream, &address(from)).await });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn address(from: SocketAddr) -> String {
    one_address(from.ip())
}
