//! A running node.

use crate::events::HubHandle;
use crate::hub_thread::HubThread;
use crate::in_process::{
    self, Invitation, InviteOptions, Joined, Presence, SessionBuilder, SessionError, Watch,
};
use crate::lifecycle::{Footing, HubLock};
use crate::mesh::MeshKeeper;
use crate::pairing::PairingKeeper;
use crate::sessions::{CLOSE_TIME, Door};
use crate::{ExitReason, NodeBuilder, NodeError};
use ecorelay_config::DataDir;
use ecorelay_protocol::HubId;
use std::net::SocketAddr;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) hub_id: HubId,
    pub(crate) peer_id: String,
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) data_dir: DataDir,
}

/// A running hub node. It ends with [`Node::stop`], when a client asks for it, or when this
/// value is dropped; [`Node::wait`] tells why.
#[derive(Debug)]
pub struct Node {
    about: About,
    hub: HubHandle,
    supervisor: Option<JoinHandle<Result<ExitReason, NodeError>>>,
}

impl Node {
    /// Returns a builder with the defaults.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    pub(crate) fn new(
        about: About,
        hub: HubHandle,
        supervisor: JoinHandle<Result<ExitReason, NodeError>>,
    ) -> Self {
        Self {
            about,
            hub,
            supervisor: Some(supervisor),
        }
    }

    /// Returns the hub's human name.
    pub fn hub_id(&self) -> &HubId {
        &self.about.hub_id
    }

    /// Returns the hub's identity, a libp2p PeerId as text.
    pub fn peer_id(&self) -> &str {
        &self.about.peer_id
    }

    /// Returns the data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.about.data_dir
    }

    /// Returns the address of the WebSocket endpoint, where it is open.
    pub fn websocket(&self) -> Option<SocketAddr> {
        self.about.websocket
    }

    /// Begins a session of this program under a name.
    pub fn session(&self, name: impl Into<String>) -> SessionBuilder {
        SessionBuilder::new(self.hub.clone(), name.into())
    }

    /// Returns the status document: what `ecorelay node status --json` prints. Its `warnings`
    /// say what is wrong and what mends it.
    ///
    /// # Errors
    /// When the hub has ended.
    pub async fn status(&self) -> Result<serde_json::Value, SessionError> {
        in_process::status(self.hub.clone()).await
    }

    /// Follows the status document.
    ///
    /// # Errors
    /// When the hub has ended.
    pub async fn watch(&self) -> Result<Watch, SessionError> {
        Watch::open(self.hub.clone()).await
    }

    /// Follows which sessions come, change and leave, on this hub and on the others of the mesh.
    ///
    /// # Errors
    /// When the hub has ended.
    pub async fn presence(&self) -> Result<Presence, SessionError> {
        Presence::open(self.hub.clone()).await
    }

    /// Makes a ticket with which another hub joins this one's mesh; makes the mesh if there is
    /// none.
    ///
    /// # Errors
    /// When this hub is itself still joining a mesh, or has ended.
    pub async fn invite(&self, options: InviteOptions) -> Result<Invitation, SessionError> {
        in_process::mesh::invite(self.hub.clone(), options).await
    }

    /// Joins the mesh of a ticket. Returns at once; the hub is let in when it reaches one of the
    /// mesh, which [`Node::watch`] shows, and remembers that it wants to for as long as it takes.
    ///
    /// # Errors
    /// When it is no ticket, or one that has expired, or this hub is in a mesh with other hubs.
    pub async fn join(&self, ticket: &str) -> Result<Joined, SessionError> {
        in_process::mesh::join(self.hub.clone(), ticket).await
    }

    /// Keeps a connection to whoever of the mesh is at this multiaddr, such as
    /// `/ip4/192.168.1.7/tcp/4711`: for networks without multicast.
    ///
    /// # Errors
    /// When it is no such address, or this hub is in no mesh.
    pub async fn connect(&self, address: &str) -> Result<(), SessionError> {
        in_process::mesh::connect(self.hub.clone(), address).await
    }

    /// Waits until the node has ended and its store is closed.
    ///
    /// # Errors
    /// When it had to end.
    pub async fn wait(&mut self) -> Result<ExitReason, NodeError> {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(ExitReason::Stopped);
        };
        let exit = supervisor.await;
        self.supervisor = None;
        exit.unwrap_or(Err(NodeError::Died))
    }

    /// Ends the node cleanly: what is queued goes out (for at most two seconds), the store is
    /// closed, the socket is gone.
    ///
    /// # Errors
    /// When it had to end before.
    pub async fn stop(mut self) -> Result<ExitReason, NodeError> {
        self.request_stop();
        self.wait().await
    }

    /// Asks the node to end; [`Node::wait`] says when it has.
    pub fn request_stop(&self) {
        self.hub.stop();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hub.stop();
    }
}

/// Accompanies a node to its end: closes the doors, lets the clients' queues run out, and gives
/// the data directory free last.
pub(crate) async fn supervise(
    thread: HubThread,
    mut listeners: JoinSet<()>,
    mut mesh: MeshKeeper,
    mut pairing: PairingKeeper,
    door: Door,
    lock: HubLock,
    footing: Footing,
) -> Result<ExitReason, NodeError> {
    let HubThread { ending, ended, .. } = thread;
    let (mut lost, mut file) = (false, None);
    tokio::select! {
        _ = ending => {}
        _ = listeners.join_next() => {
            tracing::error!("a listener has died: the hub ends");
            lost = true;
        }
        () = mesh.run() => {
            tracing::error!("the mesh has died: the hub ends");
            lost = true;
        }
        never = pairing.run() => match never {},
        path = footing.lost() => file = Some(path.display().to_string()),
    }
    if lost || file.is_some() {
        door.hub.stop();
    }
    listeners.shutdown().await;
    let exit = ended.await;
    // The links and the clients take what is queued for them at the same time.
    let _ = tokio::join!(
        timeout(CLOSE_TIME, door.all_left()),
        mesh.end(),
        pairing.end()
    );
    drop(lock);
    if let Some(path) = file {
        return Err(NodeError::FileLost { path });
    }
    match exit {
        Ok(Ok(reason)) if !lost => {
            tracing::info!(?reason, "the hub has ended");
            Ok(reason)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the hub has ended: its store cannot be read");
            Err(NodeError::StoreLost(error))
        }
        Ok(Ok(_)) | Err(_) => {
            tracing::error!("the hub has ended because of a bug");
            Err(NodeError::Died)
        }
    }
}
