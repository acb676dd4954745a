//! What became of a push: the word of the client, of the kernel, or of nobody.

use crate::delivery::{TagUse, is_told_once};
use crate::hub::{Done, Fail, Turn};
use crate::{ConnId, Effect, Found, Hub, MessageRow, Pushed, Store, Tag, Write};
use ecorelay_protocol::{HubLine, PushResult, limits};
use std::sync::Arc;

/// Messages among which an ask that was handed late is looked for: a channel holds no more.
const LATE_ASKS: usize = 64;

impl Hub {
    /// A tagged line was written or dropped.
    pub(crate) fn flushed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        tag: Tag,
        ok: bool,
    ) {
        let Some(used) = self.delivery.tags.remove(&tag) else {
            return;
        };
        let result = match used {
            TagUse::Push { id, confirms } if ok && confirms => {
                self.settle(t, conn, &id, PushResult::Handed, "socket", None)
            }
            TagUse::Push { .. } | TagUse::Copy if ok => Ok(()),
            TagUse::Copy => Ok(()),
            TagUse::Push { id, .. } => {
                if let Some(session) = self.session_of(conn) {
                    session.lagging = true;
                    session.missed += 1;
                }
                let why = "the session reads too slowly".to_owned();
                self.settle(t, conn, &id, PushResult::Refused, "socket", Some(why))
            }
            TagUse::Page { mailbox, keys } => {
                if let Some(mailbox) = self.mail.get_mut(mailbox) {
                    for key in &keys {
                        mailbox.in_flight.remove(&key.seq);
                    }
                }
                if ok {
                    self.write(t, Write::MarkRead { keys, ts: t.now }).map(drop)
                } else {
                    Ok(())
                }
            }
            TagUse::Cursor { group, reader, to } => self.move_cursor(t, group, &reader, to, ok),
        };
        if let Err(Fail::Store(error)) = result {
            self.note_failure(error);
        }
    }

    /// A session that read too slowly has caught up.
    pub(crate) fn drained(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        let extended = self.extended(conn);
        let Some(session) = self.session_of(conn) else {
            return;
        };
        session.lagging = false;
        let missed = std::mem::take(&mut session.missed);
        if extended && missed > 0 {
            let text = format!(
                "Messages came faster than this session read them: {missed} were not pushed. relay_inbox has the direct ones."
            );
            self.notice(t, conn, text, false);
        }
    }

    /// Notes what a push path says of one push.
    pub(crate) fn settle(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        id: &str,
        result: PushResult,
        path: &str,
        detail: Option<String>,
    ) -> Done {
        let Some(awaited) = self.delivery.awaiting.remove(&(conn, id.into())) else {
            return self.settle_late(t, conn, id, result, path, detail);
        };
        if let Some(session) = self.sessions.get_mut(&awaited.to) {
            session.unconfirmed = session.unconfirmed.saturating_sub(1);
        }
        if let Some(pending) = awaited.pending
            && let Some(waiting) = self.delivery.pending.get_mut(&pending)
        {
            waiting.outstanding = waiting.outstanding.saturating_sub(1);
            waiting.handed += usize::from(result == PushResult::Handed);
            waiting.word = Some((result, path.to_owned(), detail.clone()));
            if waiting.outstanding == 0 {
                self.finish(t, pending);
            }
        }
        self.receipt_for_push(t, id, result, detail.as_deref());
        if let (Some(ask), true) = (awaited.ask, result != PushResult::Handed) {
            return self.keep_unpushed_ask(t, &awaited.to, id, &ask);
        }
        let Some(key) = awaited.key else {
            return Ok(());
        };
        let pushed = Pushed {
            ts: t.now,
            result,
            path: path.to_owned(),
            detail,
        };
        self.write_lazily(t, Write::MarkPushed { key, pushed })?;
        if awaited.reads && result == PushResult::Handed {
            self.write_lazily(
                t,
                Write::MarkRead {
                    keys: vec![key],
                    ts: t.now,
                },
            )?;
        }
        Ok(())
    }

    /// Notes what a push path says of a message that it refused before, or had not said
    /// anything of for long: it waited in the session's channel until it could be handed.
    fn settle_late(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        id: &str,
        result: PushResult,
        path: &str,
        detail: Option<String>,
    ) -> Done {
        let name = self.conns.get(&conn).and_then(|c| c.session.as_ref());
        let Some(mailbox) = name.and_then(|name| self.mail.id(name)) else {
            return Ok(());
        };
        self.flush_lazy(t)?;
        let row = match t.store.find(id)? {
            Some(Found::Message(row)) => Some(*row),
            // An ask that was refused is kept under an id of its own.
            None => {
                let mut rows = t
                    .store
                    .unpushed(mailbox, LATE_ASKS, limits::QUEUE_BYTES)?
                    .into_iter();
                rows.find(|row| row.ask_id.as_deref() == Some(id))
            }
            Some(_) => None,
        };
        let handed = |row: &MessageRow| {
            let pushed = row.pushed.as_ref();
            pushed.is_some_and(|pushed| pushed.result == PushResult::Handed)
        };
        let Some(row) = row.filter(|row| row.key.mailbox == mailbox && !handed(row)) else {
            return Ok(()); // confirmed before, or never pushed to this session
        };
        let key = row.key;
        let pushed = Pushed {
            ts: t.now,
            result,
            path: path.to_owned(),
            detail,
        };
        self.write_lazily(t, Write::MarkPushed { key, pushed })?;
        if result != PushResult::Handed {
            return Ok(());
        }
        self.receipt_for_late_push(t, &row);
        if row.read.is_none() && is_told_once(row.kind) {
            let keys = vec![key];
            self.write_lazily(t, Write::MarkRead { keys, ts: t.now })?;
        }
        Ok(())
    }

    /// The session behind a connection is gone: nothing on its way to it will be confirmed.
    pub(crate) fn settle_all(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        let from = (conn, Arc::from(""));
        let ids: Vec<Arc<str>> = self
            .delivery
            .awaiting
            .range(from..)
            .take_while(|((c, _), _)| *c == conn)
            .map(|((_, id), _)| id.clone())
            .collect();
        for id in ids {
            let why = Some("the session ended".to_owned());
            if let Err(Fail::Store(error)) = self.settle(t, conn, &id, PushResult::Refused, "", why)
            {
                self.note_failure(error);
            }
        }
    }

    /// Gives up on confirmations that are long overdue.
    pub(crate) fn expire_awaiting(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let overdue = self
            .delivery
            .awaiting
            .iter()
            .filter(|(_, a)| a.expires <= t.now);
        let overdue: Vec<_> = overdue.map(|(key, _)| key.clone()).collect();
        for (conn, id) in overdue {
            let why = Some("the session never confirmed it".to_owned());
            self.settle(t, conn, &id, PushResult::Unknown, "", why)?;
        }
        Ok(())
    }

    pub(crate) fn session_of(&mut self, conn: ConnId) -> Option<&mut crate::clients::Session> {
        let name = self.conns.get(&conn)?.session.as_ref()?;
        self.sessions.get_mut(name)
    }

    /// Tells a version "6" session something in the hub's own name.
    pub(crate) fn notice(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        text: String,
        after: bool,
    ) {
        let line = HubLine::Notice {
            msg_id: format!("n-{}", self.ids.uuid()),
            text,
        };
        let effect = Effect::Line {
            conn,
            bytes: line.encode().into(),
            tag: None,
            may_drop: false,
        };
        if after {
            &mut t.effects.after
        } else {
            &mut t.effects.now
        }
        .push(effect);
    }
}
