//! Messages for other hubs: one outbox per hub, and what became of those that left it.

use super::SqliteStore;
use super::read::rows_limit;
use super::rows::{
    int, kind_code, low, number, outgoing, outgoing_columns, place, range, state_code, unsigned,
    word,
};
use ecorelay_hub::{OutboxLoad, OutgoingRow, StoreError};
use ecorelay_protocol::{DeliveryState, Name, PeerId};
use rusqlite::params;

impl SqliteStore {
    pub(super) fn append_outgoing(&self, row: &OutgoingRow) -> Result<(), StoreError> {
        let (peer, seq) = (row.peer.as_str(), int(row.seq));
        self.run(
            "INSERT INTO outboxes (peer, last_seq) VALUES (?1, ?2) \
             ON CONFLICT (peer) DO UPDATE SET last_seq = excluded.last_seq",
            params![peer, seq],
        )?;
        let outbox = self.outbox_of(&row.peer)?.unwrap_or(0);
        self.run(
            "INSERT INTO outgoing VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                place(outbox, row.seq)?,
                row.msg_id,
                kind_code(row.kind),
                row.from.as_str(),
                row.to.to_string(),
                int(row.ts),
                row.urgent,
                row.acked.map(int),
                state_code(row.state),
                int(row.state_ts),
                row.refused,
                row.detail,
                row.reply_to,
                row.ask_id,
                row.text,
            ],
        )
    }

    pub(super) fn mark_outgoing(
        &self,
        msg_id: &str,
        acked: Option<u64>,
        state: DeliveryState,
        ts: u64,
        detail: Option<&str>,
        refused: bool,
    ) -> Result<(), StoreError> {
        let (state, ts) = (state_code(state), int(ts));
        match acked {
            Some(acked) => self.run(
                "UPDATE outgoing SET state = ?2, state_ts = ?3, detail = ?4, refused = ?5, \
                 acked = coalesce(acked, ?6), body = '' WHERE msg_id = ?1",
                params![msg_id, state, ts, detail, refused, int(acked)],
            ),
            None => self.run(
                "UPDATE outgoing SET state = ?2, state_ts = ?3, detail = ?4, refused = ?5 \
                 WHERE msg_id = ?1",
                params![msg_id, state, ts, detail, refused],
            ),
        }
    }

    pub(super) fn forget_outgoing(&self, before: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM outgoing INDEXED BY outgoing_left \
             WHERE acked IS NOT NULL AND state_ts < ?1",
            [int(before)],
        )
    }

    pub(super) fn rename_sender(&self, old: &Name, new: &Name) -> Result<(), StoreError> {
        self.run(
            "UPDATE outgoing SET sender = ?2 WHERE sender = ?1",
            [old.as_str(), new.as_str()],
        )
    }

    pub(super) fn find_outgoing(&self, msg_id: &str) -> Result<Option<OutgoingRow>, StoreError> {
        // In two steps: SQLite plans a join with `outboxes` anew for every value that is bound,
        // which takes longer than everything else about a message that is new.
        let place = self.one(
            "SELECT id FROM outgoing WHERE msg_id = ?1",
            [msg_id],
            |row| row.get::<_, i64>(0),
        )?;
        let Some(place) = place else {
            return Ok(None);
        };
        self.one(
            concat!(
                "SELECT ",
                outgoing_columns!(),
                ", peer FROM outgoing JOIN outboxes ON outboxes.id = outgoing.id >> 32 \
                 WHERE outgoing.id = ?1"
            ),
            [place],
            |row| outgoing(row, word(row, 15)?),
        )
    }

    /// Returns the messages that wait for a hub, by number.
    pub(super) fn waiting(
        &self,
        peer: &PeerId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        let Some(outbox) = self.outbox_of(peer)? else {
            return Ok(Vec::new());
        };
        let Ok(from) = place(outbox, after) else {
            return Ok(Vec::new());
        };
        let sql = concat!(
            "SELECT ",
            outgoing_columns!(),
            " FROM outgoing INDEXED BY outgoing_waiting \
             WHERE acked IS NULL AND id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3"
        );
        let params = [from, range(outbox)?.1, rows_limit(limit)];
        let row = |row: &rusqlite::Row<'_>| outgoing(row, peer.clone());
        self.page(sql, params, max_bytes, row, |row| row.text.len())
    }

    /// Returns the newest messages for a hub whose state may still change, newest first.
    pub(super) fn open_outgoing(
        &self,
        peer: &PeerId,
        limit: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        let Some(outbox) = self.outbox_of(peer)? else {
            return Ok(Vec::new());
        };
        let (first, last) = range(outbox)?;
        self.all(
            concat!(
                "SELECT ",
                outgoing_columns!(),
                " FROM outgoing INDEXED BY outgoing_open \
                 WHERE acked IS NOT NULL AND refused = 0 AND state <> 4 \
                 AND id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3"
            ),
            [first, last, rows_limit(limit)],
            |row| outgoing(row, peer.clone()),
        )
    }

    /// Returns all outboxes, ordered by their hubs' keys.
    pub(super) fn outboxes(&self) -> Result<Vec<OutboxLoad>, StoreError> {
        let outboxes = self.all(
            "SELECT id, peer, last_seq FROM outboxes ORDER BY peer",
            [],
            |row| Ok((row.get(0)?, word(row, 1)?, number(row, 2)?)),
        )?;
        let load = |(id, peer, last_seq)| self.outbox_load(id, peer, last_seq);
        outboxes.into_iter().map(load).collect()
    }

    fn outbox_load(&self, id: u32, peer: PeerId, last_seq: u64) -> Result<OutboxLoad, StoreError> {
        let (first, last) = range(id)?;
        let waiting = self.one(
            "SELECT count(*) FROM outgoing INDEXED BY outgoing_waiting \
             WHERE acked IS NULL AND id BETWEEN ?1 AND ?2",
            [first, last],
            |row| row.get(0).map(unsigned),
        )?;
        let oldest = self.one(
            "SELECT id, ts FROM outgoing INDEXED BY outgoing_waiting \
             WHERE acked IS NULL AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
            [first, last],
            |row| Ok((u64::from(low(row.get(0)?)), number(row, 1)?)),
        )?;
        Ok(OutboxLoad {
            peer,
            last_seq,
            waiting: waiting.unwrap_or(0) as usize,
            first_waiting: oldest.map(|(seq, _)| seq),
            oldest: oldest.map(|(_, ts)| ts),
        })
    }

    /// Returns the number that stands for a hub in the keys of its messages.
    fn outbox_of(&self, peer: &PeerId) -> Result<Option<u32>, StoreError> {
        self.one(
            "SELECT id FROM outboxes WHERE peer = ?1",
            [peer.as_str()],
            |row| row.get(0),
        )
    }
}
