//! Asking everyone: sessions of this hub, and, through a publication, those of the mesh.

use crate::clients::Caller;
use crate::delivery::{Ask, Line, PushTo};
use crate::hub::{Done, Fail, Turn, refuse};
use crate::mail::Draft;
use crate::{AskRow, Asker, Hub, Store};
use ecorelay_protocol::link::{Publication, PublicationKind};
use ecorelay_protocol::{
    Address, ErrorCode, HubLine, MessageKind, Name, PeerId, Push, Scope, header_line,
};
use std::sync::Arc;

/// A broadcast as a client asks for it.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) question: String,
    pub(crate) broadcast_id: Option<String>,
    pub(crate) exclude_self: bool,
    pub(crate) scope: Scope,
}

impl Hub {
    pub(crate) fn broadcast(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        broadcast: Broadcast,
    ) -> Done {
        let me = self.me(caller)?;
        let broadcast_id = match broadcast.broadcast_id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => format!("bcast-{me}-{}", self.ids.uuid()),
        };
        let asker = Asker::Mailbox(self.own_mailbox(t, &me)?);
        let except = broadcast.exclude_self.then_some(&me);
        match self.asks.asker(&broadcast_id) {
            Some(other) if *other != asker => {
                return refuse(
                    ErrorCode::BadArgs,
                    "\"broadcast_id\" belongs to another broadcast; choose a new one.",
                );
            }
            Some(_) if self.asks.rows.contains_key(&broadcast_id) => {
                // The asker did not hear the first answer.
                let count = match self.asks.counts.get(&broadcast_id) {
                    Some(count) => *count,
                    None => self.audience(except, broadcast.scope),
                };
                self.answer_broadcast(t, caller, broadcast_id, count);
                return Ok(());
            }
            _ => {}
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
        let row = AskRow {
            broadcast_id: broadcast_id.clone(),
            asker,
            ts: t.now,
        };
        self.keep_ask(t, row)?;
        let ask = Arc::new(Ask {
            from: Address::local(me.clone()),
            question: broadcast.question,
        });
        let mut count = self.put_question(t, &broadcast_id, &ask, except);
        if broadcast.scope == Scope::Mesh {
            count += self.sessions_elsewhere();
            let kind = PublicationKind::Ask;
            self.publish(t, &me, &broadcast_id, kind, &ask.question);
        }
        self.asks.counts.insert(broadcast_id.clone(), count);
        self.answer_broadcast(t, caller, broadcast_id, count);
        Ok(())
    }

    /// Asks the sessions of this hub what one of another hub wants to know. The same question
    /// that comes again is not asked again.
    pub(crate) fn asked_elsewhere(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        author: &PeerId,
        from: Address,
        publication: Publication,
    ) -> Done {
        if self.sessions.is_empty() {
            return Ok(());
        }
        let Some(broadcast_id) = self.asks.id_for(author, &publication.id) else {
            return Ok(());
        };
        let asker = Asker::Remote {
            peer: author.clone(),
            name: publication.from,
            broadcast_id: publication.id,
        };
        let row = AskRow {
            broadcast_id: broadcast_id.clone(),
            asker,
            ts: t.now,
        };
        self.keep_ask(t, row)?;
        let ask = Arc::new(Ask {
            from,
            question: publication.text.unwrap_or_default(),
        });
        if self.held_back(&ask.from).is_some() {
            return self.keep_question(t, &broadcast_id, &ask);
        }
        self.put_question(t, &broadcast_id, &ask, None);
        Ok(())
    }

    /// Puts a question of another hub into the mailboxes of the live sessions, without waking
    /// them.
    fn keep_question(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        broadcast_id: &str,
        ask: &Ask,
    ) -> Done {
        let names: Vec<Name> = self.sessions.keys().cloned().collect();
        for to in names {
            let ask_id = format!("{broadcast_id}:{to}@{}", self.config.hub_id);
            self.keep_unpushed_ask(t, &to, &ask_id, ask)?;
        }
        Ok(())
    }

    /// Pushes a question into the live sessions and returns how many were there.
    fn put_question(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        broadcast_id: &str,
        ask: &Arc<Ask>,
        except: Option<&Name>,
    ) -> usize {
        let names = self.sessions.keys();
        let to: Vec<Name> = names.filter(|n| Some(*n) != except).cloned().collect();
        let from = ask.from.to_string();
        let mut count = 0;
        for to in to {
            // The form tells whose ask it is: see `Asks::asker`.
            let ask_id = match ask.from.hub {
                None => format!("{broadcast_id}:{to}"),
                Some(_) => format!("{broadcast_id}:{to}@{}", self.config.hub_id),
            };
            let mut line = Line::new(|extended| {
                ask_line(&ask.from, &ask.question, &ask_id, broadcast_id, extended)
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
            count += usize::from(self.push(t, &push, &mut line).is_ok());
            self.copy_text_to_watchers(
                t,
                &to,
                MessageKind::Ask,
                None,
                &from,
                &ask.question,
                &ask_id,
            );
        }
        count
    }

    /// Returns how many sessions a broadcast finds.
    fn audience(&self, except: Option<&Name>, scope: Scope) -> usize {
        let here = self.sessions.keys().filter(|n| Some(*n) != except).count();
        match scope {
            Scope::Mesh => here + self.sessions_elsewhere(),
            Scope::Hub => here,
        }
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
