//! Reading and replacing other programs' files: whole or not at all, through symbolic links,
//! with the mode kept.

use super::SetupError;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The largest file that is edited, in bytes: some assistants keep their history beside their
/// settings, but not more than this.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most links that are followed; a loop ends here.
const LINKS: usize = 16;

/// Returns the bytes of a file; nothing where there is none.
pub(super) fn read(file: &Path) -> Result<Option<Vec<u8>>, SetupError> {
    let fault = |source| SetupError::io("read", file, source);
    let open = match std::fs::File::open(file) {
        Ok(open) => open,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fault(e)),
    };
    let about = open.metadata().map_err(fault)?;
    if !about.is_file() {
        return Err(SetupError::broken(file, None, "it is not a file"));
    }
    let mut bytes = Vec::new();
    let mut open = open.take(FILE_BYTES + 1);
    open.read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(SetupError::broken(file, None, "it is larger than 64 MiB"));
    }
    Ok(Some(bytes))
}

/// Returns the file that is meant by a path: where its links lead, also if nothing is there.
pub(super) fn target(file: &Path) -> PathBuf {
    let mut target = file.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&target) {
            Ok(link) => {
                let folder = target.parent().unwrap_or(Path::new("/"));
                target = folder.join(link);
            }
            Err(_) => break,
        }
    }
    target
}

/// Checks that a file may be replaced.
pub(super) fn check_writable(file: &Path) -> Result<(), SetupError> {
    match std::fs::metadata(target(file)) {
        Ok(about) if about.permissions().readonly() => {
            Err(SetupError::broken(file, None, "it is read-only"))
        }
        _ => Ok(()),
    }
}

/// Returns the folders on the way to a file that are not there, outermost first.
pub(super) fn missing_folders(file: &Path) -> Vec<PathBuf> {
    let target = target(file);
    let mut missing: Vec<PathBuf> = target
        .ancestors()
        .skip(1)
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

/// As [`write`], with the folders on the way the owner's alone.
pub(super) fn write_private(file: &Path, bytes: &[u8]) -> Result<(), SetupError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    make_private(folder).map_err(|source| SetupError::io("make", folder, source))?;
    write(file, bytes)
}

/// Makes a folder that is its owner's alone; one that is there keeps its mode.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Replaces a file's content whole or not at all; makes the folders on the way. A new file is
/// its owner's alone.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), SetupError> {
    let target = target(file);
    replace(&target, bytes).map_err(|source| SetupError::io("write", file, source))
}

fn replace(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let written = write_new(&temporary, target, bytes);
    if written.is_err() {
        // It may not even have been made.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write_new(temporary: &Path, target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(temporary)?;
    if let Ok(about) = std::fs::metadata(target) {
        open.set_permissions(about.permissions())?;
    }
    open.write_all(bytes)?;
    open.sync_all()?;
    drop(open);
    std::fs::rename(temporary, target)
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(file: &Path) -> Result<(), SetupError> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(SetupError::io("remove", file, e))
        }
        _ => Ok(()),
    }
}
