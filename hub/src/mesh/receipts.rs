//! What became of messages between hubs after they were stored: delivered, read.

use crate::clients::Caller;
use crate::delivery::{Finish, not_handed};
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::mesh::incoming::is_id;
use crate::mesh::outbox::{bounded, sent_state};
use crate::{Found, Hub, MessageRow, OutgoingRow, Store, Write};
use ecorelay_protocol::link::{Frame, Query, Receipt};
use ecorelay_protocol::{DeliveryState, PeerId, PushResult, limits};

/// A `why` that waits for another hub's word.
#[derive(Debug, Clone)]
pub(crate) struct AskedWhy {
    pub(crate) msg_id: String,
}

impl Hub {
    /// A push was confirmed or not: the hub of its sender hears of it.
    pub(crate) fn receipt_for_push(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: &str,
        result: PushResult,
        detail: Option<&str>,
    ) {
        let Some((peer, msg_id)) = self.mesh.owed.remove(id) else {
            return;
        };
        let (state, detail) = match result {
            PushResult::Handed => (DeliveryState::Delivered, None),
            _ => (DeliveryState::Stored, Some(not_handed(result, detail))),
        };
        self.send_receipt(t, &peer, msg_id, state, detail);
    }

    /// Messages were read: the hubs of their senders hear of it.
    pub(crate) fn receipts_for_read<'a>(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        rows: impl Iterator<Item = &'a MessageRow>,
    ) {
        for row in rows {
            // Nothing that a push path says later counts for more than that.
            self.mesh.owed.remove(row.msg_id.as_str());
            self.receipt_for(t, row, DeliveryState::Read);
        }
    }

    /// A message was handed over after all: the hub of its sender hears of it.
    pub(crate) fn receipt_for_late_push(&mut self, t: &mut Turn<'_, impl Store>, row: &MessageRow) {
        if row.read.is_none() {
            self.receipt_for(t, row, DeliveryState::Delivered);
        }
    }

    fn receipt_for(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        row: &MessageRow,
        state: DeliveryState,
    ) {
        if let Some(hub) = &row.from.hub
            && let Some(peer) = self.mesh.peer_of(hub).cloned()
        {
            let prefix = format!("{hub}.");
            let id = row.msg_id.strip_prefix(&prefix).unwrap_or(&row.msg_id);
            self.send_receipt(t, &peer, id.to_owned(), state, None);
        }
    }

    fn send_receipt(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        msg_id: String,
        state: DeliveryState,
        detail: Option<String>,
    ) {
        // A hub that is away asks when it is back.
        if let Some(link) = self.mesh.link_to(peer) {
            let receipt = Receipt {
                msg_id,
                state,
                ts: t.now,
                detail,
            };
            t.effects.frame_after(link, &Frame::Receipt(receipt));
        }
    }

    /// Another hub says what became of a message it has.
    pub(super) fn receipt(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        receipt: Receipt,
    ) -> Done {
        let row = match t.store.find(&receipt.msg_id)? {
            // The note that it was acknowledged may still wait for its batch.
            Some(Found::Outgoing(row)) if row.peer == *peer => row,
            _ => return Ok(()),
        };
        let state = sent_state(receipt.state);
        let detail = receipt.detail.as_deref().map(bounded);
        if !row.refused && rank(state) >= rank(row.state) && row.state != DeliveryState::Read {
            self.write_lazily(
                t,
                Write::MarkOutgoing {
                    msg_id: receipt.msg_id.clone(),
                    acked: None,
                    state,
                    ts: receipt.ts.clamp(row.ts.min(t.now), t.now),
                    detail: detail.clone(),
                    refused: false,
                },
            )?;
        }
        self.tell_waiting(t, &receipt.msg_id, state, detail, None, false);
        Ok(())
    }

    /// Another hub asks what became of messages it sent here.
    pub(super) fn queried(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        query: &Query,
    ) -> Done {
        let Some(hub_id) = self.mesh.hub_id(peer).cloned() else {
            return Ok(());
        };
        self.flush_lazy(t)?;
        for msg_id in query.msg_ids.iter().take(limits::QUERY_IDS) {
            if !is_id(msg_id, limits::ID_CHARS) {
                continue;
            }
            for id in [msg_id.clone(), format!("{hub_id}.{msg_id}")] {
                let (from, state, ts) = match t.store.find(&id)? {
                    Some(Found::Message(row)) => {
                        let state = self.state_of(&row);
                        let pushed = row.pushed.as_ref().map(|pushed| pushed.ts);
                        (row.from, state, row.read.or(pushed).unwrap_or(row.ts))
                    }
                    Some(Found::Gone(gone)) => {
                        let state = gone.state();
                        (gone.from, state, gone.read.unwrap_or(gone.left))
                    }
                    _ => continue,
                };
                if from.hub.as_ref() == Some(&hub_id) {
                    let receipt = Receipt {
                        msg_id: msg_id.clone(),
                        state,
                        ts,
                        detail: None,
                    };
                    t.effects.frame_after(link, &Frame::Receipt(receipt));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks the hub that has a message what became of it; `why` is answered when it has said so,
    /// or has not in time. Returns whether it can be asked.
    pub(crate) fn ask_why(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        row: &OutgoingRow,
    ) -> bool {
        let settled = row.acked.is_none() || row.refused || row.state == DeliveryState::Read;
        let Some(link) = self.mesh.link_to(&row.peer).filter(|_| !settled) else {
            return false;
        };
        let msg_ids = vec![row.msg_id.clone()];
        t.effects
            .frame_after(link, &Frame::Query(Query { msg_ids }));
        let pending = self.new_pending();
        self.mesh.awaiting.insert(row.msg_id.clone(), pending);
        let msg_id = row.msg_id.clone();
        self.await_pushes(t, caller, pending, 1, Finish::Why(AskedWhy { msg_id }));
        true
    }
}

/// Returns how far a message has come in this state.
fn rank(state: DeliveryState) -> u8 {
    match state {
        DeliveryState::Outbox => 0,
        DeliveryState::Unknown => 1,
        DeliveryState::Stored => 2,
        DeliveryState::Delivered => 3,
        DeliveryState::Read => 4,
    }
}
