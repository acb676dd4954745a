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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
