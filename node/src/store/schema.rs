//! The tables, as an ordered list of migrations. `PRAGMA user_version` says how many a file has
//! had. A migration that was released is never edited; a change is a new one at the end.
//!
//! A message's key is one integer, `mailbox << 32 | seq`, so that a mailbox is one range of the
//! table; the same goes for the outbox of each hub (`outboxes.id << 32 | seq`). Texts stand last in their rows: what a query looks at is then in the row's first page.

use super::OpenError;
use super::open::pragma;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Marks a database as ours (`PRAGMA application_id`): "EcRl".
pub(super) const APPLICATION_ID: i64 = 0x4563_526C;

/// The schema this program writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) const MIGRATIONS: [&str; 7] = [
    "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('last_mailbox', 0), ('last_group', 0);

CREATE TABLE mailboxes (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    created    INTEGER NOT NULL,
    owned      INTEGER,
    last_seen  INTEGER NOT NULL,
    renamed_to TEXT
);

CREATE TABLE messages (
    id            INTEGER PRIMARY KEY,
    msg_id        TEXT NOT NULL UNIQUE,
    kind          INTEGER NOT NULL,
    sender        TEXT NOT NULL,
    recipient     TEXT NOT NULL,
    ts            INTEGER NOT NULL,
    urgent        INTEGER NOT NULL,
    read          INTEGER,
    pushed        INTEGER,
    push_result   INTEGER,
    push_path     TEXT,
    push_detail   TEXT,
    answered      INTEGER,
    answered_with TEXT,
    reply_to      TEXT,
    ask_id        TEXT,
    about_group   TEXT,
    body          TEXT NOT NULL
);
CREATE INDEX messages_unread ON messages (id, push_result) WHERE read IS NULL;
CREATE INDEX messages_read ON messages (id) WHERE read IS NOT NULL;
CREATE INDEX messages_sender ON messages (sender);

CREATE TABLE gone (
    msg_id    TEXT PRIMARY KEY,
    kind      INTEGER NOT NULL,
    sender    TEXT NOT NULL,
    recipient TEXT NOT NULL,
    ts        INTEGER NOT NULL,
    read      INTEGER,
    left_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX gone_left_at ON gone (left_at);
CREATE INDEX gone_sender ON gone (sender);

CREATE TABLE asks (
    broadcast_id TEXT PRIMARY KEY,
    asker        INTEGER NOT NULL,
    ts           INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE groups (
    id      INTEGER PRIMARY KEY,
    uid     TEXT NOT NULL,
    name    TEXT NOT NULL,
    admin   TEXT NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE members (
    group_id  INTEGER NOT NULL,
    address   TEXT NOT NULL,
    last_read INTEGER NOT NULL,
    joined    INTEGER NOT NULL,
    PRIMARY KEY (group_id, address)
) WITHOUT ROWID;

CREATE TABLE group_entries (
    id         INTEGER PRIMARY KEY,
    msg_id     TEXT NOT NULL UNIQUE,
    lamport    INTEGER NOT NULL,
    op_hub     TEXT NOT NULL,
    op_seq     INTEGER NOT NULL,
    ts         INTEGER NOT NULL,
    entry_type INTEGER NOT NULL,
    sender     TEXT NOT NULL,
    body       TEXT NOT NULL
);
CREATE INDEX group_entries_sender ON group_entries (sender);
",
    "
ALTER TABLE gone ADD COLUMN handed INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE mesh (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    root      TEXT NOT NULL,
    psk       BLOB NOT NULL,
    since     INTEGER NOT NULL,
    hub_id    TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    ticket    TEXT,
    addresses TEXT NOT NULL
);

CREATE TABLE hubs (
    peer      TEXT PRIMARY KEY,
    hub_id    TEXT NOT NULL,
    since     INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    entry     BLOB
);

CREATE TABLE roster (
    subject TEXT NOT NULL,
    revoked INTEGER NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (subject, revoked)
) WITHOUT ROWID;

CREATE TABLE outboxes (
    id       INTEGER PRIMARY KEY,
    peer     TEXT NOT NULL UNIQUE,
    last_seq INTEGER NOT NULL
);

CREATE TABLE outgoing (
    id        INTEGER PRIMARY KEY,
    msg_id    TEXT NOT NULL UNIQUE,
    kind      INTEGER NOT NULL,
    sender    TEXT NOT NULL,
    recipient TEXT NOT NULL,
    ts        INTEGER NOT NULL,
    urgent    INTEGER NOT NULL,
    acked     INTEGER,
    state     INTEGER NOT NULL,
    state_ts  INTEGER NOT NULL,
    refused   INTEGER NOT NULL,
    detail    TEXT,
    reply_to  TEXT,
    ask_id    TEXT,
    body      TEXT NOT NULL
);
CREATE INDEX outgoing_waiting ON outgoing (id, ts) WHERE acked IS NULL;
CREATE INDEX outgoing_open ON outgoing (id)
    WHERE acked IS NOT NULL AND refused = 0 AND state <> 4;
CREATE INDEX outgoing_left ON outgoing (state_ts) WHERE acked IS NOT NULL;
CREATE INDEX outgoing_sender ON outgoing (sender);
",
    // An asker on another hub has no mailbox here: 0.
    "
ALTER TABLE asks ADD COLUMN asker_hub TEXT;
ALTER TABLE asks ADD COLUMN asker_name TEXT;
ALTER TABLE asks ADD COLUMN asked_as TEXT;
",
    // Groups get logs. Entries that are there become the first texts of this hub (author '') in
    // them; the hub adds what else a log needs when it starts. Members on other hubs could not be
    // reached until now and are not known by a key.
    "
ALTER TABLE groups ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN deleted INTEGER;
UPDATE groups SET trimmed = coalesce(
    (SELECT min(e.id) - (groups.id << 32) - 1 FROM group_entries AS e
     WHERE e.id BETWEEN groups.id << 32 AND (groups.id << 32 | 4294967295)), 0);
DELETE FROM members WHERE instr(address, '@') > 0;
UPDATE groups SET admin = coalesce(
    (SELECT min(address) FROM members WHERE group_id = groups.id),
    substr(admin, 1, instr(admin, '@') - 1)) WHERE instr(admin, '@') > 0;

ALTER TABLE group_entries RENAME TO group_entries_4;
DROP INDEX group_entries_sender;
CREATE TABLE group_entries (
    id         INTEGER PRIMARY KEY,
    msg_id     TEXT NOT NULL UNIQUE,
    lamport    INTEGER NOT NULL,
    author     TEXT NOT NULL,
    change     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    ts         INTEGER NOT NULL,
    entry_type INTEGER NOT NULL,
    old        INTEGER NOT NULL,
    void       INTEGER NOT NULL,
    wrote      TEXT NOT NULL,
    sender     TEXT NOT NULL,
    head       BLOB,
    signature  BLOB,
    body       TEXT NOT NULL
);
INSERT INTO group_entries
    SELECT id, msg_id, lamport, '', 0, op_seq, ts, entry_type, 1, 0,
        substr(replace(sender, '@', '-'), 1, 64), substr(replace(sender, '@', '-'), 1, 64),
        NULL, NULL, body
    FROM group_entries_4 ORDER BY id;
DROP TABLE group_entries_4;

CREATE TABLE group_changes (
    group_id  INTEGER NOT NULL,
    author    TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    payload   BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (group_id, author, seq)
) WITHOUT ROWID;

CREATE TABLE group_hubs (
    group_id INTEGER NOT NULL,
    hub      TEXT NOT NULL,
    texts    INTEGER NOT NULL,
    PRIMARY KEY (group_id, hub)
) WITHOUT ROWID;
",
    // A hub comes into a mesh in one step, with its place on the roster: one that was still
    // joining, with a ticket that held the key, is in none. Hubs can be revoked, and the mesh's key
    // changed. Several hubs may say the same of one, so an entry's author belongs to its key;
    // entries from before stand under none ('').
    "
DELETE FROM mesh WHERE ticket IS NOT NULL;
DELETE FROM roster WHERE NOT EXISTS (SELECT 1 FROM mesh);
ALTER TABLE mesh DROP COLUMN ticket;
ALTER TABLE mesh ADD COLUMN hints BLOB;

CREATE TABLE tickets (
    id     BLOB PRIMARY KEY,
    record BLOB NOT NULL,
    handed TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE joining (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    ticket TEXT NOT NULL
);

CREATE TABLE rendezvous (
    address TEXT PRIMARY KEY,
    ts      INTEGER NOT NULL,
    removed INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE mesh ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mesh ADD COLUMN rekey BLOB;
ALTER TABLE mesh ADD COLUMN former_keys BLOB NOT NULL DEFAULT x'';
ALTER TABLE hubs ADD COLUMN label TEXT;
ALTER TABLE hubs ADD COLUMN policy INTEGER NOT NULL DEFAULT 0;

ALTER TABLE roster RENAME TO roster_5;
CREATE TABLE roster (
    subject TEXT NOT NULL,
    revoked INTEGER NOT NULL,
    author  TEXT NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (subject, revoked, author)
) WITHOUT ROWID;
INSERT INTO roster SELECT subject, revoked, '', entry FROM roster_5;
DROP TABLE roster_5;
",
    // Meshes with which this hub came into its own.
    "
ALTER TABLE mesh ADD COLUMN merged TEXT NOT NULL DEFAULT '';
",
];

/// Refuses a file that is not ours or newer than we are. Reads only.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let version = pragma(conn, path, "user_version")?;
    let application = pragma(conn, path, "application_id")?;
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| OpenError::of(path, &e))?;
    let display = || path.display().to_string();
    match application {
        APPLICATION_ID if version > SCHEMA_VERSION => Err(OpenError::Newer {
            path: display(),
            found: version,
            known: SCHEMA_VERSION,
        }),
        APPLICATION_ID => Ok(()),
        0 if version == 0 && tables == 0 => Ok(()),
        _ => Err(OpenError::Foreign { path: display() }),
    }
}

/// Brings the schema up to [`SCHEMA_VERSION`], each step in its own transaction.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let of = |e: rusqlite::Error| OpenError::of(path, &e);
    let version = pragma(conn, path, "user_version")?;
    for (next, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(n, _)| *n <= version) {
        let transaction = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(of)?;
        transaction.execute_batch(migration).map_err(of)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(of)?;
        transaction
            .pragma_update(None, "user_version", next)
            .map_err(of)?;
        transaction.commit().map_err(of)?;
        tracing::info!(version = next, "the store has a new schema version");
    }
    Ok(())
}
