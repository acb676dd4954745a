//! Direct messages from other hubs: into the mailbox, on disk, then acknowledged.

use crate::hub::{Done, Fail, Turn};
use crate::mail::Draft;
use crate::mesh::LinkId;
use crate::{Found, Hub, MessageRow, Store};
use ecorelay_protocol::link::{Ack, DirectMessage, Frame, Outcome};
use ecorelay_protocol::{
    Address, DeliveryState, ErrorCode, HubId, HubPolicy, MessageKind, Name, PeerId, Refusal,
    is_id_char, limits,
};

/// Pushes of other hubs' messages whose fate is not known yet.
const OWED: usize = 10_000;

impl Hub {
    pub(super) fn incoming(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        message: DirectMessage,
    ) -> Done {
        let Some(hub_id) = self.mesh.hub_id(peer).cloned() else {
            return Ok(());
        };
        let msg_id = message.msg_id.clone();
        if !is_id(&msg_id, limits::ID_CHARS) {
            // Not even an answer could name it.
            self.bad_frame(t, link, "a message without a valid id");
            return Ok(());
        }
        let outcome = match self.take_message(t, peer, &hub_id, message) {
            Ok(outcome) => outcome,
            Err(Fail::Refused(refusal)) => Outcome::Refused(refusal),
            Err(error) => return Err(error),
        };
        t.effects
            .frame_after(link, &Frame::Ack(Ack { msg_id, outcome }));
        Ok(())
    }

    fn take_message(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        hub_id: &HubId,
        message: DirectMessage,
    ) -> Done<Outcome> {
        check(&message)?;
        let from = Address {
            name: message.from.clone(),
            hub: Some(hub_id.clone()),
        };
        let id = match self.place_of(t, &message.msg_id, hub_id)? {
            Place::Here(state) => {
                return Ok(Outcome::Stored {
                    state,
                    detail: None,
                    pushed: false,
                });
            }
            Place::Free(id) => id,
        };
        let (to, kind) = self.recipient(t, &message)?;
        let known = self.mail.is_known(&to);
        // When it was sent counts for the reader; a clock that is off must not reach far.
        let oldest = t.now.saturating_sub(limits::OUTBOX_MS + limits::DAY_MS);
        let ts = message.ts.clamp(oldest, t.now);
        let urgent = message.urgent && self.policy_for(&from) == HubPolicy::Normal;
        let draft = Draft {
            kind,
            from,
            to: to.clone(),
            text: message.text,
            reply_to: message.reply_to,
            ask_id: message.ask_id.filter(|_| kind == MessageKind::Reply),
            group: None,
            urgent,
            msg_id: Some(id),
        };
        let mut then = Turn {
            now: ts,
            store: &mut *t.store,
            effects: &mut *t.effects,
        };
        let row = self.store_message(&mut then, draft)?;
        Ok(match self.push_message(t, &row, None, false) {
            Ok(()) => {
                self.owe_receipt(&row, peer, message.msg_id);
                Outcome::Stored {
                    state: DeliveryState::Stored,
                    detail: Some(
                        "The session has not confirmed the push yet; the message is in its inbox."
                            .into(),
                    ),
                    pushed: true,
                }
            }
            Err(_) if !known => Outcome::Stored {
                state: DeliveryState::Unknown,
                detail: Some(self.describe_unknown(&to)),
                pushed: false,
            },
            Err(why) => Outcome::Stored {
                state: DeliveryState::Stored,
                detail: Some(why),
                pushed: false,
            },
        })
    }

    fn owe_receipt(&mut self, row: &MessageRow, peer: &PeerId, msg_id: String) {
        if self.mesh.owed.len() >= OWED {
            self.mesh.owed.pop_first();
        }
        let owed = (peer.clone(), msg_id);
        self.mesh.owed.insert(row.msg_id.as_str().into(), owed);
    }

    /// Returns where a message of another hub is, or the id under which it can be stored: its
    /// own, or one that says whose it is where a message from elsewhere has that.
    fn place_of(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        msg_id: &str,
        hub_id: &HubId,
    ) -> Done<Place> {
        let own = msg_id.to_owned();
        let scoped: String = format!("{hub_id}.{msg_id}")
            .chars()
            .take(limits::ID_CHARS)
            .collect();
        for id in [own, scoped] {
            let (from, state) = match t.store.find(&id)? {
                None => return Ok(Place::Free(id)),
                Some(Found::Message(row)) => (row.from.clone(), self.state_of(&row)),
                Some(Found::Gone(gone)) => (gone.from.clone(), gone.state()),
                Some(Found::Group(_) | Found::Outgoing(_)) => continue,
            };
            if from.hub.as_ref() == Some(hub_id) {
                return Ok(Place::Here(state));
            }
        }
        Err(
            Refusal::bad_args("The message's id is in use here; send it again under a new one.")
                .into(),
        )
    }

    /// Returns who gets a message: answers find the one they are for also after a rename.
    fn recipient(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        message: &DirectMessage,
    ) -> Done<(Name, MessageKind)> {
        if let (MessageKind::Reply, Some(ask_id)) = (message.kind, &message.ask_id)
            && let Some(asker) = self.asks.asked_here(ask_id)
            && let Some(mailbox) = self.mail.get(asker)
        {
            return Ok((mailbox.row.name.clone(), MessageKind::Reply));
        }
        if let Some(id) = &message.reply_to
            && !self.mail.is_known(&message.to)
            && let Some(Found::Outgoing(row)) = t.store.find(id)?
        {
            return Ok((row.from, MessageKind::Message));
        }
        Ok((message.to.clone(), MessageKind::Message))
    }
}

/// Where a message of another hub is.
enum Place {
    Here(DeliveryState),
    Free(String),
}

pub(super) fn is_id(id: &str, most: usize) -> bool {
    !id.is_empty() && id.chars().count() <= most && id.chars().all(is_id_char)
}

fn check(message: &DirectMessage) -> Result<(), Refusal> {
    let ids = [&message.reply_to, &message.ask_id];
    if ids
        .into_iter()
        .flatten()
        .any(|id| !is_id(id, limits::ID_CHARS))
    {
        return Err(Refusal::bad_args("An id in the message is not valid."));
    }
    if !matches!(message.kind, MessageKind::Message | MessageKind::Reply) {
        return Err(Refusal::bad_args(
            "Only messages and replies are sent this way.",
        ));
    }
    if message.text.len() > limits::TEXT_BYTES {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "The text is longer than a message can be.",
        ));
    }
    Ok(())
}
