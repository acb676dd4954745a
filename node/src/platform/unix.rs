//! Unix: owners and modes of files, the process's limits, signals, and who is at the other end
//! of a local socket.

use super::FolderProblem;
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::{GenericFilePath, Name, ToFsName as _};
use rustix::process::{Resource, Rlimit, geteuid};
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// Returns the machine's name.
pub(crate) fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Lets new files of this process be the user's alone.
pub(crate) fn set_private_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Lets this process open as many files as the system allows: a session is one, and the usual
/// soft limit of 1,024 is below the hub's own bound.
pub(crate) fn raise_open_files_limit() {
    let now = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Returns what is wrong with a folder that is to hold secrets.
pub(crate) fn folder_problem(path: &Path) -> io::Result<Option<FolderProblem>> {
    let folder = std::fs::metadata(path)?;
    Ok(if folder.uid() != geteuid().as_raw() {
        Some(FolderProblem::OtherOwner {
            owner: folder.uid(),
        })
    } else if folder.mode() & 0o022 != 0 {
        Some(FolderProblem::OthersWrite {
            mode: folder.mode() & 0o7777,
        })
    } else {
        None
    })
}

/// Makes files that are created with these options the user's alone.
pub(crate) fn private_file(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Takes a file away from other users' eyes, where it is ours and was open to them. A socket is
/// made with the bit for running it too, which nobody needs.
pub(crate) fn restrict_file(path: &Path) {
    let open = std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o177 != 0);
    if open && let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "the file stays readable for others");
    }
}

/// What a file is, whatever its name: its device and inode.
pub(crate) type FileId = (u64, u64);

/// Returns which file stands at a path.
pub(crate) fn file_id(path: &Path) -> io::Result<FileId> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Returns the name under which the socket at `path` is bound.
pub(crate) fn socket_name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<GenericFilePath>()
}

/// Removes what a hub that is gone left at its socket's path. A file that is not a socket stays.
pub(crate) fn remove_stale_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is not a socket has this name",
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Returns whether the process at the other end runs as the same user as this one.
pub(crate) fn is_same_user(stream: &Stream) -> bool {
    let peer = stream.peer_creds().ok().and_then(|creds| creds.euid());
    peer == Some(geteuid().as_raw())
}

/// Waits until the process is told to end (SIGTERM, SIGINT, SIGHUP) and returns the signal's
/// name.
pub(crate) async fn told_to_end() -> io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        _ = hup.recv() => "SIGHUP",
    })
}
