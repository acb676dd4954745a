//! What reaches the hub thread, and the handle that brings it there.

use crate::sessions::Outgoing;
use ecorelay_hub::{ConnId, MeshInput, Origin, PairingInput, Tag, Warning};
use ecorelay_protocol::{Incoming, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

/// Events that may wait for the hub thread; whoever has one more waits.
const EVENTS: usize = 256;
/// Lines one event may carry.
pub(crate) const LINES_PER_EVENT: usize = 64;
/// From this size on, in bytes of its longest line, an event counts as large.
const LARGE: usize = 64 * 1024;
/// Large events that may wait: at most 4 MiB each, so 64 MiB.
const LARGE_EVENTS: usize = 16;

/// A decoded line, or why it was refused.
pub(crate) type Decoded = Result<Incoming, (Option<String>, Refusal)>;

/// Something for the hub thread.
#[derive(Debug)]
pub(crate) enum Event {
    Connected {
        conn: ConnId,
        origin: Origin,
        queue: Arc<Outgoing>,
    },
    Lines {
        conn: ConnId,
        lines: Vec<Decoded>,
        /// Given back when the hub thread has taken the event.
        _large: Option<OwnedSemaphorePermit>,
    },
    Flushed {
        conn: ConnId,
        tags: Vec<Tag>,
        ok: bool,
    },
    Drained {
        conn: ConnId,
    },
    Gone {
        conn: ConnId,
    },
    Warning {
        code: &'static str,
        warning: Option<Warning>,
    },
    Mesh {
        input: MeshInput,
        /// As with lines.
        _large: Option<OwnedSemaphorePermit>,
    },
    Pairing(PairingInput),
}

/// The hub thread has ended; there is nobody to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HubEnded;

/// Brings events to the hub thread. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    events: mpsc::Sender<Event>,
    large: Arc<Semaphore>,
    connections: Arc<AtomicU64>,
    stop: Arc<Notify>,
}

/// Where the hub thread takes its events from.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) stop: Arc<Notify>,
}

/// Returns both ends.
pub(crate) fn channel() -> (HubHandle, Inbox) {
    let (events, receiver) = mpsc::channel(EVENTS);
    let stop = Arc::new(Notify::new());
    let handle = HubHandle {
        events,
        large: Arc::new(Semaphore::new(LARGE_EVENTS)),
        connections: Arc::new(AtomicU64::new(1)),
        stop: Arc::clone(&stop),
    };
    let inbox = Inbox {
        events: receiver,
        stop,
    };
    (handle, inbox)
}

impl HubHandle {
    /// Announces a new connection and returns its number.
    pub(crate) async fn connected(
        &self,
        origin: Origin,
        queue: Arc<Outgoing>,
    ) -> Result<ConnId, HubEnded> {
        let conn = ConnId(self.connections.fetch_add(1, Ordering::Relaxed));
        self.send(Event::Connected {
            conn,
            origin,
            queue,
        })
        .await?;
        Ok(conn)
    }

    /// Hands over lines, the longest of which had `longest` bytes.
    pub(crate) async fn lines(
        &self,
        conn: ConnId,
        lines: Vec<Decoded>,
        longest: usize,
    ) -> Result<(), HubEnded> {
        let _large = self.room_for(longest).await?;
        self.send(Event::Lines {
            conn,
            lines,
            _large,
        })
        .await
    }

    /// Hands over what happened on the mesh; it had `bytes` on the wire.
    pub(crate) async fn mesh(&self, input: MeshInput, bytes: usize) -> Result<(), HubEnded> {
        let _large = self.room_for(bytes).await?;
        self.send(Event::Mesh { input, _large }).await
    }

    /// Hands over what happened while hubs pair.
    pub(crate) async fn pairing(&self, input: PairingInput) -> Result<(), HubEnded> {
        self.send(Event::Pairing(input)).await
    }

    /// Waits while too many large events wait.
    async fn room_for(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, HubEnded> {
        if bytes < LARGE {
            return Ok(None);
        }
        let permit = Arc::clone(&self.large).acquire_owned().await;
        Ok(Some(permit.map_err(|_| HubEnded)?))
    }

    /// Hands over any event; waits while the hub thread has too much to do.
    pub(crate) async fn send(&self, event: Event) -> Result<(), HubEnded> {
        self.events.send(event).await.map_err(|_| HubEnded)
    }

    /// Asks the hub thread to end.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }
}
