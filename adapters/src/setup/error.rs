//! Why an assistant cannot be set up.

use std::path::{Path, PathBuf};

/// Why an assistant cannot be set up, or its set-up not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file is not what it should be. It was not touched.
    #[error("{}{}: {message}. {remedy}", file.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// The line, where it is known; from 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
        /// What to do, a sentence.
        remedy: &'static str,
    },
    /// A file or folder cannot be read, written or removed.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file.
        file: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Another process changes the set-up at this moment.
    #[error("another `ecorelay install` or `uninstall` is running. Try again when it has ended")]
    Busy,
    /// The record of what was changed is of a newer version of this program.
    #[error("{} was written by a newer EcoRelay. Use that one", file.display())]
    Newer {
        /// The record.
        file: PathBuf,
    },
}

impl SetupError {
    pub(super) fn io(action: &'static str, file: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            file: file.to_owned(),
            source,
        }
    }

    pub(super) fn broken(file: &Path, line: Option<usize>, message: impl Into<String>) -> Self {
        Self::Broken {
            file: file.to_owned(),
            line,
            message: message.into(),
            remedy: "It was left as it is; mend it and run the command again",
        }
    }
}
