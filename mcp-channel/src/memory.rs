//! What sessions are called that their assistant can take up again in another process: one
//! small file per session in the data directory, named after the assistant and its id of the
//! session. It also says which channel serves the session, so that of several channels of one
//! process each finds its own.

use crate::attach;
use ecorelay_config::DataDir;
use ecorelay_protocol::Name;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder in the data directory.
const FOLDER: &str = "sessions";
/// Sessions that are remembered; the one that was not used for longest is forgotten first.
const SESSIONS: usize = 500;
/// Longest id that is remembered, in characters; it becomes the name of a file.
const ID_CHARS: usize = 100;
/// Largest file that is read, in bytes: a name and a title.
const FILE_BYTES: u64 = 4 * 1024;

/// What is known of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The peer's name, once the hub has given it one.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What the assistant called the session when it had that name.
    #[serde(default)]
    pub(crate) title: Option<String>,
    /// The process id of the channel that served it last.
    pub(crate) channel: u32,
}

impl Known {
    /// Returns what is known of a session that this process serves.
    pub(crate) fn now(name: Option<String>, title: Option<String>) -> Self {
        Self {
            name,
            title,
            channel: std::process::id(),
        }
    }
}

/// The memory of one assistant's sessions.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    dir: DataDir,
    assistant: &'static str,
}

impl Memory {
    pub(crate) fn new(dir: DataDir, assistant: &'static str) -> Self {
        Self { dir, assistant }
    }

    /// Returns what is known of a session; what cannot be read is not known.
    pub(crate) fn recall(&self, id: &str) -> Option<Known> {
        let file = self.file(id)?;
        let size = std::fs::metadata(&file).ok()?.len();
        let bytes = std::fs::read(&file).ok().filter(|_| size <= FILE_BYTES)?;
        read(&bytes)
    }

    /// Remembers a session.
    ///
    /// # Errors
    /// When it cannot be written down; it then comes back under another name.
    pub(crate) fn keep(&self, id: &str, known: &Known) -> io::Result<()> {
        let Some(file) = self.file(id) else {
            return Ok(());
        };
        let folder = self.folder();
        make_folder(&folder)?;
        if !file.exists() {
            forget_oldest(&folder);
        }
        let new = folder.join(format!(".{}", std::process::id()));
        std::fs::write(&new, serde_json::to_vec(known)?)?;
        std::fs::rename(&new, &file)
    }

    /// Returns whether another channel of `client` serves the session.
    pub(crate) fn is_taken(&self, id: &str, client: u32) -> bool {
        let served = self.recall(id).map(|known| known.channel);
        served.is_some_and(|channel| {
            channel != std::process::id() && attach::is_channel_of(&self.dir, client, channel)
        })
    }

    fn folder(&self) -> PathBuf {
        self.dir.root().join(FOLDER)
    }

    /// Returns the file of a session; ids that are no plain names are not remembered.
    fn file(&self, id: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let usable = !id.is_empty() && id.len() <= ID_CHARS && id.chars().all(plain);
        usable.then(|| self.folder().join(format!("{}-{id}.json", self.assistant)))
    }
}

fn read(bytes: &[u8]) -> Option<Known> {
    let known: Known = serde_json::from_slice(bytes).ok()?;
    let valid = |name: &String| Name::parse(name, "").is_ok();
    known.name.as_ref().is_none_or(valid).then_some(known)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes room for one more.
fn forget_oldest(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = files
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
        .collect();
    files.sort_unstable();
    let too_many = (files.len() + 1).saturating_sub(SESSIONS);
    for (_, file) in files.into_iter().take(too_many) {
        // Another channel may have done so.
        let _ = std::fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn known(name: &str) -> Known {
        Known::now(Some(name.into()), None)
    }

    fn memory(root: &Path) -> Memory {
        Memory::new(DataDir::at(root), "codex")
    }

    #[test]
    fn a_session_is_called_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let memory = memory(root.path());
        assert_eq!(memory.recall("a"), None);
        memory.keep("a", &known("api")).unwrap();
        memory.keep("b", &known("api-2")).unwrap();
        memory.keep("a", &known("shop")).unwrap();
        assert_eq!(memory.recall("a"), Some(known("shop")));
        assert_eq!(memory.recall("b"), Some(known("api-2")));
        let other = Memory::new(DataDir::at(root.path()), "opencode");
        assert_eq!(other.recall("a"), None);
        for id in ["../a", "", "a b", &"x".repeat(ID_CHARS + 1)] {
            memory.keep(id, &known("x")).unwrap();
            assert_eq!(memory.recall(id), None, "{id}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let memory = memory(root.path());
        memory.keep("old", &known("old")).unwrap();
        let old = std::fs::File::options()
            .write(true)
            .open(memory.file("old").unwrap());
        old.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        for n in 0..SESSIONS {
            memory.keep(&format!("s{n}"), &known("x")).unwrap();
        }
        assert_eq!(
            std::fs::read_dir(memory.folder()).unwrap().count(),
            SESSIONS
        );
        assert_eq!(memory.recall("old"), None);
    }

    #[test]
    fn a_session_is_taken_only_while_the_other_channel_is_there() {
        let root = tempfile::tempdir().unwrap();
        let memory = memory(root.path());
        let of = |channel| Known {
            channel,
            ..known("api")
        };
        memory.keep("a", &of(std::process::id())).unwrap();
        assert!(!memory.is_taken("a", 1), "our own");
        memory.keep("a", &of(u32::MAX)).unwrap();
        assert!(!memory.is_taken("a", 1) && !memory.is_taken("b", 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_known_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        #[test]
        fn a_name_that_is_none_is_not_known(name in ".{0,80}") {
            let bytes = serde_json::to_vec(&known(&name)).unwrap();
            prop_assert_eq!(read(&bytes).is_some(), Name::parse(&name, "").is_ok());
        }
    }
}
