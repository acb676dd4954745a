//! The data directory, before anything is put into it.

use crate::NodeError;
use crate::platform::{self, FolderProblem};
use ecorelay_config::DataDir;

/// Creates the folders where they are missing and refuses one that others can write into.
pub(crate) fn prepare(dir: &DataDir) -> Result<(), NodeError> {
    dir.create()?;
    let path = dir.root().display().to_string();
    let problem = platform::folder_problem(dir.root()).map_err(|source| NodeError::Folder {
        message: format!("the data directory {path} cannot be read: {source}"),
        remedy: "Set ECORELAY_DATA_DIR to a folder you own.".into(),
    })?;
    match problem {
        None => Ok(()),
        Some(FolderProblem::OtherOwner { owner }) => Err(NodeError::Folder {
            message: format!("the data directory {path} belongs to another user (uid {owner})"),
            remedy: "Set ECORELAY_DATA_DIR to a folder you own.".into(),
        }),
        Some(FolderProblem::OthersWrite { mode }) => Err(NodeError::Folder {
            message: format!(
                "other users can write into the data directory {path} (mode {mode:04o})"
            ),
            remedy: format!("Run: chmod 700 {path}"),
        }),
    }
}
