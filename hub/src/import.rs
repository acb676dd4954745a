//! Taking over what an EcoRelay 0.8–1.0 hub kept. Repeating an import changes nothing.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, MessageRow, Store, Write};
use ecorelay_protocol::{
    Address, ErrorCode, HubLine, ImportGroup, ImportMailbox, ImportMessage, MessageKind, Name,
    limits,
};

impl Hub {
    pub(crate) fn import_mailbox(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        import: ImportMailbox,
    ) -> Done {
        let owner = Name::parse(&import.owner, "The owner's name")?;
        // All senders first: a refusal leaves nothing half taken over.
        let senders = import.messages.iter();
        let senders = senders.map(|message| Address::parse(&message.from, "A sender's name"));
        let senders: Vec<Address> = senders.collect::<Result<_, _>>()?;
        let mailbox = self.own_mailbox(t, &owner)?;
        self.save_mailboxes(t)?;
        let (mut taken, mut known) = (0, 0);
        for (message, from) in import.messages.into_iter().zip(senders) {
            if message.msg_id.len() > limits::ID_CHARS || message.text.len() > limits::TEXT_BYTES {
                continue;
            }
            if t.store.find(&message.msg_id)?.is_some() {
                known += 1;
                continue;
            }
            self.make_room(t, mailbox)?;
            let key = self.next_key(mailbox);
            let read = message.read.then_some(t.now);
            let row = imported(key, &owner, from, message);
            self.write(t, Write::AppendMessage(Box::new(row)))?;
            if let Some(ts) = read {
                self.write(
                    t,
                    Write::MarkRead {
                        keys: vec![key],
                        ts,
                    },
                )?;
            }
            taken += 1;
        }
        self.answer(
            t,
            caller,
            HubLine::ImportResult {
                taken,
                known,
                req_id: None,
            },
        );
        Ok(())
    }

    pub(crate) fn import_group(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        import: ImportGroup,
    ) -> Done {
        let name = Name::parse(&import.group, "The group's name")?;
        if import.members.len() > limits::GROUP_MEMBERS
            || import.messages.len() > limits::GROUP_HISTORY
        {
            return refuse(
                ErrorCode::BadArgs,
                "A group has at most 256 members and 500 entries.",
            );
        }
        if self.has_group(&name) {
            self.answer(
                t,
                caller,
                HubLine::ImportResult {
                    taken: 0,
                    known: import.messages.len(),
                    req_id: None,
                },
            );
            return Ok(());
        }
        let taken = self.adopt_import(t, name, import)?;
        self.answer(
            t,
            caller,
            HubLine::ImportResult {
                taken,
                known: 0,
                req_id: None,
            },
        );
        Ok(())
    }
}

fn imported(
    key: crate::MessageKey,
    owner: &Name,
    from: Address,
    message: ImportMessage,
) -> MessageRow {
    MessageRow {
        key,
        from,
        to: Address::local(owner.clone()),
        msg_id: message.msg_id,
        kind: MessageKind::Message,
        text: message.text,
        reply_to: message.reply_to,
        ask_id: None,
        group: None,
        ts: message.ts,
        urgent: message.urgent,
        pushed: None,
        read: None,
        answered: None,
    }
}
