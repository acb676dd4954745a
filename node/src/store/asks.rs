//! The broadcasts that can be answered.

use super::SqliteStore;
use super::rows::{int, number, word};
use ecorelay_hub::{AskRow, Asker, MailboxId, StoreError};
use rusqlite::{Row, params};

/// What `asker` holds for one who asked on another hub.
const NO_MAILBOX: u32 = 0;

impl SqliteStore {
    pub(super) fn asks(&self) -> Result<Vec<AskRow>, StoreError> {
        self.all(
            "SELECT broadcast_id, asker, ts, asker_hub, asker_name, asked_as FROM asks \
             ORDER BY broadcast_id",
            [],
            ask,
        )
    }

    pub(super) fn put_ask(&self, row: &AskRow) -> Result<(), StoreError> {
        let (mailbox, remote) = match &row.asker {
            Asker::Mailbox(mailbox) => (mailbox.0, None),
            Asker::Remote {
                peer,
                name,
                broadcast_id,
            } => (NO_MAILBOX, Some((peer, name, broadcast_id))),
        };
        self.run(
            "INSERT OR REPLACE INTO asks (broadcast_id, asker, ts, asker_hub, asker_name, asked_as) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.broadcast_id,
                mailbox,
                int(row.ts),
                remote.map(|(peer, ..)| peer.as_str()),
                remote.map(|(_, name, _)| name.as_str()),
                remote.map(|(_, _, id)| id),
            ],
        )
    }
}

fn ask(row: &Row<'_>) -> rusqlite::Result<AskRow> {
    let asker = match row.get(1)? {
        NO_MAILBOX => Asker::Remote {
            peer: word(row, 3)?,
            name: word(row, 4)?,
            broadcast_id: row.get(5)?,
        },
        mailbox => Asker::Mailbox(MailboxId(mailbox)),
    };
    Ok(AskRow {
        broadcast_id: row.get(0)?,
        asker,
        ts: number(row, 2)?,
    })
}
