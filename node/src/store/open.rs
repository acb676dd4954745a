//! Opening a store file: what is checked, and the settings that make it durable.

use super::{OpenError, schema};
use crate::platform;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the look for damage may hold up a start, after a crash and after a clean end. A large
/// store is then checked in part.
const CHECK_TIME: Duration = Duration::from_millis(200);
const CHECK_TIME_CLEAN: Duration = Duration::from_millis(20);
/// Statements kept prepared: more than the store has.
const STATEMENTS: usize = 64;
/// How long to wait for somebody who looks at the file with another program.
const BUSY: Duration = Duration::from_secs(2);
/// Settings without which nothing is durable or bounded, each with what SQLite must answer.
/// `synchronous` 2 is FULL; the log is folded in every 2,000 pages (8 MiB) and cut to that
/// size; the cache has 4 MiB.
const SETTINGS: [(&str, &str, i64); 6] = [
    ("synchronous", "2", 2),
    ("fullfsync", "1", 1),
    ("checkpoint_fullfsync", "1", 1),
    ("wal_autocheckpoint", "2000", 2_000),
    ("journal_size_limit", "8388608", 8_388_608),
    ("cache_size", "-4096", -4_096),
];

/// Opens the file, new or old, checked and with its settings.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let of = |e: rusqlite::Error| OpenError::of(path, &e);
    create_private(path)?;
    // A log that still holds something is what a crash leaves; a clean close removes it.
    let crashed = std::fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(of)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(BUSY).map_err(of)?;
    // A refused file must stay as it is: without this, closing it could fold its log in.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(of)?;
    schema::check(&conn, path)?;
    if conn.is_readonly("main").map_err(of)? {
        return Err(OpenError::NotWritable {
            path: path.display().to_string(),
            detail: "it is read-only".into(),
        });
    }
    let most = if crashed {
        CHECK_TIME
    } else {
        CHECK_TIME_CLEAN
    };
    look_for_damage(&mut conn, path, most)?;
    make_durable(&conn, path)?;
    schema::migrate(&mut conn, path)?;
    Ok(conn)
}

/// Returns the value of a setting.
pub(super) fn pragma(conn: &Connection, path: &Path, name: &str) -> Result<i64, OpenError> {
    conn.pragma_query_value(None, name, |row| row.get(0))
        .map_err(|e| OpenError::of(path, &e))
}

/// Makes an empty file that only its owner can read, where there is none; SQLite gives its
/// log the same mode.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    platform::private_file(&mut options);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            platform::restrict_file(path);
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::StorageFull => Err(OpenError::Full {
            path: path.display().to_string(),
        }),
        Err(e) => Err(OpenError::NotWritable {
            path: path.display().to_string(),
            detail: e.to_string(),
        }),
    }
}

fn make_durable(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let not_durable = |detail: String| OpenError::NotDurable {
        path: path.display().to_string(),
        detail,
    };
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|e| OpenError::of(path, &e))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(not_durable(format!("journal_mode is {mode}, not WAL")));
    }
    for (name, value, wanted) in SETTINGS {
        conn.execute_batch(&format!("PRAGMA {name} = {value}"))
            .map_err(|e| OpenError::of(path, &e))?;
        let got = pragma(conn, path, name)?;
        if got != wanted {
            return Err(not_durable(format!("{name} is {got}, not {wanted}")));
        }
    }
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF")
        .map_err(|e| OpenError::of(path, &e))
}

/// Lets SQLite look through the file for at most this long.
fn look_for_damage(conn: &mut Connection, path: &Path, most: Duration) -> Result<(), OpenError> {
    let of = |e: rusqlite::Error| OpenError::of(path, &e);
    let deadline = Instant::now() + most;
    conn.progress_handler(1_000, Some(move || Instant::now() > deadline))
        .map_err(of)?;
    let verdict = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    conn.progress_handler(0, None::<fn() -> bool>).map_err(of)?;
    match verdict {
        Ok(words) if words == "ok" => Ok(()),
        Ok(detail) => Err(OpenError::Damaged {
            path: path.display().to_string(),
            detail,
        }),
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            tracing::debug!("the store is large: only a part of it was checked");
            Ok(())
        }
        Err(e) => Err(of(e)),
    }
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
