//! What a hub stands on: its lock and its store. When somebody deletes or replaces one of them
//! while the hub runs, what it accepts is kept nowhere, and another hub can start beside it.

use crate::platform::{self, FileId};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often to look whether the files are still there.
const LOOK: Duration = Duration::from_secs(1);

/// The files, as they were when the hub started.
#[derive(Debug)]
pub(crate) struct Footing {
    files: Vec<(PathBuf, FileId)>,
}

impl Footing {
    /// Notes which files stand at these paths.
    pub(crate) fn on(paths: &[PathBuf]) -> io::Result<Self> {
        let files = paths
            .iter()
            .map(|path| Ok((path.clone(), platform::file_id(path)?)));
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
        })
    }

    /// Returns, when it happens, the path at which the file is not the same any more.
    pub(crate) async fn lost(&self) -> &Path {
        loop {
            tokio::time::sleep(LOOK).await;
            for (path, id) in &self.files {
                match platform::file_id(path) {
                    Ok(now) if now == *id => {}
                    // A disk that cannot be asked says nothing about its files.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                    _ => return path,
                }
            }
        }
    }
}
