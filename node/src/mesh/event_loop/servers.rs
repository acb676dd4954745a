//! Rendezvous servers: dialled, talked to, and told of.

use super::super::rendezvous::{Conversation, News, Said, ServerDial};
use super::super::{names, resolve, transport};
use super::EventLoop;
use ecorelay_hub::{DialFailure, MeshInput, MeshPeers};
use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use std::time::{Duration, Instant};

/// Servers are dialled without an address of this hub after this long: on a machine that has none
/// that can be told it is no loss, and later it would be one.
const NO_ADDRESS: Duration = Duration::from_secs(1);

impl EventLoop {
    pub(super) fn set_servers(&mut self, peers: &MeshPeers) {
        let mut keys = vec![self.psk.clone()];
        keys.extend(peers.former_keys.iter().cloned());
        self.keys.send_if_modified(|known| {
            let changed = *known != keys;
            *known = keys;
            changed
        });
        let members = peers.hubs.iter().filter_map(|(peer, _)| names::peer(peer));
        let members = members.collect();
        for connection in self.servers.set(&peers.rendezvous, members, Instant::now()) {
            self.swarm.close_connection(connection);
        }
    }

    /// Returns when servers are to be dialled: not before this hub listens, for other hubs can
    /// only come through a router to where it listens. Source: measured.
    pub(super) fn servers_due(&self) -> Option<Instant> {
        let due = self.servers.next()?;
        if self.listening.is_settled() {
            Some(due)
        } else {
            Some(due.max(self.started + NO_ADDRESS))
        }
    }

    pub(super) fn dial_servers(&mut self, now: Instant) {
        if self.servers_due().is_none_or(|due| due > now) {
            return;
        }
        for mut dial in self.servers.due(now) {
            if !dial.addresses.iter().any(resolve::is_named) {
                self.dial_server(dial);
                continue;
            }
            let named = self.server_named.clone();
            tokio::spawn(async move {
                dial.addresses = resolve::resolve(dial.addresses).await;
                // Without the swarm's task nobody dials.
                let _ = named.send(dial).await;
            });
        }
        self.tell_servers();
    }

    pub(super) fn dial_server(&mut self, dial: ServerDial) {
        let ServerDial { server, addresses } = dial;
        if addresses.is_empty() {
            self.server_failed(server, None, "its name is not known".into());
            return;
        }
        let options = DialOpts::peer_id(server)
            .condition(PeerCondition::Always)
            .addresses(addresses.clone())
            .build();
        let id = options.connection_id();
        if !self.servers.dialling(id, server, &addresses) {
            return;
        }
        tracing::debug!(%server, %id, "dialling a rendezvous server");
        if let Err(error) = self.swarm.dial(options) {
            self.on_server_dial_failed(id, error);
        }
    }

    pub(super) fn on_server_connected(
        &mut self,
        server: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let (address, _) = names::split(endpoint.get_remote_address().clone());
        tracing::debug!(%server, %id, %address, "a rendezvous server is connected");
        if !self.servers.up(id, address) {
            self.swarm.close_connection(id);
            return;
        }
        let conversation = Conversation {
            connection: id,
            server,
            opener: self.opener.clone(),
            keys: self.keys.subscribe(),
            news: self.said.clone(),
            timing: self.timing,
        };
        // It ends with the connection.
        tokio::spawn(conversation.run());
    }

    pub(super) fn on_server_closed(&mut self, id: ConnectionId) {
        if let Some(server) = self.servers.server(id) {
            self.servers.closed(id);
            self.server_failed(server, Some(id), "the server closed the connection".into());
        }
        self.hops.close(id);
    }

    pub(super) fn on_server_dial_failed(&mut self, id: ConnectionId, error: DialError) {
        tracing::debug!(%id, %error, "a rendezvous server cannot be dialled");
        if let Some(server) = self.servers.server(id) {
            self.servers.closed(id);
            let failures = transport::dial_failures(error);
            let reason = failures.last().map(|(_, failure)| words(failure));
            let reason = reason.unwrap_or_else(|| "it cannot be dialled".into());
            self.server_failed(server, None, reason);
        }
        self.hops.close(id);
    }

    pub(super) fn on_said(&mut self, news: News) {
        let News { connection, said } = news;
        match said {
            Said::Entered { observed } => {
                tracing::debug!(%connection, %observed, "let in by a rendezvous server");
                self.servers.entered(connection, observed.clone());
                self.swarm.behaviour_mut().servers.observed(observed);
            }
            Said::Reserved => self.servers.reserved(connection, Instant::now()),
            Said::Present(peers) => self.servers.present(connection, peers),
            Said::Ended(reason) => {
                if let Some(server) = self.servers.server(connection) {
                    self.server_failed(server, Some(connection), reason);
                }
                self.swarm.close_connection(connection);
            }
        }
        self.show_circuits();
    }

    fn server_failed(&mut self, server: PeerId, id: Option<ConnectionId>, reason: String) {
        tracing::info!(%server, reason, "a rendezvous server is not of use");
        self.servers.failed(server, id, reason, Instant::now());
        self.show_circuits();
    }

    /// Brings what is known of who is at the servers to where hubs are dialled and shown.
    pub(super) fn show_circuits(&mut self) {
        let circuits = self.servers.circuits();
        self.dialer.set_circuits(circuits, Instant::now());
        self.tell_servers();
    }

    fn tell_servers(&mut self) {
        for (address, state) in self.servers.news() {
            tracing::info!(address, ?state, "news of a rendezvous server");
            self.reports.news(MeshInput::Server { address, state });
        }
    }
}

/// Returns in words how a dial failed.
pub(super) fn words(failure: &DialFailure) -> String {
    match failure {
        DialFailure::Unreachable(reason) => reason.clone(),
        DialFailure::Handshake => "what answers there is something else".into(),
        DialFailure::TimedOut => "nothing answered in time".into(),
        DialFailure::Own => "this hub itself is there".into(),
        DialFailure::WrongPeer(peer) => format!("another is there, with the key {peer}"),
    }
}
