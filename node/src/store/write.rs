//! The changes: one `Write`, one or a few statements.

use super::SqliteStore;
use super::error::store_error;
use super::rows::{int, kind_code, place, range, result_code};
use ecorelay_hub::{MailboxId, MailboxRow, MessageKey, MessageRow, Pushed, StoreError, Write};
use ecorelay_protocol::Address;
use rusqlite::{Params, params};

/// Which of a mailbox's messages leave it.
const READ: &str = "SELECT id FROM messages INDEXED BY messages_read \
     WHERE read IS NOT NULL AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";
const HANDED: &str = "SELECT id FROM messages INDEXED BY messages_unread \
     WHERE read IS NULL AND push_result = 0 AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";
const ANY: &str = "SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";

impl SqliteStore {
    pub(super) fn apply(&mut self, write: Write) -> Result<usize, StoreError> {
        self.touch()?;
        match write {
            Write::PutMailbox(row) => self.put_mailbox(&row),
            Write::DeleteMailbox { id, ts } => {
                self.run("DELETE FROM mailboxes WHERE id = ?1", [id.0])?;
                return self.evict(ANY, id, usize::MAX, ts);
            }
            Write::AppendMessage(row) => self.append(&row),
            Write::MarkPushed { key, pushed } => self.mark_pushed(key, &pushed),
            Write::MarkRead { keys, ts } => return self.mark_read(&keys, ts),
            Write::MarkAnswered { key, ts, by } => self.run(
                "UPDATE messages SET answered = ?2, answered_with = ?3 WHERE id = ?1",
                params![at(key)?, int(ts), by],
            ),
            Write::EvictRead { mailbox, count, ts } => {
                return self.evict(READ, mailbox, count, ts);
            }
            Write::EvictHanded { mailbox, count, ts } => {
                return self.evict(HANDED, mailbox, count, ts);
            }
            Write::MoveMessages {
                from,
                to,
                first_seq,
            } => return self.move_messages(from, to, first_seq),
            Write::RenameAuthor { old, new } => self.rename_author(&old, &new),
            Write::ForgetGone { before } => {
                self.run("DELETE FROM gone WHERE left_at < ?1", [int(before)])
            }
            Write::PutAsk(row) => self.put_ask(&row),
            Write::DeleteAsk { broadcast_id } => {
                self.run("DELETE FROM asks WHERE broadcast_id = ?1", [broadcast_id])
            }
            Write::PutMesh(row) => self.put_mesh(&row),
            Write::PutHub(row) => self.put_hub(&row),
            Write::DeleteHub(peer) => self.run("DELETE FROM hubs WHERE peer = ?1", [peer.as_str()]),
            Write::PutRoster {
                subject,
                revoked,
                entry,
            } => self.put_roster(&subject, revoked, &entry),
            Write::DeleteRoster {
                subject,
                revoked,
                by,
            } => self.delete_roster(&subject, revoked, &by),
            Write::ClearRoster => self.run("DELETE FROM roster", []),
            Write::PutTicket(row) => self.put_ticket(&row),
            Write::DeleteTicket(id) => self.delete_ticket(&id),
            Write::SetJoining(ticket) => self.set_joining(ticket.as_deref()),
            Write::SetRendezvous(entries) => self.set_rendezvous(&entries),
            Write::AppendOutgoing(row) => self.append_outgoing(&row),
            Write::MarkOutgoing {
                msg_id,
                acked,
                state,
                ts,
                detail,
                refused,
            } => self.mark_outgoing(&msg_id, acked, state, ts, detail.as_deref(), refused),
            Write::ForgetOutgoing { before } => self.forget_outgoing(before),
            write => self.apply_group(write),
        }
        .map(|()| 0)
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.count(sql, params).map(drop)
    }

    /// Runs a statement and returns how many rows it changed.
    fn count(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(store_error)
    }

    /// Marks messages as read and returns how many were unread.
    fn mark_read(&self, keys: &[MessageKey], ts: u64) -> Result<usize, StoreError> {
        let mut fresh = 0;
        for key in keys {
            fresh += self.count(
                "UPDATE messages SET read = ?2 WHERE id = ?1 AND read IS NULL",
                [at(*key)?, int(ts)],
            )?;
        }
        Ok(fresh)
    }

    fn put_mailbox(&self, row: &MailboxRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO mailboxes VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.id.0,
                row.name.as_str(),
                int(row.created),
                row.owned.map(int),
                int(row.last_seen),
                row.renamed_to.as_ref().map(|name| name.as_str()),
            ],
        )?;
        self.note_highest("last_mailbox", row.id.0)
    }

    pub(super) fn note_highest(&self, key: &str, id: u32) -> Result<(), StoreError> {
        self.run(
            "UPDATE meta SET value = ?2 WHERE key = ?1 AND value < ?2",
            params![key, id],
        )
    }

    fn append(&self, row: &MessageRow) -> Result<(), StoreError> {
        let pushed = row.pushed.as_ref();
        let answered = row.answered.as_ref();
        self.run(
            "INSERT INTO messages VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            params![
                at(row.key)?,
                row.msg_id,
                kind_code(row.kind),
                row.from.to_string(),
                row.to.to_string(),
                int(row.ts),
                row.urgent,
                row.read.map(int),
                pushed.map(|p| int(p.ts)),
                pushed.map(|p| result_code(p.result)),
                pushed.map(|p| p.path.as_str()),
                pushed.and_then(|p| p.detail.as_deref()),
                answered.map(|(ts, _)| int(*ts)),
                answered.map(|(_, by)| by.as_str()),
                row.reply_to,
                row.ask_id,
                row.group.as_ref().map(|name| name.as_str()),
                row.text,
            ],
        )
    }

    fn mark_pushed(&self, key: MessageKey, pushed: &Pushed) -> Result<(), StoreError> {
        self.run(
            "UPDATE messages SET pushed = ?2, push_result = ?3, push_path = ?4, push_detail = ?5 \
             WHERE id = ?1",
            params![
                at(key)?,
                int(pushed.ts),
                result_code(pushed.result),
                pushed.path,
                pushed.detail,
            ],
        )
    }

    /// Removes the first `count` messages that `which` finds; their ids go to the gone ones.
    fn evict(
        &self,
        which: &str,
        mailbox: MailboxId,
        count: usize,
        ts: u64,
    ) -> Result<usize, StoreError> {
        let ids = self.ids(which, mailbox, count)?;
        for id in &ids {
            self.run(
                "INSERT OR REPLACE INTO gone \
                 SELECT msg_id, kind, sender, recipient, ts, read, ?2, push_result IS 0 \
                 FROM messages WHERE id = ?1",
                [*id, int(ts)],
            )?;
            self.run("DELETE FROM messages WHERE id = ?1", [*id])?;
        }
        Ok(ids.len())
    }

    fn move_messages(
        &self,
        from: MailboxId,
        to: MailboxId,
        first_seq: u32,
    ) -> Result<usize, StoreError> {
        let ids = self.ids(ANY, from, usize::MAX)?;
        for (id, seq) in ids.iter().zip(u64::from(first_seq)..) {
            self.run(
                "UPDATE messages SET id = ?2 WHERE id = ?1",
                [*id, place(to.0, seq)?],
            )?;
        }
        Ok(ids.len())
    }

    fn ids(&self, which: &str, mailbox: MailboxId, count: usize) -> Result<Vec<i64>, StoreError> {
        let (first, last) = range(mailbox.0)?;
        let count = i64::try_from(count).unwrap_or(-1);
        let mut statement = self.conn.prepare_cached(which).map_err(store_error)?;
        let ids = statement
            .query_map([first, last, count], |row| row.get(0))
            .map_err(store_error)?;
        ids.collect::<Result<_, _>>().map_err(store_error)
    }

    fn rename_author(&self, old: &Address, new: &Address) -> Result<(), StoreError> {
        let names = [old.to_string(), new.to_string()];
        for sql in [
            "UPDATE messages SET sender = ?2 WHERE sender = ?1",
            "UPDATE gone SET sender = ?2 WHERE sender = ?1",
        ] {
            self.run(sql, [&names[0], &names[1]])?;
        }
        // Only sessions of this hub have messages in its outboxes.
        if old.hub.is_none() && new.hub.is_none() {
            self.rename_sender(&old.name, &new.name)?;
        }
        Ok(())
    }
}

fn at(key: MessageKey) -> Result<i64, StoreError> {
    place(key.mailbox.0, key.seq.into())
}
