//! Groups: their rows, their logs of changes, and their histories.

use super::SqliteStore;
use super::read::rows_limit;
use super::rows::{
    group_entry, group_entry_columns, group_place, int, low, number, optional_number, place, range,
    word,
};
use ecorelay_hub::{
    EntryPlace, GroupChangeRow, GroupEntryRow, GroupHubRow, GroupId, GroupLoad, GroupRow, Member,
    MemberRow, StoreError, Write,
};
use ecorelay_protocol::{Bytes, GroupEntryType, PeerId};
use rusqlite::{Row, params};

impl SqliteStore {
    /// Makes a change of a group; any other is ignored.
    pub(super) fn apply_group(&self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::PutGroup(row) => self.put_group(&row),
            Write::DeleteGroup(id) => {
                self.clear_group(id)?;
                for sql in [
                    "DELETE FROM groups WHERE id = ?1",
                    "DELETE FROM group_hubs WHERE group_id = ?1",
                    "DELETE FROM group_changes WHERE group_id = ?1",
                ] {
                    self.run(sql, [id.0])?;
                }
                Ok(())
            }
            Write::ClearGroup(id) => self.clear_group(id),
            Write::PutMember { group, member } => self.run(
                "INSERT OR REPLACE INTO members VALUES (?1, ?2, ?3, ?4)",
                params![
                    group.0,
                    member.member.to_string(),
                    int(member.last_read),
                    int(member.joined),
                ],
            ),
            Write::DeleteMember { group, member } => self.run(
                "DELETE FROM members WHERE group_id = ?1 AND address = ?2",
                params![group.0, member.to_string()],
            ),
            Write::PutGroupHub { group, hub } => self.run(
                "INSERT OR REPLACE INTO group_hubs VALUES (?1, ?2, ?3)",
                params![group.0, hub_text(hub.hub.as_ref()), int(hub.texts)],
            ),
            Write::AppendGroupChange(row) => self.run(
                "INSERT INTO group_changes VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    row.group.0,
                    hub_text(row.author.as_ref()),
                    int(row.seq),
                    row.payload.0,
                    row.signature.0,
                ],
            ),
            Write::AppendGroupEntry(row) => self.append_entry(&row),
            Write::SetGroupEntry {
                group,
                id,
                new_id,
                from,
                void,
            } => self.run(
                "UPDATE group_entries SET id = ?2, sender = ?3, void = ?4 WHERE id = ?1",
                params![
                    place(group.0, id)?,
                    place(group.0, new_id)?,
                    from.to_string(),
                    void
                ],
            ),
            Write::RenameGroupAuthor { group, old, new } => {
                let (first, last) = range(group.0)?;
                self.run(
                    "UPDATE group_entries SET sender = ?4 \
                     WHERE id BETWEEN ?1 AND ?2 AND sender = ?3",
                    params![first, last, old.to_string(), new.to_string()],
                )
            }
            Write::DeleteGroupEntries { group, ids } => {
                for id in ids {
                    let at = place(group.0, id)?;
                    self.run("DELETE FROM group_entries WHERE id = ?1", [at])?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn put_group(&self, row: &GroupRow) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO groups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.id.0,
                row.uid,
                row.name.as_str(),
                row.admin.to_string(),
                int(row.created),
                int(row.trimmed),
                int(row.top),
                row.deleted.map(int),
            ],
        )?;
        self.note_highest("last_group", row.id.0)
    }

    fn clear_group(&self, id: GroupId) -> Result<(), StoreError> {
        let (first, last) = range(id.0)?;
        self.run("DELETE FROM members WHERE group_id = ?1", [id.0])?;
        self.run(
            "DELETE FROM group_entries WHERE id BETWEEN ?1 AND ?2",
            [first, last],
        )
    }

    fn append_entry(&self, row: &GroupEntryRow) -> Result<(), StoreError> {
        let proof = row.proof.as_ref();
        self.run(
            "INSERT INTO group_entries VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                place(row.group.0, row.id)?,
                row.msg_id,
                int(row.op.lamport),
                hub_text(row.op.author.as_ref()),
                row.op.change,
                int(row.op.seq),
                int(row.ts),
                match row.entry_type {
                    GroupEntryType::Message => 0,
                    GroupEntryType::System => 1,
                },
                row.old,
                row.void,
                row.wrote.as_str(),
                row.from.to_string(),
                proof.map(|p| p.head.0.as_slice()),
                proof.map(|p| p.signature.0.as_slice()),
                row.text,
            ],
        )
    }

    pub(super) fn groups(&self) -> Result<Vec<GroupLoad>, StoreError> {
        let rows = self.all(
            "SELECT id, uid, name, admin, created, trimmed, top, deleted FROM groups ORDER BY id",
            [],
            |row| {
                Ok(GroupRow {
                    id: GroupId(row.get(0)?),
                    uid: row.get(1)?,
                    name: word(row, 2)?,
                    admin: word(row, 3)?,
                    created: number(row, 4)?,
                    trimmed: number(row, 5)?,
                    top: number(row, 6)?,
                    deleted: optional_number(row, 7)?,
                })
            },
        )?;
        rows.into_iter().map(|row| self.group_load(row)).collect()
    }

    fn group_load(&self, row: GroupRow) -> Result<GroupLoad, StoreError> {
        let (first, last) = range(row.id.0)?;
        let mut members = self.all(
            "SELECT address, last_read, joined FROM members WHERE group_id = ?1",
            [row.id.0],
            |row| {
                Ok(MemberRow {
                    member: word(row, 0)?,
                    last_read: number(row, 1)?,
                    joined: number(row, 2)?,
                })
            },
        )?;
        members.sort_by(|a, b| a.member.cmp(&b.member));
        let hubs = self.all(
            "SELECT hub, texts FROM group_hubs WHERE group_id = ?1 ORDER BY hub",
            [row.id.0],
            |row| {
                Ok(GroupHubRow {
                    hub: hub(row, 0)?,
                    texts: number(row, 1)?,
                })
            },
        )?;
        let last_entry = self.one(
            "SELECT max(id) FROM group_entries WHERE id BETWEEN ?1 AND ?2",
            [first, last],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(GroupLoad {
            row,
            members,
            hubs,
            last_id: last_entry.flatten().map_or(0, |place| low(place).into()),
        })
    }

    pub(super) fn entries_after(
        &self,
        group: GroupId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        let Ok(from) = place(group.0, after) else {
            return Ok(Vec::new());
        };
        let sql = concat!(
            "SELECT ",
            group_entry_columns!(),
            " FROM group_entries WHERE id > ?1 AND id <= ?2 AND void = 0 ORDER BY id LIMIT ?3"
        );
        let params = [from, range(group.0)?.1, rows_limit(limit)];
        self.page(sql, params, max_bytes, group_entry, |e| e.text.len())
    }

    pub(super) fn count_entries(
        &self,
        group: GroupId,
        after: u64,
        except: &Member,
    ) -> Result<usize, StoreError> {
        let Ok(from) = place(group.0, after) else {
            return Ok(0);
        };
        let count = self.one(
            "SELECT count(*) FROM group_entries \
             WHERE id > ?1 AND id <= ?2 AND void = 0 AND sender <> ?3",
            params![from, range(group.0)?.1, except.to_string()],
            |row| number(row, 0),
        )?;
        Ok(count.unwrap_or(0) as usize)
    }

    pub(super) fn places(&self, group: GroupId) -> Result<Vec<EntryPlace>, StoreError> {
        let (first, last) = range(group.0)?;
        self.all(
            "SELECT id, lamport, author, change, seq, wrote, sender, old, void \
             FROM group_entries WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
            [first, last],
            group_place,
        )
    }

    pub(super) fn texts_after(
        &self,
        group: GroupId,
        author: Option<&PeerId>,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        let (first, last) = range(group.0)?;
        let sql = concat!(
            "SELECT ",
            group_entry_columns!(),
            " FROM group_entries WHERE id BETWEEN ?1 AND ?2 AND author = ?3 AND change = 0 \
             AND seq > ?4 ORDER BY seq LIMIT ?5"
        );
        let author = hub_text(author);
        let params = params![first, last, author, int(after), rows_limit(limit)];
        self.page(sql, params, max_bytes, group_entry, |e| e.text.len())
    }

    pub(super) fn changes(&self, group: GroupId) -> Result<Vec<GroupChangeRow>, StoreError> {
        self.all(
            "SELECT author, seq, payload, signature FROM group_changes \
             WHERE group_id = ?1 ORDER BY author, seq",
            [group.0],
            |row| {
                Ok(GroupChangeRow {
                    group,
                    author: hub(row, 0)?,
                    seq: number(row, 1)?,
                    payload: Bytes(row.get(2)?),
                    signature: Bytes(row.get(3)?),
                })
            },
        )
    }
}

/// Returns a hub as it stands in a column: nothing for this one.
fn hub_text(hub: Option<&PeerId>) -> &str {
    hub.map_or("", PeerId::as_str)
}

/// Returns the hub in a column.
pub(super) fn hub(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<PeerId>> {
    match row.get_ref(column)?.as_str()? {
        "" => Ok(None),
        _ => word(row, column).map(Some),
    }
}
