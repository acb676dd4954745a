//! The handle of a running server.

use crate::config::Config;
use crate::error::ServerError;
use crate::event_loop::{Command, EventLoop};
use crate::snapshot::Snapshot;
use crate::{http, status_socket};
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Commands that wait.
const COMMANDS: usize = 16;

/// A running server. It runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    peer_id: String,
    addresses: Vec<String>,
    commands: mpsc::Sender<Command>,
    metrics: Option<SocketAddr>,
    task: JoinHandle<()>,
    /// What answers the operator.
    answerers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server; it listens when this returns.
    ///
    /// # Errors
    /// When it cannot listen, or cannot open what the operator asks on.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let peer_id = config.identity.peer_id();
        let (commands, orders) = mpsc::channel(COMMANDS);
        let mut event_loop = EventLoop::new(&config, orders)?;
        event_loop.listen(&config).await?;
        let addresses = event_loop.addresses();
        let counters = event_loop.metrics();
        let mut server = Self {
            peer_id,
            addresses,
            metrics: None,
            commands: commands.clone(),
            task: tokio::spawn(event_loop.run()),
            answerers: Vec::new(),
        };
        if let Some(address) = config.metrics {
            let (address, task) = http::open(address, commands.clone(), counters).await?;
            server.metrics = Some(address);
            server.answerers.push(task);
        }
        #[cfg(unix)]
        if let Some(path) = &config.status_socket {
            server.answerers.push(status_socket::open(path, commands)?);
        }
        Ok(server)
    }

    /// Returns where Prometheus asks, if it may.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Returns the server's PeerId.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Returns the addresses to give to hubs, multiaddrs with the PeerId at their end.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Returns a look at it.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn snapshot(&self) -> Result<Snapshot, ServerError> {
        let snapshot = status_socket::snapshot(&self.commands).await;
        snapshot.ok_or(ServerError::Ended)
    }

    /// Tells the hubs, and ends it; within a few seconds.
    pub async fn stop(mut self) {
        let _ = self.commands.send(Command::Stop).await;
        let _ = (&mut self.task).await;
    }

    /// Returns when it has ended by itself, which it does only by a bug.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        for answerer in &self.answerers {
            answerer.abort();
        }
    }
}
