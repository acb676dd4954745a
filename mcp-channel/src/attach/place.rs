//! Where a channel's socket is: in the data directory, or, where that is too long for a
//! socket's path, in a short folder that a small file there names.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::net::UnixListener;

/// The folder in the data directory.
pub(crate) const FOLDER: &str = "push";
/// Ends the name of a file that holds the path of a socket.
pub(crate) const POINTER: &str = "path";
/// Ends the name of a socket.
pub(crate) const SOCKET: &str = "sock";
/// Longest path of a socket, in bytes (macOS: 104 with the closing zero).
const PATH_BYTES: usize = 103;
/// Entries of the folder that are looked at; more channels than one machine has.
pub(crate) const ENTRIES: usize = 4_096;
/// A socket of a younger file may be one that nobody listens on yet.
const YOUNG: Duration = Duration::from_secs(5);
/// Begins the name of a folder of one socket elsewhere.
const ELSEWHERE: &str = "ecorelay-";

/// A channel's socket; it goes away with this.
#[derive(Debug)]
pub(crate) struct Place {
    /// What is removed, in this order; folders only when they are empty.
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Place {
    /// Listens on the socket of this process, which `client` has started.
    pub(crate) fn bind(data_dir: &Path, client: u32) -> io::Result<(UnixListener, Self)> {
        let folder = data_dir.join(FOLDER);
        make_folder(&folder, true)?;
        sweep(&folder);
        let name = format!("{client}-{}", std::process::id());
        let path = folder.join(format!("{name}.{SOCKET}"));
        if path.as_os_str().len() <= PATH_BYTES {
            let listener = listen(&path)?;
            let place = Self {
                files: vec![path],
                folder: None,
            };
            return Ok((listener, place));
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        let short = std::env::temp_dir().join(format!("{ELSEWHERE}{}", &random[..12]));
        // Fails where it exists: nobody else can have made it.
        make_folder(&short, false)?;
        let path = short.join(format!("s.{SOCKET}"));
        let pointer = folder.join(format!("{name}.{POINTER}"));
        let place = Self {
            files: vec![path.clone(), pointer.clone()],
            folder: Some(short),
        };
        let listener = listen(&path)?;
        std::fs::write(&pointer, path.as_os_str().as_encoded_bytes())?;
        Ok((listener, place))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for file in &self.files {
            // Whoever finds it gone needs nothing more.
            let _ = std::fs::remove_file(file);
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn make_folder(folder: &Path, may_exist: bool) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(may_exist).mode(0o700);
    builder.create(folder)?;
    if may_exist {
        // Made with another mask, or by hand.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        // A process had this one's id before; one that lives would answer.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the sockets of channels that ended without doing so themselves.
fn sweep(folder: &Path) {
    for entry in entries(folder) {
        let is_young = || {
            let changed = std::fs::symlink_metadata(&entry.file).and_then(|about| about.modified());
            let age = changed.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            age.is_ok_and(|age| age < YOUNG)
        };
        if is_dead(&entry.socket) && !is_young() {
            let _ = std::fs::remove_file(&entry.file);
            let elsewhere = entry.socket.parent().filter(|parent| {
                let name = parent.file_name().unwrap_or_default().to_string_lossy();
                entry.file != entry.socket && name.starts_with(ELSEWHERE)
            });
            if let Some(parent) = elsewhere {
                let _ = std::fs::remove_file(&entry.socket);
                let _ = std::fs::remove_dir(parent);
            }
        }
    }
}

/// Returns whether nobody listens there.
fn is_dead(socket: &Path) -> bool {
    let tried = std::os::unix::net::UnixStream::connect(socket);
    let gone = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
    tried.is_err_and(|error| gone.contains(&error.kind()))
}

/// One socket of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The process that started the channel.
    pub(crate) client: u32,
    /// The channel.
    pub(crate) channel: u32,
    /// Where it listens.
    pub(crate) socket: PathBuf,
    /// What stands in the folder.
    file: PathBuf,
}

impl Entry {
    /// Returns whether nobody listens there.
    pub(crate) fn is_dead(&self) -> bool {
        is_dead(&self.socket)
    }
}

/// Returns the sockets of a folder, those of the newest channels first.
pub(crate) fn entries(folder: &Path) -> Vec<Entry> {
    let Ok(read) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let files = read
        .take(ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut entries: Vec<Entry> = files.filter_map(entry).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.channel));
    entries
}

fn entry(file: PathBuf) -> Option<Entry> {
    let (client, channel) = file.file_stem()?.to_str()?.split_once('-')?;
    let socket = match file.extension()?.to_str()? {
        SOCKET => file.clone(),
        POINTER => {
            let text = std::fs::read(&file)
                .ok()
                .filter(|text| text.len() <= 4_096)?;
            let path = PathBuf::from(String::from_utf8(text).ok()?);
            path.is_absolute().then_some(path)?
        }
        _ => return None,
    };
    Some(Entry {
        client: client.parse().ok()?,
        channel: channel.parse().ok()?,
        socket,
        file,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_is_the_users_own_and_goes_away_with_its_channel() {
        let _inside = runtime();
        let _guard = _inside.enter();
        let dir = tempfile::tempdir().unwrap();
        let (_listener, place) = Place::bind(dir.path(), 41).unwrap();
        let folder = dir.path().join(FOLDER);
        let found = entries(&folder);
        assert_eq!(
            (found[0].client, found[0].channel),
            (41, std::process::id())
        );
        assert_eq!((mode(&folder), mode(&found[0].socket)), (0o700, 0o600));
        drop(place);
        assert_eq!(entries(&folder), []);
    }

    #[test]
    fn a_long_data_directory_has_its_socket_elsewhere() {
        let _inside = runtime();
        let _guard = _inside.enter();
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        let (_listener, place) = Place::bind(&long, 41).unwrap();
        let found = entries(&long.join(FOLDER));
        assert_eq!(found[0].client, 41);
        assert!(!is_dead(&found[0].socket));
        let elsewhere = found[0].socket.parent().unwrap().to_owned();
        assert_eq!(mode(&elsewhere), 0o700);
        drop(place);
        assert!(!elsewhere.exists());
        assert_eq!(entries(&long.join(FOLDER)), []);
    }

    #[test]
    fn sockets_of_dead_channels_are_removed_and_nothing_else() {
        let _inside = runtime();
        let _guard = _inside.enter();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        let old = SystemTime::now() - YOUNG * 2;
        for name in ["1-2.sock", "notes.txt"] {
            std::fs::write(folder.join(name), "").unwrap();
            let file = std::fs::File::options().write(true).open(folder.join(name));
            file.unwrap().set_modified(old).unwrap();
        }
        std::fs::write(folder.join("3-4.sock"), "").unwrap();
        std::fs::write(folder.join("5-6.path"), "relative").unwrap();
        let (_listener, _place) = Place::bind(dir.path(), 7).unwrap();
        assert!(!folder.join("1-2.sock").exists());
        assert!(folder.join("notes.txt").exists() && folder.join("3-4.sock").exists());
    }
}
