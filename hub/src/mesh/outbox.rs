//! Messages for other hubs: on disk here until they are on disk there.

use crate::clients::Caller;
use crate::delivery::{Finish, send_ack};
use crate::hub::{Done, Turn, refuse};
use crate::mail::Draft;
use crate::mesh::{LinkId, Mesh};
use crate::{Hub, OutboxLoad, OutgoingRow, Store, Write};
use ecorelay_protocol::link::{Ack, DirectMessage, Frame, Outcome};
use ecorelay_protocol::{
    Address, DeliveryState, ErrorCode, MessageKind, Name, PeerId, Refusal, iso_ms, limits, visible,
};
use std::collections::BTreeMap;

/// The name the hub's own notices come from.
const HUB_NAME: &str = "ecorelay";

/// The outbox of one hub, without its messages.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last_seq: u64,
    pub(super) waiting: usize,
    /// When the first that waits was accepted, as far as it is known.
    pub(super) oldest: Option<u64>,
    /// Everything up to this number is on its way, or there.
    sent_to: u64,
    /// Nothing above this number was ever on its way.
    tried: u64,
    /// On its way on the link at hand: the message, its number and its size.
    in_flight: BTreeMap<String, (u64, usize)>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn load(load: &OutboxLoad) -> Self {
        Self {
            last_seq: load.last_seq,
            tried: load.last_seq,
            waiting: load.waiting,
            oldest: load.oldest,
            ..Self::default()
        }
    }

    /// The link is gone: what was on its way is sent again on the next.
    pub(super) fn link_lost(&mut self) {
        self.in_flight.clear();
        self.bytes = 0;
        self.sent_to = 0;
    }

    fn has_window(&self) -> bool {
        self.in_flight.len() < limits::WINDOW
            && (self.bytes < limits::WINDOW_BYTES || self.in_flight.is_empty())
    }
}

impl Hub {
    /// Accepts a message for a session on another hub: into the outbox, and on its way if that
    /// hub is linked.
    pub(crate) fn send_remote(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        draft: Draft,
        to: Address,
    ) -> Done {
        let extended = self.extended(caller.conn);
        let Some(peer) = to
            .hub
            .as_ref()
            .and_then(|id| self.mesh.peer_of(id))
            .cloned()
        else {
            return Err(self.unknown_hub(&to).into());
        };
        let hub = self.hub_name(&peer);
        if !self.mesh.is_member(&peer) {
            return refuse(
                ErrorCode::PeerNotFound,
                format!(
                    "The hub {hub} does not belong to this mesh any more; \"{to}\" cannot be reached."
                ),
            );
        }
        let outbox = self.mesh.outboxes.entry(peer.clone()).or_default();
        if outbox.waiting >= limits::OUTBOX {
            let since = outbox
                .oldest
                .map_or_else(String::new, |ts| format!(" since {}", iso_ms(ts)));
            return refuse(
                ErrorCode::MailboxError,
                format!(
                    "The outbox for {hub} is full: {} messages wait for it{since}. It takes more when that hub is back.",
                    outbox.waiting
                ),
            );
        }
        let msg_id = match draft.msg_id {
            Some(id) => id,
            None => format!("m-{}", self.ids.uuid()),
        };
        let row = OutgoingRow {
            msg_id: msg_id.clone(),
            peer: peer.clone(),
            seq: outbox.last_seq + 1,
            kind: draft.kind,
            from: draft.from.name,
            to,
            text: draft.text,
            reply_to: draft.reply_to,
            ask_id: draft.ask_id,
            ts: t.now,
            urgent: draft.urgent,
            acked: None,
            state: DeliveryState::Outbox,
            state_ts: t.now,
            detail: None,
            refused: false,
        };
        outbox.last_seq += 1;
        outbox.waiting += 1;
        outbox.oldest.get_or_insert(t.now);
        self.status_shown(t);
        self.write(t, Write::AppendOutgoing(Box::new(row.clone())))?;
        let Some(link) = self.mesh.link_to(&peer) else {
            let detail = Some(self.offline_words(&peer));
            let line = send_ack(msg_id, DeliveryState::Outbox, detail, extended);
            self.answer(t, caller, line);
            return Ok(());
        };
        let pending = self.new_pending();
        self.mesh.awaiting.insert(msg_id.clone(), pending);
        let finish = Finish::Remote {
            msg_id,
            state: DeliveryState::Outbox,
            detail: Some(format!("{hub} has not said yet that it has the message.")),
            refusal: None,
        };
        self.await_pushes(t, caller, pending, 1, finish);
        let outbox = self.mesh.outboxes.entry(peer.clone()).or_default();
        if outbox.sent_to + 1 == row.seq && outbox.has_window() {
            self.send_outgoing(t, link, row);
            return Ok(());
        }
        self.pump_outbox(t, &peer)
    }

    /// Returns what a sender is told of a hub that is not linked.
    fn offline_words(&self, peer: &PeerId) -> String {
        let hub = self.hub_name(peer);
        let known = self.mesh.hubs.get(peer);
        let since = known.map_or(0, |known| known.offline_since);
        let why = known.and_then(|known| known.why.as_ref());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        format!(
            "{hub} is offline since {}{why}; the message goes out when it is back.",
            iso_ms(since)
        )
    }

    /// Returns why a message is still in the outbox.
    pub(crate) fn waits_for(&self, peer: &PeerId, hub: &str) -> String {
        match self.mesh.link_to(peer) {
            Some(_) => format!("On its way to {hub}, which has not said yet that it has it."),
            None => self.offline_words(peer),
        }
    }

    /// Returns the refusal for an address on a hub that is not known here.
    pub(crate) fn unknown_hub(&self, to: &Address) -> Refusal {
        let mut refusal = to.unknown_hub();
        let wanted = to.hub.as_ref().map(|id| id.as_str().to_ascii_lowercase());
        let near = wanted.and_then(|wanted| {
            self.mesh
                .hubs
                .values()
                .map(|known| known.row.hub_id.as_str())
                .map(|id| {
                    (
                        strsim::damerau_levenshtein(&id.to_ascii_lowercase(), &wanted),
                        id,
                    )
                })
                .min()
                .filter(|(distance, id)| *distance <= 2 || id.starts_with(&wanted))
        });
        if let Some((_, id)) = near {
            refusal.message = format!("{} Did you mean \"{}@{id}\"?", refusal.message, to.name);
        }
        refusal
    }

    fn send_outgoing(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId, row: OutgoingRow) {
        let Some(outbox) = self.mesh.outboxes.get_mut(&row.peer) else {
            return;
        };
        outbox.sent_to = row.seq;
        outbox.tried = outbox.tried.max(row.seq);
        outbox.bytes += row.text.len();
        outbox
            .in_flight
            .insert(row.msg_id.clone(), (row.seq, row.text.len()));
        let message = DirectMessage {
            msg_id: row.msg_id,
            kind: row.kind,
            from: row.from,
            to: row.to.name,
            text: row.text,
            ts: row.ts,
            reply_to: row.reply_to,
            ask_id: row.ask_id,
            urgent: row.urgent,
        };
        t.effects.frame(link, &Frame::Message(Box::new(message)));
    }

    /// Sends what waits for a hub, as far as its window goes.
    fn pump_outbox(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> Done {
        let Some(link) = self.mesh.link_to(peer) else {
            return Ok(());
        };
        let Some(outbox) = self.mesh.outboxes.get(peer) else {
            return Ok(());
        };
        if outbox.sent_to >= outbox.last_seq || !outbox.has_window() {
            return Ok(());
        }
        let limit = limits::WINDOW - outbox.in_flight.len();
        let bytes = limits::WINDOW_BYTES.saturating_sub(outbox.bytes);
        let rows = t.store.outbox(peer, outbox.sent_to, limit, bytes)?;
        let all =
            rows.len() < limit && rows.iter().map(|row| row.text.len()).sum::<usize>() < bytes;
        let last = outbox.last_seq;
        for row in rows {
            if !self.mesh.outboxes.get(peer).is_some_and(Outbox::has_window) {
                return Ok(());
            }
            self.send_outgoing(t, link, row);
        }
        if all && let Some(outbox) = self.mesh.outboxes.get_mut(peer) {
            // What lies between has left the outbox.
            outbox.sent_to = last;
        }
        Ok(())
    }

    /// A hub is linked: everything that it has not acknowledged goes out, oldest first.
    pub(super) fn replay_outbox(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> Done {
        if let Some(outbox) = self.mesh.outboxes.get_mut(peer) {
            outbox.link_lost();
        }
        self.pump_outbox(t, peer)
    }

    /// The other hub says what became of a message.
    pub(super) fn acked(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId, ack: Ack) -> Done {
        let Some(outbox) = self.mesh.outboxes.get_mut(peer) else {
            return Ok(());
        };
        // An ack for what is not on its way to that hub counts for nothing.
        let Some((_, bytes)) = outbox.in_flight.remove(&ack.msg_id) else {
            return Ok(());
        };
        outbox.bytes = outbox.bytes.saturating_sub(bytes);
        outbox.waiting = outbox.waiting.saturating_sub(1);
        if outbox.waiting == 0 {
            outbox.oldest = None;
        }
        self.status_shown(t);
        let (state, detail, refusal, wait) = match ack.outcome {
            Outcome::Stored {
                state,
                detail,
                pushed,
            } => (sent_state(state), detail.map(|d| bounded(&d)), None, pushed),
            Outcome::Refused(refusal) => {
                let refusal = Refusal::new(refusal.code, bounded(&refusal.message));
                let detail = Some(refusal.message.clone());
                (DeliveryState::Outbox, detail, Some(refusal), false)
            }
        };
        let mark = Write::MarkOutgoing {
            msg_id: ack.msg_id.clone(),
            acked: Some(t.now),
            state,
            ts: t.now,
            detail: detail.clone(),
            refused: refusal.is_some(),
        };
        if refusal.is_some() {
            // The sender will be told: it may not be sent again, even after a crash.
            self.write(t, mark)?;
        } else {
            self.write_lazily(t, mark)?;
        }
        let told = self.tell_waiting(t, &ack.msg_id, state, detail, refusal.clone(), wait);
        if let (false, Some(refusal)) = (told, refusal) {
            self.flush_lazy(t)?;
            if let Some(crate::Found::Outgoing(row)) = t.store.find(&ack.msg_id)? {
                let text = format!(
                    "Your message {} to \"{}\" was not taken by its hub: {}",
                    row.msg_id, row.to, refusal.message
                );
                self.tell_sender(t, &row, text)?;
            }
        }
        self.pump_outbox(t, peer)
    }

    /// Gives word to the sender that still waits for its answer; returns whether one did.
    pub(super) fn tell_waiting(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: &str,
        known: DeliveryState,
        said: Option<String>,
        word: Option<Refusal>,
        wait: bool,
    ) -> bool {
        let Some(pending) = self.mesh.awaiting.get(id).copied() else {
            return false;
        };
        let Some(waiting) = self.delivery.pending.get_mut(&pending) else {
            self.mesh.awaiting.remove(id);
            return false;
        };
        if let Finish::Remote {
            state,
            detail,
            refusal,
            ..
        } = &mut waiting.finish
        {
            *state = known;
            *detail = said;
            *refusal = word;
        }
        if !wait {
            self.mesh.awaiting.remove(id);
            self.finish(t, pending);
        }
        true
    }

    /// Tells a sender on this hub something about a message it sent to another.
    fn tell_sender(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        row: &OutgoingRow,
        text: String,
    ) -> Done {
        let Ok(hub) = Name::parse(HUB_NAME, "the hub") else {
            return Ok(());
        };
        let draft = Draft {
            kind: MessageKind::System,
            from: Address::local(hub),
            to: row.from.clone(),
            text,
            reply_to: Some(row.msg_id.clone()),
            ask_id: None,
            group: None,
            urgent: false,
            msg_id: None,
        };
        match self.store_message(t, draft) {
            Ok(notice) => {
                // Not live: it finds the notice in its inbox.
                let _ = self.push_message(t, &notice, None, false);
                Ok(())
            }
            Err(crate::hub::Fail::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives up messages that have waited too long, and forgets old ones that arrived.
    pub(crate) fn expire_outgoing(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let peers: Vec<PeerId> = self.mesh.outboxes.keys().cloned().collect();
        for peer in peers {
            loop {
                let rows = t.store.outbox(&peer, 0, 64, limits::WINDOW_BYTES)?;
                let old: Vec<OutgoingRow> = rows
                    .into_iter()
                    .take_while(|row| row.ts + limits::OUTBOX_MS <= t.now)
                    .collect();
                if old.is_empty() {
                    break;
                }
                for row in old {
                    let why = "its hub was not reached for 30 days.";
                    self.give_up(t, &peer, &row, why, None)?;
                }
            }
        }
        let before = t.now.saturating_sub(limits::DEDUP_MS);
        self.write_lazily(t, Write::ForgetOutgoing { before })
    }

    /// Gives up a message that waits for another hub. Its sender is told: by the refusal, where
    /// there is one and it still waits for its answer, else by a message.
    pub(super) fn give_up(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        row: &OutgoingRow,
        why: &str,
        refusal: Option<Refusal>,
    ) -> Done {
        self.write(
            t,
            Write::MarkOutgoing {
                msg_id: row.msg_id.clone(),
                acked: Some(t.now),
                state: DeliveryState::Outbox,
                ts: t.now,
                detail: Some(format!("Given up: {why}")),
                refused: true,
            },
        )?;
        if let Some(outbox) = self.mesh.outboxes.get_mut(peer) {
            outbox.waiting = outbox.waiting.saturating_sub(1);
            if let Some((_, bytes)) = outbox.in_flight.remove(&row.msg_id) {
                outbox.bytes = outbox.bytes.saturating_sub(bytes);
            }
        }
        self.status_shown(t);
        let told = refusal.is_some_and(|refusal| {
            let word = Some(refusal);
            self.tell_waiting(t, &row.msg_id, DeliveryState::Outbox, None, word, false)
        });
        if told {
            return Ok(());
        }
        let text = format!(
            "Your message {} to \"{}\" was given up: {why}",
            row.msg_id, row.to
        );
        self.tell_sender(t, row, text)
    }
}

impl Mesh {
    /// Returns whether a message that was not acknowledged may have arrived.
    pub(super) fn may_be_there(&self, peer: &PeerId, seq: u64) -> bool {
        let outbox = self.outboxes.get(peer);
        outbox.is_some_and(|outbox| seq <= outbox.tried)
    }
}

/// Returns what another hub may say of a message it has.
pub(super) fn sent_state(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Outbox => DeliveryState::Stored,
        state => state,
    }
}

/// Returns a foreign sentence as it may be shown.
pub(super) fn bounded(text: &str) -> String {
    visible(text).chars().take(400).collect()
}
