//! The floor of everything durable: records appended to a file on the file system of the data
//! directory, each batch written and synced once.

use super::Outcome;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Returns a fresh folder on a real disk: the build folder, never a file system in memory.
pub(crate) fn folder() -> Outcome<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A file that records are appended to.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Removed with it, where it made the folder.
    _folder: Option<TempDir>,
}

impl Journal {
    /// Makes an empty journal.
    pub(crate) fn create() -> Outcome<Self> {
        let folder = folder()?;
        let journal = Self::create_in(folder.path())?;
        Ok(Self {
            _folder: Some(folder),
            ..journal
        })
    }

    /// Makes an empty journal in a folder of somebody else's.
    pub(crate) fn create_in(folder: &Path) -> Outcome<Self> {
        Ok(Self {
            file: File::create(folder.join("journal"))?,
            _folder: None,
        })
    }

    /// Appends and syncs (`fdatasync`); returns the time until it is on the disk.
    pub(crate) fn append(&mut self, records: &[u8]) -> Outcome<Duration> {
        let began = Instant::now();
        self.file.write_all(records)?;
        self.file.sync_data()?;
        Ok(began.elapsed())
    }
}
