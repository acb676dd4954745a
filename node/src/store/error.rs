//! Why a store cannot be opened, and how SQLite's errors become the brain's.

use ecorelay_hub::StoreError;
use rusqlite::ErrorCode;
use std::path::Path;

/// Why a store cannot be used. The file is left exactly as it was found.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program wrote it.
    #[error(
        "the store {path} has version {found}, and this program knows versions up to {known}: a newer ecorelay wrote it. The file was not touched. Install the newer ecorelay again, or set ECORELAY_DATA_DIR to another folder"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// It is not a database, or a damaged one.
    #[error(
        "the store {path} is damaged ({detail}). The file was not touched. Restore it from a backup, or move it away (mv {path} {path}.damaged) to begin with an empty one"
    )]
    Damaged {
        /// The file.
        path: String,
        /// SQLite's words.
        detail: String,
    },
    /// It is the database of something else.
    #[error(
        "{path} is the database of another program. It was not touched. Set ECORELAY_DATA_DIR to another folder"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// It cannot be written.
    #[error(
        "the store {path} cannot be written ({detail}). Make the file and its folder writable for you, or set ECORELAY_DATA_DIR to a folder that is"
    )]
    NotWritable {
        /// The file.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk with the store {path} is full. Free some space and start again")]
    Full {
        /// The file.
        path: String,
    },
    /// SQLite did not take a setting that durability needs.
    #[error(
        "the store {path} cannot be made durable ({detail}). Is it on a network folder? Set ECORELAY_DATA_DIR to a local one"
    )]
    NotDurable {
        /// The file.
        path: String,
        /// Which setting.
        detail: String,
    },
    /// Anything else.
    #[error("the store {path} cannot be opened ({detail})")]
    Other {
        /// The file.
        path: String,
        /// SQLite's words.
        detail: String,
    },
}

impl OpenError {
    /// Returns the refusal that fits an error of SQLite.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, detail) = (path.display().to_string(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, detail }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { path, detail }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // The index of the log cannot grow: what SQLite says instead of "full".
            _ if error.sqlite_error().map(|e| e.extended_code)
                == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
            {
                Self::Full { path }
            }
            _ => Self::Other { path, detail },
        }
    }
}

/// Returns what the brain is told of an error of SQLite.
#[allow(clippy::needless_pass_by_value)] // the shape `map_err` wants
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Io(error.to_string()),
    }
}
