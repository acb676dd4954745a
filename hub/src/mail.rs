//! Direct messages: accept, push, fetch, answer.

use crate::clients::Caller;
use crate::delivery::{Finish, Line, PushTo, is_told_once, send_ack};
use crate::hub::{Done, Turn, refuse};
use crate::{Found, Hub, MailboxId, MessageRow, Store, Write};
use ecorelay_protocol::{
    Address, DeliveryState, ErrorCode, HubLine, MessageKind, Name, Push, PushResult, Received,
    SendMessage, header_line, iso_ms, unpaired_header_line,
};

/// A message that a session wants sent.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: MessageKind,
    pub(crate) from: Address,
    pub(crate) to: Name,
    pub(crate) text: String,
    pub(crate) reply_to: Option<String>,
    pub(crate) ask_id: Option<String>,
    pub(crate) group: Option<Name>,
    pub(crate) urgent: bool,
    /// Chosen by the sender, so that it can send again without harm.
    pub(crate) msg_id: Option<String>,
}

impl Hub {
    pub(crate) fn send(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        message: SendMessage,
    ) -> Done {
        let from = self.me(caller)?;
        let to = Address::parse(&message.to, "\"to\"")?.relative_to(&self.config.hub_id);
        let draft = Draft {
            kind: MessageKind::Message,
            from: Address::local(from),
            to: to.name.clone(),
            text: message.text,
            reply_to: message.reply_to,
            ask_id: None,
            group: None,
            urgent: message.urgent,
            msg_id: message.msg_id.filter(|_| self.extended(caller.conn)),
        };
        self.accept_to(t, caller, draft, to)
    }

    /// Takes a message in for a peer on this hub or on another.
    pub(crate) fn accept_to(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        draft: Draft,
        to: Address,
    ) -> Done {
        if to.hub.is_none() {
            return self.accept(t, caller, draft);
        }
        if let Some(id) = &draft.msg_id
            && t.store.find(id)?.is_some()
        {
            self.flush_lazy(t)?;
            if let Some(found) = t.store.find(id)? {
                return self.answer_again(t, caller, &draft, found);
            }
        }
        self.send_remote(t, caller, draft, to)
    }

    /// Takes a message in, pushes it if its recipient is live, and answers the sender.
    pub(crate) fn accept(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        draft: Draft,
    ) -> Done {
        let extended = self.extended(caller.conn);
        if let Some(id) = &draft.msg_id
            && t.store.find(id)?.is_some()
        {
            self.flush_lazy(t)?;
            if let Some(found) = t.store.find(id)? {
                return self.answer_again(t, caller, &draft, found);
            }
        }
        let known = self.mail.is_known(&draft.to);
        let row = self.store_message(t, draft)?;
        let msg_id = row.msg_id.clone();
        let pending = self.new_pending();
        match self.push_message(t, &row, Some(pending), false) {
            Ok(()) => self.await_pushes(t, caller, pending, 1, Finish::Send { msg_id }),
            Err(_) if !known => {
                let detail = self.describe_unknown(&row.to.name);
                self.answer(
                    t,
                    caller,
                    send_ack(msg_id, DeliveryState::Unknown, Some(detail), extended),
                );
            }
            Err(why) => {
                self.answer(
                    t,
                    caller,
                    send_ack(msg_id, DeliveryState::Stored, Some(why), extended),
                );
            }
        }
        Ok(())
    }

    /// Answers a send whose message is here already: the sender did not hear the first answer.
    fn answer_again(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        draft: &Draft,
        found: Found,
    ) -> Done {
        // Names may have changed since; the id and the text have not.
        let (same, state) = match &found {
            Found::Message(row) => (row.text == draft.text, self.state_of(row)),
            Found::Gone(gone) => (true, gone.state()),
            // The text of a message that arrived is no longer here.
            Found::Outgoing(row) if row.refused => (false, row.state),
            Found::Outgoing(row) => (row.acked.is_some() || row.text == draft.text, row.state),
            Found::Group(_) => (false, DeliveryState::Stored),
        };
        if !same {
            return refuse(
                ErrorCode::BadArgs,
                "\"msg_id\" belongs to another message; leave it out.",
            );
        }
        let id = draft.msg_id.clone().unwrap_or_default();
        let detail = Some("The hub had this message already; it was not sent twice.".to_owned());
        let extended = self.extended(caller.conn);
        self.answer(t, caller, send_ack(id, state, detail, extended));
        Ok(())
    }

    /// Puts a message into its mailbox.
    pub(crate) fn store_message(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        draft: Draft,
    ) -> Done<MessageRow> {
        let mailbox = self.mailbox_for(t, &draft.to)?;
        self.make_room(t, mailbox)?;
        let msg_id = match draft.msg_id {
            Some(id) => id,
            None => format!("m-{}", self.ids.uuid()),
        };
        let row = MessageRow {
            key: self.next_key(mailbox),
            msg_id,
            kind: draft.kind,
            from: draft.from,
            to: Address::local(draft.to),
            text: draft.text,
            reply_to: draft.reply_to,
            ask_id: draft.ask_id,
            group: draft.group,
            ts: t.now,
            urgent: draft.urgent,
            pushed: None,
            read: None,
            answered: None,
        };
        self.write(t, Write::AppendMessage(Box::new(row.clone())))?;
        self.status_shown(t);
        self.copy_to_watchers(t, &row);
        Ok(row)
    }

    /// Pushes a stored message, within the sender's budgets.
    pub(crate) fn push_message(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        row: &MessageRow,
        pending: Option<u64>,
        again: bool,
    ) -> Result<(), String> {
        let to = match self.mail.get(row.key.mailbox) {
            Some(mailbox) => mailbox.row.name.clone(),
            None => row.to.name.clone(),
        };
        if let Some(why) = self.held_back(&row.from) {
            return Err(why);
        }
        let live = self.sessions.contains_key(&to);
        if live && !again {
            self.within_budget(&row.from, &to, t.now)?;
        }
        if !live {
            let last = self.mail.of(&to).map_or(t.now, |m| m.row.last_seen);
            return Err(format!(
                "\"{to}\" is not connected (last seen {}); it gets the message when it is back.",
                iso_ms(last)
            ));
        }
        let push = PushTo {
            to: &to,
            id: match (&row.ask_id, row.kind) {
                (Some(ask_id), MessageKind::Ask) => ask_id,
                _ => &row.msg_id,
            },
            key: Some(row.key),
            reads: is_told_once(row.kind),
            ask: None,
            pending,
            after: again,
        };
        let hub = row.from.hub.as_ref();
        let vouched = hub.is_none_or(|hub| self.mesh.peer_of(hub).is_some());
        self.push(
            t,
            &push,
            &mut Line::new(|extended| push_line(row, vouched, extended)),
        )
    }

    /// Returns where a message is.
    pub(crate) fn state_of(&self, row: &MessageRow) -> DeliveryState {
        if row.read.is_some() {
            DeliveryState::Read
        } else if row
            .pushed
            .as_ref()
            .is_some_and(|p| p.result == PushResult::Handed)
        {
            DeliveryState::Delivered
        } else if self.owned(row.key.mailbox) {
            DeliveryState::Stored
        } else {
            DeliveryState::Unknown
        }
    }

    fn owned(&self, mailbox: MailboxId) -> bool {
        self.mail
            .get(mailbox)
            .is_some_and(|m| m.row.owned.is_some())
    }

    /// Returns what a sender is told of a name that was never seen.
    pub(crate) fn describe_unknown(&self, name: &Name) -> String {
        if let Some(new) = self.mail.of(name).and_then(|m| m.row.renamed_to.as_ref()) {
            return format!(
                "The session that was \"{name}\" is now called \"{new}\". This message waits 7 days for a new \"{name}\"."
            );
        }
        let near = self.mail.near_matches(name);
        let near: Vec<String> = near.iter().map(|name| format!("\"{name}\"")).collect();
        let hint = match near.as_slice() {
            [] => "relay_peers lists who is here.".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        format!(
            "No session called \"{name}\" has been here; {hint} The message waits 7 days for its first owner."
        )
    }
}

/// Returns the line that shows a message to its live recipient.
/// `vouched`: its sender is on this hub, or on one that has proven its key.
fn push_line(row: &MessageRow, vouched: bool, extended: bool) -> HubLine {
    if let (MessageKind::Ask, Some(ask_id)) = (row.kind, &row.ask_id) {
        let broadcast_id = crate::asks::broadcast_of(ask_id);
        return crate::asks::ask_line(&row.from, &row.text, ask_id, broadcast_id, extended);
    }
    let header_id = row
        .ask_id
        .as_deref()
        .filter(|_| row.kind == MessageKind::Reply)
        .unwrap_or(&row.msg_id);
    let place = row.group.as_ref().map(Name::as_str);
    let from = row.from.to_string();
    let push = Push {
        header: extended.then(|| match vouched {
            true => header_line(row.kind, &from, place, header_id, row.urgent),
            false => unpaired_header_line(&from, header_id, row.urgent),
        }),
        kind: extended.then_some(row.kind),
    };
    let received = Received {
        msg_id: row.msg_id.clone(),
        origin_hub: row.from.hub.as_ref().map(ToString::to_string),
        from,
        text: row.text.clone(),
        ts: iso_ms(row.ts),
        urgent: row.urgent.then_some(true),
        push,
    };
    match (row.kind, &row.ask_id, &row.group) {
        (MessageKind::Reply, Some(ask_id), _) => {
            let broadcast_id = crate::asks::broadcast_of(ask_id).to_owned();
            HubLine::IncomingReply {
                received,
                ask_id: ask_id.clone(),
                thread_id: broadcast_id.clone(),
                broadcast_id,
            }
        }
        (_, _, Some(group)) => HubLine::IncomingGroupMsg {
            group: group.to_string(),
            received,
        },
        _ => HubLine::IncomingMessage {
            received,
            reply_to: row.reply_to.clone(),
        },
    }
}
