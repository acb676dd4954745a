//! Fetching mail, and what a session is shown when it comes back.

use crate::clients::Caller;
use crate::delivery::TagUse;
use crate::hub::{Done, Turn};
use crate::{Found, Hub, MessageKey, MessageRow, Store, Write};
use ecorelay_protocol::{HubLine, InboxEntry, MessageKind, Name, PushResult, iso_ms, limits};

impl Hub {
    /// Pushes what came while a session was away, oldest first; much of it as one notice.
    pub(crate) fn replay(&mut self, t: &mut Turn<'_, impl Store>, name: &Name) -> Done {
        let Some(conn) = self.sessions.get(name).map(|s| s.conn) else {
            return Ok(());
        };
        let Some(mailbox) = self.mail.of(name) else {
            return Ok(());
        };
        if mailbox.unread > 0 {
            let (id, unread) = (mailbox.row.id, mailbox.unread);
            self.flush_lazy(t)?;
            // One more than is pushed tells whether there are more.
            let most = limits::REPLAY_ON_REGISTER;
            let rows = t.store.unpushed(id, most + 1, limits::QUEUE_BYTES)?;
            for row in rows.iter().take(most) {
                // A session that cannot take it now finds it in its inbox.
                let _ = self.push_message(t, row, None, true);
            }
            if rows.len() > most {
                let text = format!(
                    "Your inbox holds {unread} unread messages, more than were shown here; relay_inbox reads them."
                );
                self.notice(t, conn, text, true);
            }
        }
        self.replay_groups(t, name, conn)
    }

    pub(crate) fn inbox(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        limit: Option<usize>,
        since_id: Option<&str>,
    ) -> Done {
        let me = self.me(caller)?;
        let extended = self.extended(caller.conn);
        let limit = limit.unwrap_or(limits::INBOX_PAGE_DEFAULT);
        let budget = if extended {
            limits::PAGE_BYTES_V6
        } else {
            limits::PAGE_BYTES_V5
        };
        self.flush_lazy(t)?;
        let Some(mailbox) = self.mail.of(&me) else {
            self.answer(
                t,
                caller,
                HubLine::InboxResult {
                    messages: vec![],
                    remaining: 0,
                    req_id: None,
                },
            );
            return Ok(());
        };
        let (id, unread, in_flight) = (mailbox.row.id, mailbox.unread, mailbox.in_flight.clone());
        let mut rows = match since_id {
            None => t.store.unread(id, limit + in_flight.len(), budget)?,
            Some(since) => {
                let seq = match t.store.find(since)? {
                    Some(Found::Message(row)) if row.key.mailbox == id => row.key.seq,
                    _ => 0, // as the reference: an id that is not here means from the oldest
                };
                t.store.after(id, seq, limit, budget)?
            }
        };
        if since_id.is_none() {
            rows.retain(|row| !in_flight.contains(&row.key.seq));
            rows.truncate(limit);
        }
        let messages = page(&rows, budget, extended);
        rows.truncate(messages.len());
        let remaining = match since_id {
            None => unread.saturating_sub(in_flight.len() + rows.len()),
            Some(_) => match rows.last() {
                Some(last) => t.store.count_after(id, last.key.seq)?,
                None => 0,
            },
        };
        let line = HubLine::InboxResult {
            messages,
            remaining,
            req_id: None,
        };
        if extended {
            self.answer(t, caller, line);
            return Ok(());
        }
        // A version "5" client cannot say what reached it: the kernel's word has to do.
        let unread = rows.iter().filter(|row| row.read.is_none());
        let keys: Vec<MessageKey> = unread.map(|row| row.key).collect();
        if let Some(mailbox) = self.mail.get_mut(id) {
            mailbox.in_flight.extend(keys.iter().map(|key| key.seq));
        }
        let tag = self.delivery.tag(TagUse::Page { mailbox: id, keys });
        self.answer_tagged(t, caller, line, Some(tag));
        Ok(())
    }

    pub(crate) fn read(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        msg_ids: &[String],
    ) -> Done {
        let me = self.me(caller)?;
        let mailbox = self.mail.id(&me);
        let mut keys = Vec::new();
        let mut remote = Vec::new();
        for id in msg_ids {
            if let Some(Found::Message(row)) = t.store.find(id)?
                && Some(row.key.mailbox) == mailbox
                && row.read.is_none()
            {
                keys.push(row.key);
                if row.from.hub.is_some() {
                    remote.push(row);
                }
            }
        }
        self.receipts_for_read(t, remote.iter().map(AsRef::as_ref));
        if !keys.is_empty() {
            self.write(t, Write::MarkRead { keys, ts: t.now })?;
        }
        self.answer_ack(t, caller);
        Ok(())
    }
}

/// Returns the entries of a page that fit its budget in JSON; always one where there is one.
fn page(rows: &[MessageRow], budget: usize, extended: bool) -> Vec<InboxEntry> {
    let mut sum = 0;
    let mut entries = Vec::new();
    for row in rows {
        let entry = InboxEntry {
            msg_id: row.msg_id.clone(),
            from: row.from.to_string(),
            text: row.text.clone(),
            reply_to: row.reply_to.clone(),
            ts: iso_ms(row.ts),
            urgent: row.urgent.then_some(true),
            pushed: (extended
                && row
                    .pushed
                    .as_ref()
                    .is_some_and(|p| p.result == PushResult::Handed))
            .then_some(true),
            kind: (extended && row.kind != MessageKind::Message).then_some(row.kind),
            ask_id: row.ask_id.clone().filter(|_| extended),
            group: row
                .group
                .as_ref()
                .filter(|_| extended)
                .map(ToString::to_string),
        };
        sum += serde_json::to_string(&entry).map_or(0, |json| json.len());
        if !entries.is_empty() && sum > budget {
            break;
        }
        entries.push(entry);
    }
    entries
}
