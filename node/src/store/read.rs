//! The reads: pages bounded by count and by bytes of text.

use super::SqliteStore;
use super::error::store_error;
use super::rows::{
    gone, gone_columns, group_entry, group_entry_columns, low, message, message_columns, number,
    optional_number, optional_word, place, range, unsigned, word,
};
use ecorelay_hub::{
    Durable, EntryPlace, Found, GroupChangeRow, GroupEntryRow, GroupId, MailboxId, MailboxLoad,
    MailboxRow, Member, MessageRow, OutgoingRow, Store, StoreError, Write,
};
use ecorelay_protocol::PeerId;
use rusqlite::{OptionalExtension as _, Params, Row};

impl SqliteStore {
    /// Returns the one row a query has.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, row).optional())
            .map_err(store_error)
    }

    /// Returns all rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map(params, row).map_err(store_error)?;
        rows.collect::<Result<_, _>>().map_err(store_error)
    }

    /// Returns the first rows of a query: no more text than `max_bytes`, but at least one.
    pub(super) fn page<T>(
        &self,
        sql: &str,
        params: impl Params,
        max_bytes: usize,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map(params, row).map_err(store_error)?;
        let (mut page, mut sum) = (Vec::new(), 0);
        for row in rows {
            let row = row.map_err(store_error)?;
            sum += bytes(&row);
            if !page.is_empty() && sum > max_bytes {
                break;
            }
            page.push(row);
        }
        Ok(page)
    }

    fn mailbox_load(&self, row: MailboxRow) -> Result<MailboxLoad, StoreError> {
        let (first, last) = range(row.id.0)?;
        let last_place = self.one(
            "SELECT max(id) FROM messages WHERE id BETWEEN ?1 AND ?2",
            [first, last],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        let counted = |sql| Ok(self.one(sql, [first, last], |r| number(r, 0))?.unwrap_or(0));
        let unread = counted(
            "SELECT count(*) FROM messages INDEXED BY messages_unread \
             WHERE read IS NULL AND id BETWEEN ?1 AND ?2",
        )?;
        let read = counted(
            "SELECT count(*) FROM messages INDEXED BY messages_read \
             WHERE read IS NOT NULL AND id BETWEEN ?1 AND ?2",
        )?;
        let oldest_unread = self.one(
            "SELECT ts FROM messages INDEXED BY messages_unread \
             WHERE read IS NULL AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
            [first, last],
            |row| number(row, 0),
        )?;
        Ok(MailboxLoad {
            row,
            last_seq: last_place.flatten().map_or(0, low),
            unread: unread as usize,
            read: read as usize,
            oldest_unread,
        })
    }

    fn highest(&self, key: &str) -> Result<u32, StoreError> {
        let value = self.one("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get::<_, u32>(0)
        })?;
        Ok(value.unwrap_or(0))
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Durable, StoreError> {
        self.touch()?;
        let mailboxes = self.all(
            "SELECT id, name, created, owned, last_seen, renamed_to FROM mailboxes ORDER BY id",
            [],
            |row| {
                Ok(MailboxRow {
                    id: MailboxId(row.get(0)?),
                    name: word(row, 1)?,
                    created: number(row, 2)?,
                    owned: optional_number(row, 3)?,
                    last_seen: number(row, 4)?,
                    renamed_to: optional_word(row, 5)?,
                })
            },
        )?;
        Ok(Durable {
            mailboxes: mailboxes
                .into_iter()
                .map(|row| self.mailbox_load(row))
                .collect::<Result<_, _>>()?,
            groups: self.groups()?,
            asks: self.asks()?,
            mesh: self.mesh()?,
            hubs: self.hubs()?,
            roster: self.roster()?,
            tickets: self.tickets()?,
            joining: self.joining()?,
            rendezvous: self.rendezvous()?,
            outboxes: self.outboxes()?,
            last_mailbox: self.highest("last_mailbox")?,
            last_group: self.highest("last_group")?,
        })
    }

    fn write(&mut self, write: Write) -> Result<usize, StoreError> {
        self.apply(write)
    }

    fn find(&mut self, msg_id: &str) -> Result<Option<Found>, StoreError> {
        self.touch()?;
        let found = self.one(
            concat!(
                "SELECT ",
                message_columns!(),
                " FROM messages WHERE msg_id = ?1"
            ),
            [msg_id],
            message,
        )?;
        if let Some(row) = found {
            return Ok(Some(Found::Message(Box::new(row))));
        }
        let found = self.one(
            concat!("SELECT ", gone_columns!(), " FROM gone WHERE msg_id = ?1"),
            [msg_id],
            gone,
        )?;
        if let Some(row) = found {
            return Ok(Some(Found::Gone(row)));
        }
        if let Some(row) = self.find_outgoing(msg_id)? {
            return Ok(Some(Found::Outgoing(Box::new(row))));
        }
        let found = self.one(
            concat!(
                "SELECT ",
                group_entry_columns!(),
                " FROM group_entries WHERE msg_id = ?1"
            ),
            [msg_id],
            group_entry,
        )?;
        Ok(found.map(Found::Group))
    }

    fn unread(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.touch()?;
        let (first, last) = range(mailbox.0)?;
        let sql = concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages INDEXED BY messages_unread \
             WHERE read IS NULL AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3"
        );
        let params = [first, last, rows_limit(limit)];
        self.page(sql, params, max_bytes, message, |m| m.text.len())
    }

    fn after(
        &mut self,
        mailbox: MailboxId,
        seq: u32,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.touch()?;
        let (_, last) = range(mailbox.0)?;
        let sql = concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3"
        );
        let params = [place(mailbox.0, seq.into())?, last, rows_limit(limit)];
        self.page(sql, params, max_bytes, message, |m| m.text.len())
    }

    fn count_after(&mut self, mailbox: MailboxId, seq: u32) -> Result<usize, StoreError> {
        self.touch()?;
        let (_, last) = range(mailbox.0)?;
        let from = place(mailbox.0, seq.into())?;
        // Two counts over the two small indexes, instead of one over the table with its texts.
        let mut sum = 0;
        for sql in [
            "SELECT count(*) FROM messages INDEXED BY messages_unread \
             WHERE read IS NULL AND id > ?1 AND id <= ?2",
            "SELECT count(*) FROM messages INDEXED BY messages_read \
             WHERE read IS NOT NULL AND id > ?1 AND id <= ?2",
        ] {
            sum += self
                .one(sql, [from, last], |row| row.get(0).map(unsigned))?
                .unwrap_or(0);
        }
        Ok(sum as usize)
    }

    fn unpushed(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.touch()?;
        let (first, last) = range(mailbox.0)?;
        let sql = concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages INDEXED BY messages_unread \
             WHERE read IS NULL AND push_result IS NOT 0 AND id BETWEEN ?1 AND ?2 \
             ORDER BY id LIMIT ?3"
        );
        let params = [first, last, rows_limit(limit)];
        self.page(sql, params, max_bytes, message, |m| m.text.len())
    }

    fn group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        self.touch()?;
        self.entries_after(group, after, limit, max_bytes)
    }

    fn count_group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        except: &Member,
    ) -> Result<usize, StoreError> {
        self.touch()?;
        self.count_entries(group, after, except)
    }

    fn group_places(&mut self, group: GroupId) -> Result<Vec<EntryPlace>, StoreError> {
        self.touch()?;
        self.places(group)
    }

    fn group_texts(
        &mut self,
        group: GroupId,
        author: Option<&PeerId>,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        self.touch()?;
        self.texts_after(group, author, after, limit, max_bytes)
    }

    fn group_changes(&mut self, group: GroupId) -> Result<Vec<GroupChangeRow>, StoreError> {
        self.touch()?;
        self.changes(group)
    }

    fn outbox(
        &mut self,
        peer: &PeerId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        self.touch()?;
        self.waiting(peer, after, limit, max_bytes)
    }

    fn unsettled(&mut self, peer: &PeerId, limit: usize) -> Result<Vec<OutgoingRow>, StoreError> {
        self.touch()?;
        self.open_outgoing(peer, limit)
    }
}

/// Returns a limit as SQLite wants it.
pub(super) fn rows_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
