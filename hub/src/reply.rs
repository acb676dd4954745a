//! Answering an ask or a message by its id.

use crate::clients::Caller;
use crate::hub::{Done, Turn};
use crate::mail::Draft;
use crate::{Asker, Found, Hub, MessageRow, Store, Write};
use ecorelay_protocol::{Address, ErrorCode, MessageKind, Refusal};

impl Hub {
    pub(crate) fn reply(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        id: &str,
        text: String,
        msg_id: Option<String>,
    ) -> Done {
        let me = self.me(caller)?;
        let msg_id = msg_id.filter(|_| self.extended(caller.conn));
        let mut draft = Draft {
            kind: MessageKind::Message,
            from: Address::local(me.clone()),
            to: me.clone(),
            text,
            reply_to: Some(id.to_owned()),
            ask_id: None,
            group: None,
            urgent: false,
            msg_id,
        };
        if let Some(asker) = self.asks.asker(id).cloned() {
            draft.kind = MessageKind::Reply;
            return match asker {
                Asker::Mailbox(mailbox) => {
                    let Some(asker) = self.mail.get(mailbox) else {
                        return Err(unknown_ask(
                            "The one who asked is forgotten; nobody can be answered.",
                        )
                        .into());
                    };
                    draft.to = asker.row.name.clone();
                    draft.ask_id = Some(id.to_owned());
                    let to = Address::local(draft.to.clone());
                    self.accept_reply(t, caller, draft, to)
                }
                Asker::Remote {
                    peer,
                    name,
                    broadcast_id,
                } => {
                    let to = Address {
                        name: name.clone(),
                        hub: self.mesh.hub_id(&peer).cloned(),
                    };
                    draft.to = name;
                    draft.ask_id = Some(format!("{broadcast_id}:{me}@{}", self.config.hub_id));
                    self.accept_reply(t, caller, draft, to)
                }
            };
        }
        match t.store.find(id)? {
            Some(Found::Message(row)) if Some(row.key.mailbox) == self.mail.id(&me) => {
                draft.to = row.from.name.clone();
                self.reply_to_message(t, caller, &row, draft)
            }
            Some(Found::Gone(gone)) if gone.to.name == me => {
                draft.to = gone.from.name.clone();
                self.accept_reply(t, caller, draft, gone.from)
            }
            Some(Found::Group(_)) => {
                Err(unknown_ask("That is a group message; answer in the group with relay_group_send.").into())
            }
            Some(_) => Err(unknown_ask("That message was not sent to you.").into()),
            None => Err(unknown_ask(
                "No ask and no message to you has this id. relay_inbox shows the ids; room messages are answered with relay_room.",
            )
            .into()),
        }
    }

    /// Takes a reply in. A version "5" client that gave no request id waits for no answer: the
    /// reference gives none, and a client that matches answers by their order would take it for
    /// the answer to something else.
    fn accept_reply(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        draft: Draft,
        to: Address,
    ) -> Done {
        if to.hub.is_some() {
            return self.accept_to(t, caller, draft, to);
        }
        if caller.req_id.is_some() || self.extended(caller.conn) {
            return self.accept(t, caller, draft);
        }
        let row = self.store_message(t, draft)?;
        // Not pushed: it is in the mailbox.
        let _ = self.push_message(t, &row, None, false);
        Ok(())
    }

    /// Answers a message that is still in the mailbox: it is read and answered by that.
    fn reply_to_message(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        row: &MessageRow,
        mut draft: Draft,
    ) -> Done {
        let by = draft
            .msg_id
            .clone()
            .unwrap_or_else(|| format!("m-{}", self.ids.uuid()));
        draft.msg_id = Some(by.clone());
        self.accept_reply(t, caller, draft, row.from.clone())?;
        if row.answered.is_none() {
            self.write(
                t,
                Write::MarkAnswered {
                    key: row.key,
                    ts: t.now,
                    by,
                },
            )?;
        }
        if row.read.is_none() {
            self.write(
                t,
                Write::MarkRead {
                    keys: vec![row.key],
                    ts: t.now,
                },
            )?;
            self.receipts_for_read(t, std::iter::once(row));
        }
        Ok(())
    }
}

fn unknown_ask(message: &str) -> Refusal {
    Refusal::new(ErrorCode::UnknownAsk, message)
}
