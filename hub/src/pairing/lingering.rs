//! Conversations that broke off between the two commits: one side may belong to the mesh of the
//! other by then. If it does, it comes with its own admission, and the link tells.

use super::Hub;
use crate::hub::Turn;
use crate::{ConnId, Store};
use ecorelay_protocol::{PairStep, PeerId};

/// How long a person waits for that link, in ms: two dials with back-off.
const LINGER_MS: u64 = 20_000;
/// How many such hubs are remembered; more than conversations at a time.
const LINGERING: usize = 16;

/// A hub that may or may not have come into the mesh.
#[derive(Debug)]
pub(super) struct Lingering {
    /// Who waits for word of it.
    conn: ConnId,
    hub_id: String,
    created: bool,
    /// This hub took the place: it is in for certain.
    took: bool,
    pub(super) deadline: u64,
}

impl Hub {
    /// Waits for the link to a hub; returns whether a person waits for that.
    pub(super) fn linger(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        peer: &PeerId,
        hub_id: String,
        created: bool,
        took: bool,
    ) {
        let lingering = Lingering {
            conn,
            hub_id,
            created,
            took,
            deadline: t.now + LINGER_MS,
        };
        if self.mesh.link_to(peer).is_some() {
            return self.lingering_over(t, peer, lingering);
        }
        if self.pairing.lingering.len() < LINGERING {
            self.pairing.lingering.insert(peer.clone(), lingering);
        } else {
            self.linger_failed(t, lingering);
        }
    }

    /// A hub is linked: both belong to one mesh, and both know it.
    pub(crate) fn pairing_linked(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) {
        if let Some(lingering) = self.pairing.lingering.remove(peer) {
            self.lingering_over(t, peer, lingering);
        }
    }

    fn lingering_over(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        lingering: Lingering,
    ) {
        let step = PairStep::Paired {
            hub_id: lingering.hub_id,
            peer_id: peer.to_string(),
            created: lingering.created,
            hubs: self.mesh.size(),
            brings: Vec::new(),
        };
        self.step(t, lingering.conn, step);
        self.end_asker(t, lingering.conn);
    }

    pub(super) fn linger_timers(&mut self, t: &mut Turn<'_, impl Store>) {
        let late = |(_, lingering): &(&PeerId, &Lingering)| lingering.deadline <= t.now;
        let late = self.pairing.lingering.iter().filter(late);
        let late: Vec<PeerId> = late.map(|(peer, _)| peer.clone()).collect();
        for peer in late {
            if let Some(lingering) = self.pairing.lingering.remove(&peer) {
                self.linger_failed(t, lingering);
            }
        }
    }

    fn linger_failed(&mut self, t: &mut Turn<'_, impl Store>, lingering: Lingering) {
        let hub = lingering.hub_id;
        let message = if lingering.took {
            format!(
                "{hub} went away at the last moment. This hub has its place in the mesh; as soon as {hub} is back the two connect by themselves: ecorelay node status"
            )
        } else {
            format!(
                "{hub} went away at the last moment. If it says that it is paired, the two connect by themselves when it is back; else pair again: ecorelay pair"
            )
        };
        self.pairing_failed(t, lingering.conn, "unreachable".into(), message);
    }
}
