//! What is said between a channel and who attaches to it: JSON, one object per line.

use ecorelay_adapters::PushPath;
use ecorelay_protocol::PushResult;
use serde::{Deserialize, Serialize};

/// The version of these lines.
pub const VERSION: u32 = 1;
/// Longest line of who attaches, in bytes: no more is said there than ids and short texts.
const ATTACHER_BYTES: usize = 64 * 1024;
/// Longest line of a channel, in bytes: a text of 16 KiB with every character escaped, and its
/// headers.
const CHANNEL_BYTES: usize = 256 * 1024;
/// Longest id or name that is kept, in characters.
const LABEL_CHARS: usize = 256;

/// What attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A plugin in the assistant's process, or a process of its own that the assistant keeps.
    Plugin,
    /// A hook: asks once.
    Hook,
    /// A command that waits for one message.
    Wait,
    /// The terminal in which the assistant was started.
    Terminal,
}

impl Kind {
    pub(crate) fn path(self) -> PushPath {
        match self {
            Self::Plugin => PushPath::Plugin,
            Self::Hook => PushPath::Hook,
            Self::Wait => PushPath::Wait,
            Self::Terminal => PushPath::Terminal,
        }
    }
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its person.
    Idle,
    /// A turn runs.
    Busy,
    /// A question to the person is open.
    Dialog,
}

impl State {
    /// Returns the word that peers see.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Dialog => "waiting",
        }
    }
}

/// The first line of who attaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Of these lines; 1.
    pub version: u32,
    /// What attaches.
    pub kind: Kind,
    /// The assistant, as EcoRelay calls it.
    #[serde(default)]
    pub agent: Option<String>,
    /// The assistant's own id of the session.
    #[serde(default)]
    pub session: Option<String>,
    /// The peer's name: wanted by a plugin or terminal, asked for by a hook or a waiter.
    #[serde(default)]
    pub name: Option<String>,
    /// The assistant's version.
    #[serde(default)]
    pub program_version: Option<String>,
}

/// A line of who attaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAttacher {
    /// The first line.
    Attach(Attach),
    /// What became of a push.
    Pushed {
        /// The push.
        id: u64,
        /// What became of it.
        result: PushResult,
        /// Why.
        #[serde(default)]
        detail: Option<String>,
    },
    /// The session has a push, and what becomes of it is not known yet. Who goes away after that
    /// has handed it on, perhaps; it is not given to anybody else.
    Taken {
        /// The push.
        id: u64,
    },
    /// A hook asks for what is there.
    Take,
    /// The assistant's session is another now, or has another title.
    Session {
        /// Its id.
        #[serde(default)]
        session: Option<String>,
        /// Its title.
        #[serde(default)]
        name: Option<String>,
    },
    /// What the session does.
    State {
        /// It.
        state: State,
    },
    /// Asks for the peer's name.
    #[serde(rename = "name?")]
    NameQuestion,
    /// The session is over; its peer goes away.
    End,
}

/// A line of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromChannel {
    /// The first line.
    Attached {
        /// The peer's name.
        name: String,
        /// The assistant's own id of the session, where the channel knows it.
        session: Option<String>,
    },
    /// Instead of the first line; the connection is closed.
    Refused {
        /// Why.
        message: String,
    },
    /// A text for the session.
    Push {
        /// Its number on this connection.
        id: u64,
        /// The text.
        text: String,
        /// The messages in it.
        msg_ids: Vec<String>,
        /// One of them asks for attention.
        #[serde(default)]
        urgent: bool,
    },
    /// Nothing is there for a hook.
    Nothing,
    /// The peer's name.
    Name {
        /// It.
        name: String,
    },
}

impl FromAttacher {
    /// Returns the line in these bytes; `None` for nonsense and for types of later versions.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut line: Self = serde_json::from_slice(bytes).ok()?;
        match &mut line {
            Self::Attach(attach) => {
                for text in [
                    &mut attach.agent,
                    &mut attach.session,
                    &mut attach.name,
                    &mut attach.program_version,
                ] {
                    bound(text);
                }
            }
            Self::Session { session, name } => {
                bound(session);
                bound(name);
            }
            Self::Pushed { detail, .. } => bound(detail),
            _ => {}
        }
        Some(line)
    }

    /// Returns the line as bytes, with its newline.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// Leaves nothing of a text that is empty, and no more of a long one than is kept.
fn bound(text: &mut Option<String>) {
    let Some(given) = text.as_deref().map(str::trim) else {
        return;
    };
    let kept: String = given.chars().take(LABEL_CHARS).collect();
    *text = (!kept.is_empty()).then_some(kept);
}

impl FromChannel {
    /// Returns the line in these bytes; `None` for nonsense and for types of later versions.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Returns the line as bytes, with its newline.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

fn encode(line: &impl Serialize) -> Vec<u8> {
    // Serialising these plain types into memory cannot fail.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Cuts bytes into lines. A line that is too long ends the connection.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    longest: usize,
}

impl Lines {
    /// For the lines of who attaches.
    pub(crate) fn of_attacher() -> Self {
        Self {
            buffer: Vec::new(),
            longest: ATTACHER_BYTES,
        }
    }

    /// For the lines of a channel.
    pub fn of_channel() -> Self {
        Self {
            buffer: Vec::new(),
            longest: CHANNEL_BYTES,
        }
    }

    /// Where bytes are read to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Returns the next whole line.
    pub fn cut(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    /// Returns whether the line under way is longer than any may be.
    pub fn is_too_long(&self) -> bool {
        self.buffer.len() > self.longest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(line: serde_json::Value) -> Option<FromAttacher> {
        FromAttacher::read(line.to_string().as_bytes())
    }

    #[test]
    fn lines_are_read_as_they_are_written_down() {
        let attach = read(json!({"type": "attach", "version": 1, "kind": "plugin",
            "agent": "opencode", "session": null, "name": "  ", "program_version": "1.18.33"}));
        let Some(FromAttacher::Attach(attach)) = attach else {
            panic!()
        };
        assert_eq!(
            (attach.kind, attach.session, attach.name),
            (Kind::Plugin, None, None)
        );
        let pushed = read(json!({"type": "pushed", "id": 3, "result": "handed"}));
        assert!(matches!(pushed, Some(FromAttacher::Pushed { id: 3, .. })));
        assert_eq!(
            read(json!({"type": "name?"})),
            Some(FromAttacher::NameQuestion)
        );
        assert_eq!(read(json!({"type": "take"})), Some(FromAttacher::Take));
        let taken = read(json!({"type": "taken", "id": 3}));
        assert_eq!(taken, Some(FromAttacher::Taken { id: 3 }));
        let state = read(json!({"type": "state", "state": "dialog"}));
        assert!(matches!(
            state,
            Some(FromAttacher::State {
                state: State::Dialog
            })
        ));
        let push = FromChannel::Push {
            id: 1,
            text: "a\nb".into(),
            msg_ids: vec!["m-1".into()],
            urgent: false,
        };
        assert_eq!(
            push.encode(),
            b"{\"type\":\"push\",\"id\":1,\"text\":\"a\\nb\",\"msg_ids\":[\"m-1\"],\"urgent\":false}\n"
        );
    }

    #[test]
    fn nonsense_is_no_line() {
        for line in [
            "",
            "{",
            "7",
            "[]",
            "null",
            "{}",
            "{\"type\":\"attach\"}",
            "{\"type\":7}",
            "{\"type\":\"pushed\",\"id\":-1,\"result\":\"handed\"}",
            "{\"type\":\"pushed\",\"id\":1,\"result\":\"done\"}",
            "{\"type\":\"attach\",\"version\":1,\"kind\":\"other\"}",
            "{\"type\":\"later\"}",
        ] {
            assert_eq!(FromAttacher::read(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not_and_texts_are_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (FromAttacher::read(&bytes), FromChannel::read(&bytes));
        }

        #[test]
        fn long_labels_are_cut(session in ".{0,600}") {
            let line = json!({"type": "session", "session": session, "name": null});
            let Some(FromAttacher::Session { session, .. }) = read(line) else {
                return Err(TestCaseError::fail("not read"));
            };
            prop_assert!(session.is_none_or(|s| (1..=LABEL_CHARS).contains(&s.chars().count())));
        }

        #[test]
        fn lines_come_whole_however_they_are_cut(text in "[a-z\n]{0,80}", at in 0usize..80) {
            let bytes = text.as_bytes();
            let (first, rest) = bytes.split_at(at.min(bytes.len()));
            let (mut lines, mut got) = (Lines::of_attacher(), Vec::new());
            for part in [first, rest] {
                lines.buffer().extend_from_slice(part);
                while let Some(line) = lines.cut() {
                    got.push(String::from_utf8(line).unwrap());
                }
            }
            let mut wanted: Vec<&str> = text.split('\n').collect();
            wanted.pop();
            prop_assert_eq!(got, wanted);
        }
    }
}
