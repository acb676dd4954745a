//! Claude Code: its session file, its inbox socket and, for older versions, its hooks.
//!
//! Since 2.1.224 every session listens on an inbox socket and names it in the environment of
//! its MCP servers; a line written there starts a turn, also in an idle session. Nothing is
//! answered. Before that, a hook that was left running in the background wakes the session when
//! it ends. Channel notifications reach a session only where it was started with channels;
//! otherwise they are dropped without a word.

mod hook;
mod setup;

pub(crate) use hook::{HOOKS, has_waiter};
pub(crate) use setup::ClaudeCode;

use crate::Version;
use crate::{Assistant, ChannelNotifications, PushPath, Registration, Surroundings};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::PathBuf;

/// The first version whose sessions have an inbox socket.
const FIRST_WITH_INBOX: Version = Version(2, 1, 224);
/// The plugin and its marketplace, as Claude Code's settings name them.
const PLUGIN: &str = "ecorelay@ecorelay";

/// Most of a session file that is read, in bytes; real ones have well under 2 KiB.
const SESSION_FILE_BYTES: u64 = 64 * 1024;

/// The row of Claude Code.
pub(crate) const CLAUDE_CODE: Assistant = Assistant {
    id: "claude-code",
    client_names: &["claude-code"],
    registration: Registration::AtStart,
    notifications: ChannelNotifications::MayBeDropped {
        detail: "Claude Code shows channel notifications only in sessions started with channels",
    },
    paths: &[PushPath::InboxSocket, PushPath::Wait, PushPath::Channel],
    several_sessions: false,
    resumes: false,
    overlaps: false,
    remedy: "Start the session anew. Without an inbox socket, first: claude update (2.1.224 or newer has one).",
};

/// What a session says of itself in `sessions/<pid>.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFile {
    /// The session's own name, given by its user.
    pub name: Option<String>,
    /// Its inbox socket.
    pub inbox_socket: Option<PathBuf>,
}

impl SessionFile {
    /// Returns what the session that started this channel says of itself; nothing where there
    /// is no such file, or it is not what it should be.
    pub fn read(around: &Surroundings) -> Self {
        around
            .claude_dirs
            .iter()
            .find_map(|dir| {
                let path = dir.join("sessions").join(format!("{}.json", around.parent));
                let mut text = String::new();
                let file = std::fs::File::open(path).ok()?;
                file.take(SESSION_FILE_BYTES)
                    .read_to_string(&mut text)
                    .ok()?;
                Some(Self::parse(&text))
            })
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |key: &str| {
            let text = value.get(key)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        // A name that Claude Code made up is another one after every start: mail for the session
        // that was here before would not find this one.
        let derived = field("nameSource").is_some_and(|source| source == "derived");
        Self {
            name: field("name").filter(|_| !derived),
            inbox_socket: field("messagingSocketPath").map(PathBuf::from),
        }
    }
}

/// Returns the lines that put `text` into a session through its inbox socket, one connection
/// per text: the optional token first, then the text as a user message.
pub fn inbox_lines(token: Option<&str>, text: &str) -> Vec<u8> {
    let mut lines = String::new();
    if let Some(token) = token {
        lines.push_str(&json!({"type": "auth", "token": token}).to_string());
        lines.push('\n');
    }
    let message = json!({"type": "user", "message": {"role": "user", "content": text}}).to_string();
    lines.push_str(&message);
    lines.push('\n');
    lines.into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn around(dir: &std::path::Path) -> Surroundings {
        Surroundings {
            claude_dirs: vec![dir.join("none"), dir.to_owned()],
            parent: 41,
            ..Surroundings::default()
        }
    }

    #[test]
    fn a_session_file_gives_the_name_and_the_inbox_socket() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sessions")).unwrap();
        let file = dir.path().join("sessions/41.json");
        std::fs::write(
            &file,
            r#"{"pid":41,"name":" api work ","messagingSocketPath":"/tmp/cc/41.sock","status":"idle"}"#,
        )
        .unwrap();
        let session = SessionFile::read(&around(dir.path()));
        assert_eq!(session.name.as_deref(), Some("api work"));
        assert_eq!(session.inbox_socket, Some("/tmp/cc/41.sock".into()));
    }

    #[test]
    fn a_name_that_claude_code_made_up_is_no_name() {
        let name = |source| {
            SessionFile::parse(&format!(r#"{{"name":"api-7d","nameSource":"{source}"}}"#)).name
        };
        assert_eq!(name("derived"), None);
        assert_eq!(name("user").as_deref(), Some("api-7d"));
    }

    #[test]
    fn a_broken_or_missing_session_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            SessionFile::read(&around(dir.path())),
            SessionFile::default()
        );
        for text in ["", "{", "[]", "{\"name\":7}", "{\"name\":\"  \"}", "null"] {
            assert_eq!(SessionFile::parse(text), SessionFile::default(), "{text}");
        }
    }

    #[test]
    fn each_inbox_line_is_one_json_object() {
        let bytes = inbox_lines(Some("t"), "a\n\"b\" é");
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0], json!({"type": "auth", "token": "t"}));
        assert_eq!(lines[1]["message"]["content"], "a\n\"b\" é");
        assert_eq!(inbox_lines(None, "x").split(|b| *b == b'\n').count(), 2);
    }
}
