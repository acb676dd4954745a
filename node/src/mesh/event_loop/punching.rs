//! From a connection through a server to a direct one: what comes of the attempts.

use super::super::{names, transport};
use super::EventLoop;
use super::servers::words;
use ecorelay_hub::{MeshInput, PunchOutcome};
use libp2p::PeerId;
use libp2p::dcutr;
use libp2p::swarm::DialError;

/// As many attempts are made on one relayed connection.
const ATTEMPTS: u32 = 3;

/// Attempts to get through to one hub.
#[derive(Debug, Default)]
pub(super) struct Punch {
    failed: u32,
    /// Why the last one failed.
    reason: Option<String>,
    /// It was told that they came to nothing.
    told: bool,
}

impl EventLoop {
    /// Takes the end of the attempts. Only the hub that was dialled through the server hears of
    /// failed ones this way; and of one that gets through, only the hub that dialled.
    pub(super) fn on_punch(&mut self, event: dcutr::Event) {
        let peer = event.remote_peer_id;
        if let Err(error) = event.result {
            tracing::debug!(%peer, %error, "no way through");
            let punch = self.punches.entry(peer).or_default();
            punch.reason.get_or_insert_with(|| error.to_string());
            self.give_up(peer);
        }
    }

    /// Notes that a hub is connected directly, whoever found the way.
    pub(super) fn on_direct(&mut self, peer: PeerId) {
        self.punches.remove(&peer);
        if !self.connections.live_relayed(&peer).is_empty() {
            self.tell_punch(peer, PunchOutcome::Direct);
        }
    }

    /// Takes the failure of one attempt.
    pub(super) fn on_punch_failed(&mut self, peer: PeerId, error: DialError) {
        if self.connections.live_relayed(&peer).is_empty() || self.connections.has_direct(&peer) {
            return;
        }
        let reason = match error {
            DialError::NoAddresses => Some("it does not know its own address".into()),
            error => {
                let failures = transport::dial_failures(error);
                failures.last().map(|(_, failure)| words(failure))
            }
        };
        let punch = self.punches.entry(peer).or_default();
        punch.failed += 1;
        punch.reason = reason.or(punch.reason.take());
        if punch.failed >= ATTEMPTS {
            self.give_up(peer);
        }
    }

    fn give_up(&mut self, peer: PeerId) {
        if self.connections.has_direct(&peer) {
            return;
        }
        let Some(punch) = self.punches.get_mut(&peer) else {
            return;
        };
        if !std::mem::replace(&mut punch.told, true) {
            let reason = punch.reason.clone();
            let reason = reason.unwrap_or_else(|| "nothing answers".into());
            self.tell_punch(peer, PunchOutcome::Failed { reason });
        }
    }

    fn tell_punch(&self, peer: PeerId, outcome: PunchOutcome) {
        tracing::info!(%peer, ?outcome, "attempts to get through have ended");
        if let Some(peer) = names::text(&peer) {
            self.reports.news(MeshInput::Punched { peer, outcome });
        }
    }
}
