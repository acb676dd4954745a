//! Brings what the swarm has to tell to the hub thread, without ever waiting for it.

use crate::events::HubHandle;
use ecorelay_hub::{DialFailure, MeshInput};
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Publications that may wait for the hub thread; at most 64 MiB. One more is dropped: its gap is
/// filled over a link.
const GOSSIP: usize = 1_024;
/// Other news that may wait; their number is bounded by what they are about.
const NEWS: usize = 4_096;
/// The same failure at the same place is told once in this time.
const AGAIN: Duration = Duration::from_secs(10);
/// Places whose last failure is remembered.
const PLACES: usize = 1_024;

/// Two queues to the hub thread.
#[derive(Debug)]
pub(super) struct Reports {
    gossip: mpsc::Sender<(MeshInput, usize)>,
    news: mpsc::Sender<(MeshInput, usize)>,
    /// Publications were dropped since there was nothing to do last; it was logged.
    dropping: bool,
    failures: HashMap<(String, Discriminant<DialFailure>), Instant>,
}

impl Reports {
    pub(super) fn new(hub: &HubHandle) -> Self {
        Self {
            gossip: forward(hub, GOSSIP),
            news: forward(hub, NEWS),
            dropping: false,
            failures: HashMap::new(),
        }
    }

    /// Tells of a publication that had so many bytes, if there is room.
    pub(super) fn gossip(&mut self, input: MeshInput, bytes: usize) {
        if self.gossip.capacity() == GOSSIP {
            self.dropping = false;
        }
        let full = self.gossip.try_send((input, bytes)).is_err();
        if full && !std::mem::replace(&mut self.dropping, true) {
            tracing::warn!("publications come faster than they are handled; some are dropped");
        }
    }

    /// Tells news; returns whether there was room.
    pub(super) fn news(&self, input: MeshInput) -> bool {
        let sent = self.news.try_send((input, 0)).is_ok();
        if !sent {
            tracing::warn!("news of the mesh come faster than they are handled");
        }
        sent
    }

    /// Tells of a failed connection, unless the same was told of the same `place` just now.
    pub(super) fn failure(
        &mut self,
        place: String,
        input: impl FnOnce(DialFailure) -> MeshInput,
        failure: DialFailure,
        now: Instant,
    ) {
        let key = (place, discriminant(&failure));
        let recent = |at: &Instant| now.saturating_duration_since(*at) < AGAIN;
        if self.failures.get(&key).is_some_and(recent) {
            return;
        }
        if self.failures.len() >= PLACES {
            self.failures.retain(|_, at| recent(at));
            if self.failures.len() >= PLACES {
                return;
            }
        }
        self.failures.insert(key, now);
        self.news(input(failure));
    }
}

/// Starts a task that waits for the hub thread, and returns the queue to it.
fn forward(hub: &HubHandle, room: usize) -> mpsc::Sender<(MeshInput, usize)> {
    let (sender, mut receiver) = mpsc::channel(room);
    let hub = hub.clone();
    tokio::spawn(async move {
        while let Some((input, bytes)) = receiver.recv().await {
            if hub.mesh(input, bytes).await.is_err() {
                break;
            }
        }
    });
    sender
}
