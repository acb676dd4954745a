//! Clients on this machine: the local socket, the WebSocket endpoint, and what all connections
//! share. A connection task reads and decodes; the hub thread decides; a bounded queue
//! ([`Outgoing`]) brings lines back.

mod connection;
mod queue;
mod socket;
mod websocket;

pub(crate) use connection::CLOSE_TIME;
pub(crate) use queue::{Offer, Outgoing, Queued};
pub(crate) use socket::SocketListener;
pub(crate) use websocket::WebSocketListener;

use crate::events::HubHandle;
use ecorelay_protocol::limits::CONNECTIONS;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Says that clients cannot be let in, such as for want of open files, and not for every one.
#[derive(Debug, Default)]
pub(crate) struct AcceptFailures {
    said: Option<Instant>,
}

impl AcceptFailures {
    /// How often it is said at most.
    const EVERY: Duration = Duration::from_secs(60);
    /// How long to wait before the next attempt.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Notes a failure, and waits a little.
    pub(crate) async fn note(&mut self, error: &std::io::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= Self::EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(%error, "clients cannot be let in");
        }
        tokio::time::sleep(Self::PAUSE).await;
    }
}

/// What every listener needs: the way to the hub and the count of connections.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) hub: HubHandle,
    free: Arc<Semaphore>,
}

impl Door {
    /// Returns a door to this hub for at most [`CONNECTIONS`] at a time.
    pub(crate) fn new(hub: HubHandle) -> Self {
        Self {
            hub,
            free: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Returns a place for one more connection, where there is one.
    fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Waits until every connection has ended.
    pub(crate) async fn all_left(&self) {
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = self.free.acquire_many(all).await;
    }
}
