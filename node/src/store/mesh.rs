//! The mesh this hub belongs to, the hubs it knows and the roster.

use super::SqliteStore;
use super::rows::{damaged, int, number, signed, word};
use ecorelay_hub::{HubRow, MeshRow, StoreError};
use ecorelay_protocol::link::Signed;
use ecorelay_protocol::{HubPolicy, PeerId, Psk, from_cbor, to_cbor};
use rusqlite::types::ValueRef;
use rusqlite::{Row, params};
use serde::de::DeserializeOwned;

impl SqliteStore {
    pub(super) fn put_mesh(&self, row: &MeshRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO mesh
                 (one, root, psk, since, hub_id, epoch, addresses, generation, rekey, former_keys,
                  hints, merged)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                row.root.as_str(),
                row.psk.bytes(),
                int(row.since),
                row.hub_id.as_str(),
                int(row.epoch),
                row.addresses.join("\n"),
                int(row.generation),
                row.rekey.as_ref().map(to_cbor),
                row.former_keys
                    .iter()
                    .flat_map(Psk::bytes)
                    .copied()
                    .collect::<Vec<u8>>(),
                to_cbor(&row.hints),
                row.merged
                    .iter()
                    .map(PeerId::as_str)
                    .collect::<Vec<_>>()
                    .join("\n"),
            ],
        )
    }

    pub(super) fn mesh(&self) -> Result<Option<MeshRow>, StoreError> {
        self.one(
            "SELECT root, psk, since, hub_id, epoch, addresses, generation, rekey, former_keys,
                 hints, merged
             FROM mesh",
            [],
            |row| {
                Ok(MeshRow {
                    root: word(row, 0)?,
                    psk: psk(row, 1)?,
                    since: number(row, 2)?,
                    hub_id: word(row, 3)?,
                    epoch: number(row, 4)?,
                    addresses: lines(row, 5)?,
                    generation: number(row, 6)?,
                    rekey: maybe_signed(row, 7)?,
                    former_keys: psks(row, 8)?,
                    hints: match row.get_ref(9)? {
                        ValueRef::Null => Vec::new(),
                        _ => value(row, 9)?,
                    },
                    merged: peers(row, 10)?,
                })
            },
        )
    }

    pub(super) fn put_hub(&self, row: &HubRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO hubs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.peer.as_str(),
                row.hub_id.as_str(),
                int(row.since),
                int(row.epoch),
                int(row.last_seen),
                row.entry.as_ref().map(to_cbor),
                row.label,
                policy_number(row.policy),
            ],
        )
    }

    /// Returns all hubs, ordered by their keys.
    pub(super) fn hubs(&self) -> Result<Vec<HubRow>, StoreError> {
        self.all(
            "SELECT peer, hub_id, since, epoch, last_seen, entry, label, policy FROM hubs
             ORDER BY peer",
            [],
            |row| {
                Ok(HubRow {
                    peer: word(row, 0)?,
                    hub_id: word(row, 1)?,
                    since: number(row, 2)?,
                    epoch: number(row, 3)?,
                    last_seen: number(row, 4)?,
                    entry: maybe_signed(row, 5)?,
                    label: row.get(6)?,
                    policy: policy(row, 7)?,
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
            "INSERT OR REPLACE INTO roster VALUES (?1, ?2, ?3, ?4)",
            params![subject.as_str(), revoked, entry.by.as_str(), to_cbor(entry)],
        )
    }

    pub(super) fn delete_roster(
        &self,
        subject: &PeerId,
        revoked: bool,
        by: &PeerId,
    ) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM roster WHERE subject = ?1 AND revoked = ?2 AND author = ?3",
            params![subject.as_str(), revoked, by.as_str()],
        )
    }

    /// Returns the roster, ordered by the hubs it is about.
    pub(super) fn roster(&self) -> Result<Vec<Signed>, StoreError> {
        self.all(
            "SELECT entry FROM roster ORDER BY subject, revoked, author",
            [],
            |row| signed(row, 0),
        )
    }
}

/// Returns a value that stands as CBOR.
fn value<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let bytes = row.get_ref(column)?.as_blob()?;
    from_cbor(bytes).map_err(|_| damaged(column, "not a value"))
}

fn psk(row: &Row<'_>, column: usize) -> rusqlite::Result<Psk> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let bytes = bytes.try_into().map_err(|_| damaged(column, "not a key"))?;
    Ok(Psk::new(bytes))
}

/// Returns keys that stand one behind the other.
fn psks(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Psk>> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let (keys, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(damaged(column, "not keys"));
    }
    Ok(keys.iter().map(|key| Psk::new(*key)).collect())
}

fn maybe_signed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Signed>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => signed(row, column).map(Some),
    }
}

fn policy_number(policy: HubPolicy) -> u8 {
    match policy {
        HubPolicy::Normal => 0,
        HubPolicy::NotUrgent => 1,
        HubPolicy::Quiet => 2,
    }
}

fn policy(row: &Row<'_>, column: usize) -> rusqlite::Result<HubPolicy> {
    match row.get::<_, u8>(column)? {
        0 => Ok(HubPolicy::Normal),
        1 => Ok(HubPolicy::NotUrgent),
        2 => Ok(HubPolicy::Quiet),
        _ => Err(damaged(column, "not a policy")),
    }
}

/// Returns a list that stands one item a line. A multiaddr has no line break in it.
fn peers(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<PeerId>> {
    let peers = lines(row, column)?;
    let peers = peers.iter().map(|peer| peer.parse());
    peers
        .collect::<Result<_, _>>()
        .map_err(|_| damaged(column, "not the keys of hubs"))
}

fn lines(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text = row.get_ref(column)?.as_str()?;
    Ok(text.lines().map(str::to_owned).collect())
}
