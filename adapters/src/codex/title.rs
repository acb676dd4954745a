//! What its user calls a thread (`/rename`): Codex adds a line to one file for each new name,
//! whichever process has the thread. Measured with 0.169.0.

use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The file, below Codex's folder.
const INDEX: &str = "session_index.jsonl";
/// Most of the file that is read, in bytes; the newest names stand at its end.
const READ_BYTES: u64 = 1024 * 1024;

/// Returns the newest name of a thread; nothing where its user has given it none.
pub fn title_of(home: &Path, thread: &str) -> Option<String> {
    let mut file = File::open(home.join(INDEX)).ok()?;
    let size = file.metadata().ok()?.len();
    let from = size.saturating_sub(READ_BYTES);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut bytes).ok()?;
    newest(&bytes, thread)
}

fn newest(index: &[u8], thread: &str) -> Option<String> {
    let mut lines = index.rsplit(|&byte| byte == b'\n');
    let title = lines.find_map(|line| {
        let line: Value = serde_json::from_slice(line).ok()?;
        let title = line["thread_name"].as_str()?;
        (line["id"] == thread).then(|| title.trim().to_owned())
    })?;
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_name_of_a_thread_counts() {
        let home = tempfile::tempdir().unwrap();
        let title = |thread: &str| title_of(home.path(), thread);
        assert_eq!(title("a"), None);
        let lines = [
            r#"{"id":"a","thread_name":"Billing","updated_at":"2026-11-23T00:09:11Z"}"#,
            r#"{"id":"b","thread_name":"Other"}"#,
            r#"{"id":"a","thread_name":" Pay "}"#,
            r#"{"id":"c","thread_name":""}"#,
            r#"{"id":"a","thread_na"#,
        ];
        std::fs::write(home.path().join(INDEX), lines.join("\n")).unwrap();
        assert_eq!(title("a").as_deref(), Some("Pay"));
        assert_eq!(title("b").as_deref(), Some("Other"));
        assert_eq!((title("c"), title("d")), (None, None));
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let home = tempfile::tempdir().unwrap();
        let mut text = "x".repeat(READ_BYTES as usize);
        text.push_str("\n{\"id\":\"a\",\"thread_name\":\"Late\"}\n");
        std::fs::write(home.path().join(INDEX), text).unwrap();
        assert_eq!(title_of(home.path(), "a").as_deref(), Some("Late"));
    }

    proptest! {
        #[test]
        fn nothing_that_stands_there_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            newest(&bytes, "a");
        }
    }
}
