//! Pushing into live sessions, and what is known of it afterwards.
//!
//! A push is confirmed by the version "6" client (`pushed`), or, for a version "5" client, by
//! the kernel having taken its line. A sender's answer waits a moment for that word, so that
//! `delivered` is never more than is known.

use crate::budget::Exhausted;
use crate::clients::Caller;
use crate::hub::{Done, Turn};
use crate::mesh::AskedWhy;
use crate::{ConnId, Effect, GroupId, Hub, MailboxId, MessageKey, Store, Tag};
use ecorelay_protocol::{
    Address, DeliveryState, HubLine, MessageKind, Name, PushResult, Refusal, SendStatus, limits,
};
use std::collections::BTreeMap;

use std::sync::Arc;

/// A push that nobody confirmed is given up after this long, in ms; the message stays unread
/// and is pushed again when its session comes back.
const AWAIT_MS: u64 = 60_000;

/// Everything on its way.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    last: u64,
    pub(crate) tags: BTreeMap<Tag, TagUse>,
    pub(crate) awaiting: BTreeMap<(ConnId, Arc<str>), Awaited>,
    pub(crate) pending: BTreeMap<u64, Pending>,
    batch: Vec<(ConnId, Arc<str>)>,
    batch_from: u64,
}

/// What it means that a tagged line was written.
#[derive(Debug)]
pub(crate) enum TagUse {
    /// A push; for a version "5" client its confirmation.
    Push { id: Arc<str>, confirms: bool },
    /// An inbox page of a version "5" client: the messages are read.
    Page {
        mailbox: MailboxId,
        keys: Vec<MessageKey>,
    },
    /// A copy for a watcher: nothing.
    Copy,
    /// A page of group history: the cursor moves.
    Cursor {
        group: GroupId,
        reader: Address,
        to: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) to: Name,
    pub(crate) key: Option<MessageKey>,
    /// A confirmed push is all there is to it (answers, notices): it is read then.
    pub(crate) reads: bool,
    /// An ask: kept in the mailbox if it cannot be handed over.
    pub(crate) ask: Option<Arc<Ask>>,
    pub(crate) pending: Option<u64>,
    pub(crate) expires: u64,
}

/// A broadcast question.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) from: Address,
    pub(crate) question: String,
}

/// An answer that waits for confirmations.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) caller: Caller,
    pub(crate) outstanding: usize,
    pub(crate) handed: usize,
    pub(crate) word: Option<(PushResult, String, Option<String>)>,
    pub(crate) finish: Finish,
    /// The promise it answers, while its batch is not committed.
    pub(crate) promise: Option<u64>,
    pub(crate) deadline: u64,
}

/// What is answered when all confirmations are in, or the time is up.
#[derive(Debug)]
pub(crate) enum Finish {
    Send {
        msg_id: String,
    },
    /// `elsewhere`: how many members other hubs have.
    Room {
        room: Name,
        elsewhere: usize,
    },
    Group {
        msg_id: String,
        absent: usize,
    },
    /// A message for another hub: what is known of it so far.
    Remote {
        msg_id: String,
        state: DeliveryState,
        detail: Option<String>,
        refusal: Option<Refusal>,
    },
    /// The way of a message that another hub has.
    Why(AskedWhy),
}

/// One push for one or many recipients; encoded once per protocol version.
pub(crate) struct Line<F> {
    make: F,
    v5: Option<Arc<[u8]>>,
    v6: Option<Arc<[u8]>>,
}

impl<F: Fn(bool) -> HubLine> Line<F> {
    /// Returns a push; `make` is told whether to add the keys of version "6".
    pub(crate) fn new(make: F) -> Self {
        Self {
            make,
            v5: None,
            v6: None,
        }
    }

    fn bytes(&mut self, extended: bool) -> Arc<[u8]> {
        let place = if extended { &mut self.v6 } else { &mut self.v5 };
        place
            .get_or_insert_with(|| (self.make)(extended).encode().into())
            .clone()
    }
}

/// What is to be pushed to whom, besides the line itself.
#[derive(Debug, Clone)]
pub(crate) struct PushTo<'a> {
    pub(crate) to: &'a Name,
    /// The message id, or the ask id.
    pub(crate) id: &'a str,
    pub(crate) key: Option<MessageKey>,
    pub(crate) reads: bool,
    pub(crate) ask: Option<Arc<Ask>>,
    pub(crate) pending: Option<u64>,
    /// After the commit, behind the answer of the same request.
    pub(crate) after: bool,
}

impl Delivery {
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        // Pending answers all wait equally long, so the first is the oldest.
        self.pending.values().next().map(|p| p.deadline)
    }

    /// Returns a tag for a line with this use.
    pub(crate) fn tag(&mut self, used: TagUse) -> Tag {
        self.last += 1;
        self.tags.insert(Tag(self.last), used);
        Tag(self.last)
    }

    pub(crate) fn batch_ended(&mut self) {
        self.batch.clear();
        self.batch_from = self.last + 1;
    }

    /// Forgets what the batch at hand put on its way and did not keep, for those messages do
    /// not exist, and returns the answers that waited for it. Rooms keep nothing and go on.
    pub(crate) fn forget_batch(&mut self) -> Vec<(u64, Caller)> {
        for key in std::mem::take(&mut self.batch) {
            if self
                .awaiting
                .get(&key)
                .is_some_and(|awaited| awaited.key.is_some())
            {
                self.awaiting.remove(&key);
            }
        }
        let mut forgotten = Vec::new();
        let from = self.batch_from;
        // Pages of this batch showed what is not there; they are not sent.
        let is_page = |used: &TagUse| matches!(used, TagUse::Page { .. } | TagUse::Cursor { .. });
        self.tags.retain(|tag, used| tag.0 < from || !is_page(used));
        self.pending.retain(|id, pending| {
            let stays = *id < from || matches!(pending.finish, Finish::Room { .. });
            if !stays {
                forgotten.push((*id, pending.caller.clone()));
            }
            stays
        });
        self.batch_from = self.last + 1;
        forgotten
    }

    /// Returns the inbox pages that are on their way.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (MailboxId, &[MessageKey])> {
        self.tags.values().filter_map(|used| match used {
            TagUse::Page { mailbox, keys } => Some((*mailbox, keys.as_slice())),
            _ => None,
        })
    }

    /// Returns the history pages that are on their way.
    pub(crate) fn cursors(&self) -> impl Iterator<Item = (GroupId, &Address, u64)> {
        self.tags.values().filter_map(|used| match used {
            TagUse::Cursor { group, reader, to } => Some((*group, reader, *to)),
            _ => None,
        })
    }

    /// Returns whether a push of this id to a connection is not confirmed yet.
    pub(crate) fn is_awaited(&self, conn: ConnId, id: &str) -> bool {
        self.awaiting.contains_key(&(conn, id.into()))
    }

    /// Forgets the answers that wait for a caller who is gone.
    pub(crate) fn forget_caller(&mut self, conn: ConnId) {
        self.pending
            .retain(|_, pending| pending.caller.conn != conn);
    }

    /// Returns how many things are on their way.
    pub(crate) fn len(&self) -> usize {
        self.tags.len() + self.awaiting.len() + self.pending.len()
    }
}

impl Hub {
    /// Returns the number of an answer that will wait for confirmations; not waiting yet.
    pub(crate) fn new_pending(&mut self) -> u64 {
        self.delivery.last += 1;
        self.delivery.last
    }

    /// Takes one push from `from` to `to` out of the budgets, or says why it is over them.
    pub(crate) fn within_budget(
        &mut self,
        from: &Address,
        to: &Name,
        now: u64,
    ) -> Result<(), String> {
        let spent = match self.budgets.push(from, to, now) {
            Ok(()) => return Ok(()),
            Err(Exhausted::Sender) => "You have sent very many messages in a short time",
            Err(Exhausted::Conversation) => {
                "You two have exchanged very many messages in a short time"
            }
        };
        Err(format!(
            "{spent}, so this one is stored without waking \"{to}\"; it is in its inbox. Slow down, or wait for an answer."
        ))
    }

    /// Pushes a line into the live session `push.to`; says why not, if not.
    pub(crate) fn push<F: Fn(bool) -> HubLine>(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        push: &PushTo<'_>,
        line: &mut Line<F>,
    ) -> Result<(), String> {
        let to = push.to;
        let Some(session) = self.sessions.get_mut(to) else {
            return Err(format!(
                "\"{to}\" is not connected; it finds the message in its inbox."
            ));
        };
        if session.lagging || session.unconfirmed >= limits::QUEUE_LINES {
            session.missed += 1;
            return Err(format!(
                "\"{to}\" reads too slowly; the message is in its inbox."
            ));
        }
        session.unconfirmed += 1;
        let conn = session.conn;
        let extended = self.extended(conn);
        let id: Arc<str> = push.id.into();
        let tag = self.delivery.tag(TagUse::Push {
            id: id.clone(),
            confirms: !extended,
        });
        let awaited = Awaited {
            to: to.clone(),
            key: push.key,
            reads: push.reads,
            ask: push.ask.clone(),
            pending: push.pending,
            expires: t.now + AWAIT_MS,
        };
        if self
            .delivery
            .awaiting
            .insert((conn, id.clone()), awaited)
            .is_some()
        {
            // The same message is pushed again: one of the two confirmations is enough.
            if let Some(session) = self.sessions.get_mut(to) {
                session.unconfirmed = session.unconfirmed.saturating_sub(1);
            }
        }
        self.delivery.batch.push((conn, id));
        let effect = Effect::Line {
            conn,
            bytes: line.bytes(extended),
            tag: Some(tag),
            may_drop: true,
        };
        if push.after {
            &mut t.effects.after
        } else {
            &mut t.effects.now
        }
        .push(effect);
        Ok(())
    }

    /// Lets an answer wait until `outstanding` pushes are confirmed.
    pub(crate) fn await_pushes(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        pending: u64,
        outstanding: usize,
        finish: Finish,
    ) {
        let waiting = Pending {
            caller: caller.clone(),
            outstanding,
            handed: 0,
            word: None,
            finish,
            promise: self.promise,
            deadline: t.now + limits::CONFIRM_MS,
        };
        self.delivery.pending.insert(pending, waiting);
        self.hold_place(caller, pending);
        if outstanding == 0 {
            self.finish(t, pending);
        }
    }

    /// Answers those who have waited long enough.
    pub(crate) fn delivery_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        while let Some((&pending, waiting)) = self.delivery.pending.first_key_value() {
            if waiting.deadline > t.now {
                break;
            }
            self.finish(t, pending);
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, t: &mut Turn<'_, impl Store>, pending: u64) {
        let Some(waiting) = self.delivery.pending.remove(&pending) else {
            return;
        };
        let extended = self.extended(waiting.caller.conn);
        let line = match waiting.finish {
            Finish::Send { msg_id } => {
                let (state, detail) = match waiting.word {
                    Some((PushResult::Handed, ..)) => (DeliveryState::Delivered, None),
                    Some((result, _, why)) => {
                        (DeliveryState::Stored, Some(not_handed(result, why.as_deref())))
                    }
                    None => (
                        DeliveryState::Stored,
                        Some("The session has not confirmed the push yet; the message is in its inbox.".into()),
                    ),
                };
                send_ack(msg_id, state, detail, extended)
            }
            Finish::Room { room, elsewhere } => HubLine::RoomSendAck {
                room: room.to_string(),
                delivered_count: waiting.handed + elsewhere,
                req_id: None,
            },
            Finish::Remote {
                refusal: Some(refusal),
                ..
            } => HubLine::Err {
                code: refusal.code,
                message: refusal.message,
                req_id: None,
                ask_id: None,
            },
            Finish::Remote {
                msg_id,
                state,
                detail,
                refusal: None,
            } => send_ack(msg_id, state, detail, extended),
            Finish::Why(asked) => match self.trace_outgoing(t, &asked.msg_id) {
                Ok(trace) => HubLine::WhyResult {
                    trace,
                    req_id: None,
                },
                Err(error) => {
                    self.note_failure(error);
                    return;
                }
            },
            Finish::Group { msg_id, absent } => HubLine::GroupAck {
                msg_id: extended.then_some(msg_id),
                delivered_count: extended.then_some(waiting.handed),
                queued_count: extended.then_some(absent.saturating_sub(waiting.handed)),
                req_id: None,
            },
        };
        self.answer_held(t, &waiting.caller, pending, waiting.promise, line);
    }
}

/// Returns the answer to a send.
pub(crate) fn send_ack(
    msg_id: String,
    state: DeliveryState,
    detail: Option<String>,
    extended: bool,
) -> HubLine {
    HubLine::SendAck {
        msg_id,
        status: match state {
            DeliveryState::Delivered | DeliveryState::Read => SendStatus::Delivered,
            _ => SendStatus::Queued,
        },
        state: extended.then_some(state),
        detail: detail.filter(|_| extended),
        req_id: None,
    }
}

/// Says to the sender of a message why it was not handed to the live session.
pub(crate) fn not_handed(result: PushResult, why: Option<&str>) -> String {
    let what = match (result, why) {
        (PushResult::Refused, Some(why)) => format!("Not pushed: {why}."),
        (PushResult::Refused, None) => "Not pushed: the session refused it.".to_owned(),
        (_, Some(why)) => format!("Pushed, but nothing tells whether it arrived: {why}."),
        (_, None) => "Pushed, but nothing tells whether it arrived.".to_owned(),
    };
    format!("{what} The message is in the inbox.")
}

/// Returns the kind of push line that shows a stored message of this kind.
pub(crate) fn is_told_once(kind: MessageKind) -> bool {
    matches!(
        kind,
        MessageKind::Reply | MessageKind::System | MessageKind::Ask
    )
}
