//! Everything that is not Unix: access rights come from the user's profile folder, and local
//! sockets are named pipes.

use super::FolderProblem;
use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::{GenericNamespaced, Name, ToNsName as _};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Returns the machine's name.
pub(crate) fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Files in the user's profile are private there.
pub(crate) fn set_private_umask() {}

/// There is no such limit to raise.
pub(crate) fn raise_open_files_limit() {}

/// The profile folder's access rights decide.
pub(crate) fn folder_problem(path: &Path) -> io::Result<Option<FolderProblem>> {
    std::fs::metadata(path).map(|_| None)
}

/// The profile folder's access rights decide.
pub(crate) fn private_file(_: &mut OpenOptions) {}

/// The profile folder's access rights decide.
pub(crate) fn restrict_file(_: &Path) {}

/// A file that is open cannot be replaced there: that it exists is enough.
pub(crate) type FileId = ();

/// Returns which file stands at a path.
pub(crate) fn file_id(path: &Path) -> io::Result<FileId> {
    std::fs::metadata(path).map(|_| ())
}

/// Returns the name of the pipe that stands for the socket at `path`.
pub(crate) fn socket_name(path: &Path) -> io::Result<Name<'static>> {
    let name: String = path
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("ecorelay-{name}").to_ns_name::<GenericNamespaced>()
}

/// A named pipe is gone with its process.
pub(crate) fn remove_stale_socket(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The default rights of a named pipe let in its owner and administrators only.
pub(crate) fn is_same_user(_: &Stream) -> bool {
    true
}

/// Waits until the process is told to end.
pub(crate) async fn told_to_end() -> io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
}
