//! The originals of changed files, kept below the data directory.

use super::edit::Original;
use super::file;
use super::record::{Changed, digest};
use std::path::{Path, PathBuf};

/// An original, as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Unknown,
    NoFile,
    Text(String),
}

impl Kept {
    /// Reads the original of a file that was changed.
    pub(super) fn read(root: &Path, known: &Changed) -> Self {
        match &known.backup {
            None => Self::NoFile,
            Some(place) => match file::read(&root.join(place)) {
                Ok(Some(bytes)) => String::from_utf8(bytes).map_or(Self::Unknown, Self::Text),
                _ => Self::Unknown,
            },
        }
    }

    pub(super) fn as_original(&self) -> Original<'_> {
        match self {
            Self::Unknown => Original::Unknown,
            Self::NoFile => Original::NoFile,
            Self::Text(text) => Original::Text(text),
        }
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            _ => None,
        }
    }
}

/// Returns the folder of an assistant's originals, below the data directory.
pub(super) fn backups(id: &str) -> PathBuf {
    Path::new("backups").join(id)
}

/// Returns where the original of a file is kept, below the data directory.
pub(super) fn backup_place(id: &str, file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let path = digest(file.as_os_str().as_encoded_bytes());
    backups(id).join(format!("{}-{name}", &path[..8]))
}
