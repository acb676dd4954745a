//! How it is seen that a thread has read a message: Codex writes every turn's input into the
//! thread's log (`rollout-….jsonl`), and a message of ours carries an id that nothing else has.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Most of a log that one look reads, in bytes. A turn's tool results stand in it as well; what
/// is left is read at the next look.
const LOOK_BYTES: u64 = 4 * 1024 * 1024;

/// Waits for a text in what a log grows by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    log: PathBuf,
    at: u64,
    sought: Vec<u8>,
    /// The end of what was read, in which the text may have begun.
    rest: Vec<u8>,
}

impl Receipt {
    /// Begins to watch for `sought` at the end of the log as it is now; a log that is not there
    /// yet is watched from its beginning.
    pub fn new(log: &Path, sought: &str) -> Self {
        Self {
            log: log.to_owned(),
            at: std::fs::metadata(log).map_or(0, |about| about.len()),
            sought: sought.as_bytes().to_vec(),
            rest: Vec::new(),
        }
    }

    /// Returns whether the text has come since. A log that cannot be read says no.
    pub fn has_come(&mut self) -> bool {
        if self.sought.is_empty() {
            return false;
        }
        let Ok(mut file) = File::open(&self.log) else {
            return false;
        };
        let mut new = std::mem::take(&mut self.rest);
        let before = new.len();
        if file.seek(SeekFrom::Start(self.at)).is_ok() {
            // What was read until an error counts.
            let _ = file.take(LOOK_BYTES).read_to_end(&mut new);
        }
        self.at += (new.len() - before) as u64;
        let found = new
            .windows(self.sought.len())
            .any(|part| part == self.sought);
        let keep = new.len().min(self.sought.len() - 1);
        self.rest = new.split_off(new.len() - keep);
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_text_is_seen_when_it_comes_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("rollout.jsonl");
        let mut early = Receipt::new(&log, "m-17");
        assert!(!early.has_come(), "no log");
        let mut file = File::create(&log).unwrap();
        file.write_all(b"{\"text\":\"m-16 and m-").unwrap();
        assert!(!early.has_come());
        file.write_all(b"17\"}\n").unwrap();
        assert!(early.has_come(), "in two pieces");
        let mut late = Receipt::new(&log, "m-17");
        assert!(!late.has_come(), "what stood there before does not count");
        file.write_all(b"m-17").unwrap();
        assert!(late.has_come());
        assert!(!late.has_come(), "once");
    }

    #[test]
    fn a_log_that_shrinks_or_a_text_of_nothing_is_no_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("rollout.jsonl");
        std::fs::write(&log, "0123456789").unwrap();
        let mut receipt = Receipt::new(&log, "abc");
        std::fs::write(&log, "x").unwrap();
        assert!(!receipt.has_come());
        assert!(!Receipt::new(&log, "").has_come());
        assert!(!Receipt::new(folder.path(), "abc").has_come());
    }
}
