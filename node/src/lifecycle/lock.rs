//! `hub.lock`: whoever holds the lock on this file is the hub of the data directory. The system
//! lets go of it when the process ends, however it ends.

use crate::{NodeError, platform};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// The lock, held until it is dropped. The file stays: deleting it would let two hubs lock two
/// files of one name.
#[derive(Debug)]
pub(crate) struct HubLock {
    file: File,
}

impl Drop for HubLock {
    /// Takes the process id out of the file: whoever waits for this hub's end sees that it came.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

impl HubLock {
    /// Takes the lock and writes this process's id into the file.
    ///
    /// # Errors
    /// [`NodeError::AlreadyRunning`] when another hub holds it.
    pub(crate) fn take(path: &Path) -> Result<Self, NodeError> {
        let failed = |source| NodeError::Io {
            action: "cannot lock",
            path: path.display().to_string(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        platform::private_file(&mut options);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(path);
                return Err(NodeError::AlreadyRunning {
                    pid: holder(&mut file),
                    folder: folder.display().to_string(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The number is only told to people; the lock is what counts.
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(failed)?;
        Ok(Self { file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
