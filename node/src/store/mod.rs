//! The durable store: SQLite behind [`ecorelay_hub::Store`].
//!
//! One thread owns a [`SqliteStore`]. It says [`SqliteStore::begin`], reads and writes through
//! the trait, and ends with [`SqliteStore::commit`], which returns only when the batch is on the
//! disk (WAL, `synchronous=FULL`), or [`SqliteStore::rollback`]. [`OpenError`] says why a store
//! cannot be used; the file is then left exactly as it was found.

mod asks;
mod error;
mod groups;
mod mesh;
mod open;
mod outgoing;
mod read;
mod rows;
mod schema;
mod tickets;
mod write;

#[cfg(test)]
mod tests;

pub use error::OpenError;
pub use schema::SCHEMA_VERSION;

use ecorelay_hub::StoreError;
use error::store_error;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::Path;

/// The store of one hub: the only connection to its database.
#[derive(Debug)]
pub struct SqliteStore {
    conn: Connection,
    /// A batch is open; its transaction begins with the first statement.
    wanted: bool,
    /// The transaction of the batch has begun.
    begun: bool,
}

impl SqliteStore {
    /// Opens the store at `path`, makes it where there is none, and brings an older one up to
    /// [`SCHEMA_VERSION`].
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            conn: open::open(path)?,
            wanted: false,
            begun: false,
        })
    }

    /// Opens a batch. The transaction (`BEGIN IMMEDIATE`) begins with the first read or write,
    /// so a batch that does not touch the store costs nothing.
    pub fn begin(&mut self) {
        self.wanted = true;
    }

    /// Makes the batch durable: returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not; the batch is then still open, for [`SqliteStore::rollback`].
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.begun {
            self.execute("COMMIT")?;
        }
        (self.wanted, self.begun) = (false, false);
        Ok(())
    }

    /// Forgets the batch.
    ///
    /// # Errors
    /// When SQLite cannot even do that.
    pub fn rollback(&mut self) -> Result<(), StoreError> {
        (self.wanted, self.begun) = (false, false);
        // After some errors SQLite has rolled back by itself.
        if self.conn.is_autocommit() {
            return Ok(());
        }
        self.execute("ROLLBACK")
    }

    /// Closes the store: everything moves from the write-ahead log into the database file.
    ///
    /// # Errors
    /// When that fails; nothing is lost, the next [`SqliteStore::open`] reads the log.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.rollback()?;
        self.conn.flush_prepared_statement_cache();
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(store_error)?;
        self.conn
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(store_error)?;
        self.conn.close().map_err(|(_, e)| store_error(e))
    }

    /// Begins the transaction of an open batch, once.
    fn touch(&mut self) -> Result<(), StoreError> {
        if self.wanted && !self.begun {
            self.execute("BEGIN IMMEDIATE")?;
            self.begun = true;
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(store_error)
    }
}
