//! The mesh this hub belongs to, the hubs it knows and the roster.

use super::SqliteStore;
use super::rows::{damaged, int, number, signed, word};
use ecorelay_hub::{HubRow, MeshRow, StoreError};
use ecorelay_protocol::link::Signed;
use ecorelay_protocol::{PeerId, Psk, to_cbor};
use rusqlite::types::ValueRef;
use rusqlite::{Row, params};

impl SqliteStore {
    pub(super) fn put_mesh(&self, row: &MeshRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO mesh VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                row.root.as_str(),
                row.psk.bytes(),
                int(row.since),
                row.hub_id.as_str(),
                int(row.epoch),
                row.ticket,
                row.addresses.join("\n"),
            ],
        )
    }

    pub(super) fn mesh(&self) -> Result<Option<MeshRow>, StoreError> {
        self.one(
            "SELECT root, psk, since, hub_id, epoch, ticket, addresses FROM mesh",
            [],
            |row| {
                Ok(MeshRow {
                    root: word(row, 0)?,
                    psk: psk(row, 1)?,
                    since: number(row, 2)?,
                    hub_id: word(row, 3)?,
                    epoch: number(row, 4)?,
                    ticket: row.get(5)?,
                    addresses: lines(row, 6)?,
                })
            },
        )
    }

    pub(super) fn put_hub(&self, row: &HubRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO hubs VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.peer.as_str(),
                row.hub_id.as_str(),
                int(row.since),
                int(row.epoch),
                int(row.last_seen),
                row.entry.as_ref().map(to_cbor),
            ],
        )
    }

    /// Returns all hubs, ordered by their keys.
    pub(super) fn hubs(&self) -> Result<Vec<HubRow>, StoreError> {
        self.all(
            "SELECT peer, hub_id, since, epoch, last_seen, entry FROM hubs ORDER BY peer",
            [],
            |row| {
                let entry = match row.get_ref(5)? {
                    ValueRef::Null => None,
                    _ => Some(signed(row, 5)?),
                };
                Ok(HubRow {
                    peer: word(row, 0)?,
                    hub_id: word(row, 1)?,
                    since: number(row, 2)?,
                    epoch: number(row, 3)?,
                    last_seen: number(row, 4)?,
                    entry,
                })
            },
        )
    }

    pub(super) fn put_roster(
        &self,
        subject: &PeerId,
        revoked: bool,
        entry: &Signed,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO roster VALUES (?1, ?2, ?3)",
            params![subject.as_str(), revoked, to_cbor(entry)],
        )
    }

    /// Returns the roster, ordered by the hubs it is about.
    pub(super) fn roster(&self) -> Result<Vec<Signed>, StoreError> {
        self.all(
            "SELECT entry FROM roster ORDER BY subject, revoked",
            [],
            |row| signed(row, 0),
        )
    }
}

fn psk(row: &Row<'_>, column: usize) -> rusqlite::Result<Psk> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let bytes = bytes.try_into().map_err(|_| damaged(column, "not a key"))?;
    Ok(Psk::new(bytes))
}

/// Returns a list that stands one item a line. A multiaddr has no line break in it.
fn lines(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text = row.get_ref(column)?.as_str()?;
    Ok(text.lines().map(str::to_owned).collect())
}
