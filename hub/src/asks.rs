//! Broadcast questions and where their answers go.

use crate::clients::Caller;
use crate::delivery::{Ask, Line, PushTo};
use crate::hub::{Done, Fail, Turn, refuse};
use crate::mail::Draft;
use crate::{AskRow, Durable, Hub, MailboxId, Store, Write};
use ecorelay_protocol::{
    Address, ErrorCode, HubLine, MessageKind, Name, Push, header_line, limits,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The broadcasts that can still be answered.
#[derive(Debug)]
pub(crate) struct Asks {
    rows: BTreeMap<String, AskRow>,
}

impl Asks {
    pub(crate) fn new(durable: &Durable) -> Self {
        let rows = durable
            .asks
            .iter()
            .map(|row| (row.broadcast_id.clone(), row.clone()));
        Self {
            rows: rows.collect(),
        }
    }

    /// Returns the mailbox of the one who asked; `id` is an ask id or a broadcast id.
    pub(crate) fn asker(&self, id: &str) -> Option<MailboxId> {
        let row = self
            .rows
            .get(id)
            .or_else(|| self.rows.get(broadcast_of(id)))?;
        Some(row.asker)
    }

    /// Notes that a mailbox was merged into another.
    pub(crate) fn move_asker(&mut self, from: MailboxId, to: MailboxId) {
        for row in self.rows.values_mut().filter(|row| row.asker == from) {
            row.asker = to;
        }
    }

    fn oldest(&self) -> Option<String> {
        let row = self.rows.values().min_by_key(|row| row.ts)?;
        Some(row.broadcast_id.clone())
    }
}

/// Returns the broadcast id in an ask id `<broadcast_id>:<recipient>`.
pub(crate) fn broadcast_of(ask_id: &str) -> &str {
    ask_id
        .rsplit_once(':')
        .map_or(ask_id, |(broadcast, _)| broadcast)
}

impl Hub {
    pub(crate) fn broadcast(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        question: &str,
        broadcast_id: Option<String>,
        exclude_self: bool,
    ) -> Done {
        let me = self.me(caller)?;
        let broadcast_id = match broadcast_id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => format!("bcast-{me}-{}", self.ids.uuid()),
        };
        let mailbox = self.own_mailbox(t, &me)?;
        if self
            .asks
            .asker(&broadcast_id)
            .is_some_and(|asker| asker != mailbox)
        {
            return refuse(
                ErrorCode::BadArgs,
                "\"broadcast_id\" belongs to another broadcast; choose a new one.",
            );
        }
        if !self.budgets.broadcast(&me, t.now) {
            return refuse(
                ErrorCode::RateLimited,
                format!(
                    "You have sent {} broadcasts within a minute. Ask one peer with relay_send, or wait.",
                    self.config.tunables.broadcasts_per_minute
                ),
            );
        }
        self.save_mailboxes(t)?;
        self.keep_ask(
            t,
            AskRow {
                broadcast_id: broadcast_id.clone(),
                asker: mailbox,
                ts: t.now,
            },
        )?;
        let to: Vec<Name> = self
            .sessions
            .keys()
            .filter(|name| !exclude_self || **name != me)
            .cloned()
            .collect();
        let mut peer_count = 0;
        let ask = Arc::new(Ask {
            from: Address::local(me.clone()),
            question: question.to_owned(),
        });
        for to in to {
            let ask_id = format!("{broadcast_id}:{to}");
            let mut line = Line::new(|extended| {
                ask_line(&ask.from, question, &ask_id, &broadcast_id, extended)
            });
            let push = PushTo {
                to: &to,
                id: &ask_id,
                key: None,
                reads: false,
                ask: Some(ask.clone()),
                pending: None,
                after: false,
            };
            let pushed = self.push(t, &push, &mut line).is_ok();
            peer_count += usize::from(pushed);
            self.copy_text_to_watchers(
                t,
                &to,
                MessageKind::Ask,
                None,
                me.as_str(),
                question,
                &ask_id,
            );
        }
        self.answer_broadcast(t, caller, broadcast_id, peer_count);
        Ok(())
    }

    /// Puts an ask that could not be handed over into the mailbox of a session that was there.
    pub(crate) fn keep_unpushed_ask(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        to: &Name,
        ask_id: &str,
        ask: &Ask,
    ) -> Done {
        let draft = Draft {
            kind: MessageKind::Ask,
            from: ask.from.clone(),
            to: to.clone(),
            text: ask.question.clone(),
            reply_to: None,
            ask_id: Some(ask_id.to_owned()),
            group: None,
            urgent: false,
            msg_id: None,
        };
        match self.store_message(t, draft) {
            Err(Fail::Store(error)) => Err(error.into()),
            // A full mailbox takes no ask: broadcasts promise nothing.
            _ => Ok(()),
        }
    }

    fn answer_broadcast(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        broadcast_id: String,
        peer_count: usize,
    ) {
        let extended = self.extended(caller.conn);
        // The reference's answer carries no request id.
        let caller = if extended {
            caller.clone()
        } else {
            Caller {
                req_id: None,
                ..caller.clone()
            }
        };
        self.answer(
            t,
            &caller,
            HubLine::BroadcastAck {
                broadcast_id,
                peer_count,
                req_id: None,
            },
        );
    }

    fn keep_ask(&mut self, t: &mut Turn<'_, impl Store>, row: AskRow) -> Done {
        if self.asks.rows.len() >= limits::ASKS
            && let Some(oldest) = self.asks.oldest()
        {
            self.drop_ask(t, oldest)?;
        }
        self.write(t, Write::PutAsk(row.clone()))?;
        self.asks.rows.insert(row.broadcast_id.clone(), row);
        Ok(())
    }

    fn drop_ask(&mut self, t: &mut Turn<'_, impl Store>, broadcast_id: String) -> Done {
        self.asks.rows.remove(&broadcast_id);
        self.write(t, Write::DeleteAsk { broadcast_id }).map(drop)
    }

    /// Stores where the answers to an asker's broadcasts go after its mailbox has moved.
    pub(crate) fn save_asks(&mut self, t: &mut Turn<'_, impl Store>, asker: MailboxId) -> Done {
        let rows: Vec<AskRow> = self
            .asks
            .rows
            .values()
            .filter(|r| r.asker == asker)
            .cloned()
            .collect();
        for row in rows {
            self.write(t, Write::PutAsk(row))?;
        }
        Ok(())
    }

    /// Forgets broadcasts that are too old to be answered.
    pub(crate) fn expire_asks(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let old = self
            .asks
            .rows
            .values()
            .filter(|row| row.ts + limits::ASK_MS <= t.now);
        let old: Vec<String> = old.map(|row| row.broadcast_id.clone()).collect();
        for id in old {
            self.drop_ask(t, id)?;
        }
        Ok(())
    }
}

pub(crate) fn ask_line(
    from: &Address,
    question: &str,
    ask_id: &str,
    broadcast_id: &str,
    extended: bool,
) -> HubLine {
    let origin_hub = from.hub.as_ref().map(ToString::to_string);
    let from = from.to_string();
    HubLine::IncomingAsk {
        question: question.to_owned(),
        ask_id: ask_id.to_owned(),
        broadcast_id: broadcast_id.to_owned(),
        thread_id: broadcast_id.to_owned(),
        origin_hub,
        push: Push {
            header: extended.then(|| header_line(MessageKind::Ask, &from, None, ask_id, false)),
            kind: extended.then_some(MessageKind::Ask),
        },
        from,
    }
}
