//! Tickets that are out, the one this hub joins with, and rendezvous servers.

use super::SqliteStore;
use super::rows::{damaged, int, number, signed};
use ecorelay_hub::{StoreError, TicketRow};
use ecorelay_protocol::link::RendezvousEntry;
use ecorelay_protocol::{Bytes, PeerId, to_cbor};
use rusqlite::{Row, params};

impl SqliteStore {
    pub(super) fn put_ticket(&self, row: &TicketRow) -> Result<(), StoreError> {
        let handed: Vec<&str> = row.handed.iter().map(|peer| peer.as_str()).collect();
        self.run(
            "INSERT OR REPLACE INTO tickets VALUES (?1, ?2, ?3)",
            params![row.id.0, to_cbor(&row.record), handed.join(" ")],
        )
    }

    pub(super) fn delete_ticket(&self, id: &Bytes) -> Result<(), StoreError> {
        self.run("DELETE FROM tickets WHERE id = ?1", [&id.0])
    }

    /// Returns all tickets, ordered by their ids.
    pub(super) fn tickets(&self) -> Result<Vec<TicketRow>, StoreError> {
        self.all(
            "SELECT id, record, handed FROM tickets ORDER BY id",
            [],
            |row| {
                Ok(TicketRow {
                    id: Bytes(row.get(0)?),
                    record: signed(row, 1)?,
                    handed: peers(row, 2)?,
                })
            },
        )
    }

    pub(super) fn set_joining(&self, ticket: Option<&str>) -> Result<(), StoreError> {
        match ticket {
            Some(ticket) => self.run("INSERT OR REPLACE INTO joining VALUES (1, ?1)", [ticket]),
            None => self.run("DELETE FROM joining", []),
        }
    }

    pub(super) fn joining(&self) -> Result<Option<String>, StoreError> {
        self.one("SELECT ticket FROM joining", [], |row| row.get(0))
    }

    pub(super) fn set_rendezvous(&self, entries: &[RendezvousEntry]) -> Result<(), StoreError> {
        self.run("DELETE FROM rendezvous", [])?;
        for entry in entries {
            self.run(
                "INSERT INTO rendezvous VALUES (?1, ?2, ?3)",
                params![entry.address, int(entry.ts), entry.removed],
            )?;
        }
        Ok(())
    }

    /// Returns all rendezvous servers, ordered by their addresses.
    pub(super) fn rendezvous(&self) -> Result<Vec<RendezvousEntry>, StoreError> {
        self.all(
            "SELECT address, ts, removed FROM rendezvous ORDER BY address",
            [],
            |row| {
                Ok(RendezvousEntry {
                    address: row.get(0)?,
                    ts: number(row, 1)?,
                    removed: row.get(2)?,
                })
            },
        )
    }
}

/// Returns a list of hubs that stand with a space between them.
fn peers(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<PeerId>> {
    let text = row.get_ref(column)?.as_str()?;
    let peers: Result<_, _> = text.split_whitespace().map(str::parse).collect();
    peers.map_err(|_| damaged(column, "not the key of a hub"))
}
