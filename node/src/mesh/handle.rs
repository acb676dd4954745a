//! The handle by which the hub thread reaches the mesh.

use super::queue::{End, LinkQueue};
use ecorelay_hub::{LinkId, MeshEffect, MeshPeers};
use ecorelay_protocol::PeerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// What the swarm's task hears from handles.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) peers: watch::Receiver<MeshPeers>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Publications and redials that may wait for the swarm. A publication more is dropped: gossip
/// is a hint, and its gaps are filled over links.
const COMMANDS: usize = 1_024;

/// What the swarm's task is to do.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Arc<[u8]>),
    Redial(PeerId),
}

/// The queues of the links that are up, by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Links(Arc<Mutex<HashMap<LinkId, Arc<LinkQueue>>>>);

impl Links {
    pub(super) fn insert(&self, link: LinkId, queue: Arc<LinkQueue>) {
        self.lock().insert(link, queue);
    }

    pub(super) fn remove(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    pub(super) fn end_all(&self, end: End) {
        for queue in self.lock().values() {
            queue.end(end);
        }
    }

    fn with(&self, link: LinkId, act: impl FnOnce(&LinkQueue)) {
        let queue = self.lock().get(&link).cloned();
        if let Some(queue) = queue {
            act(&queue);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<LinkQueue>>> {
        // One insertion or removal at a time: never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries out what the brain wants done on the mesh. Cheap to clone; the mesh ends with its last
/// handle.
#[derive(Debug, Clone)]
pub(crate) struct MeshHandle {
    links: Links,
    commands: mpsc::Sender<Command>,
    /// The latest list is the whole truth.
    peers: watch::Sender<MeshPeers>,
    /// `true` asks the swarm's task to end.
    stop: watch::Sender<bool>,
}

impl MeshHandle {
    /// Returns a handle, and what the swarm's task hears from it.
    pub(super) fn new(links: Links) -> (Self, Orders) {
        let (commands, received) = mpsc::channel(COMMANDS);
        let (peers, latest) = watch::channel(MeshPeers::default());
        let (stop, stopped) = watch::channel(false);
        let handle = Self {
            links,
            commands,
            peers,
            stop,
        };
        let orders = Orders {
            commands: received,
            peers: latest,
            stop: stopped,
        };
        (handle, orders)
    }

    /// Carries an effect out, or starts to; never waits. [`MeshEffect::Key`] is not its business.
    pub(crate) fn apply(&self, effect: MeshEffect) {
        match effect {
            MeshEffect::Frame { link, bytes } => self.links.with(link, |queue| queue.offer(bytes)),
            MeshEffect::Close { link } => self.links.with(link, |queue| queue.end(End::Flush)),
            MeshEffect::Hubs(peers) => {
                self.peers.send_replace(peers);
            }
            MeshEffect::Publish { bytes } => self.command(Command::Publish(bytes)),
            MeshEffect::Redial { peer } => self.command(Command::Redial(peer)),
            MeshEffect::Key(_) => {}
        }
    }

    /// Closes all links at once, and with them their connections; they come up again by
    /// themselves.
    pub(crate) fn cut_links(&self) {
        self.links
            .end_all(End::Cut("this hub could not store what was sent"));
    }

    /// Closes all links, after what was written before, and ends the mesh. Takes no longer than
    /// a few seconds.
    pub(crate) async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.commands.closed().await;
    }

    /// Waits until the mesh has ended, whatever the reason.
    pub(crate) async fn ended(&self) {
        self.commands.closed().await;
    }

    fn command(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::debug!(%error, "the mesh has too much to do; this is skipped");
        }
    }
}
