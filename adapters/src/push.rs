//! Which ways a push can go, and which of them a session has, best first.

use crate::claude_code::{SessionFile, has_waiter};
use crate::{Assistant, Surroundings};
use ecorelay_protocol::{MessageKind, fence};
use std::fmt;
use std::str::FromStr;

/// One message to push into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushItem {
    /// The message's id, or the ask's.
    pub id: String,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// The room or group, where there is one.
    pub place: Option<String>,
    /// The line the hub wrote about the sender.
    pub header: String,
    /// The peer's text, not yet fenced.
    pub body: String,
    /// What a channel notification carries beside the text.
    pub meta: Vec<(&'static str, String)>,
}

impl PushItem {
    /// Returns the whole text a model gets to see: the header, and the body in its fence.
    pub fn content(&self) -> String {
        format!("{}\n{}", self.header, fence(&self.body))
    }
}

/// How messages get into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PushPath {
    /// The session's own inbox socket (Claude Code).
    InboxSocket,
    /// `notifications/claude/channel` over MCP.
    Channel,
    /// A plugin in the assistant's process that is attached to the channel.
    Plugin,
    /// A hook that the assistant runs while it works, and that asks the channel.
    Hook,
    /// A background command of the session that waits for one message and ends.
    Wait,
    /// The terminal in which the assistant was started (`ecorelay run`).
    Terminal,
    /// The assistant's app-server (Codex).
    AppServer,
    /// The assistant's own queue of messages for a session (Codex).
    Queue,
    /// The hub of all sessions of the assistant (Cline).
    ClineHub,
    /// The command with which the assistant is told something (Antigravity).
    AgentApi,
    /// No way: messages wait in the inbox.
    None,
}

/// Every path with its name.
const NAMES: [(PushPath, &str); 11] = [
    (PushPath::InboxSocket, "inbox-socket"),
    (PushPath::Channel, "channel"),
    (PushPath::Plugin, "plugin"),
    (PushPath::Hook, "hook"),
    (PushPath::Wait, "wait"),
    (PushPath::Terminal, "terminal"),
    (PushPath::AppServer, "app-server"),
    (PushPath::Queue, "queue"),
    (PushPath::ClineHub, "cline-hub"),
    (PushPath::AgentApi, "agentapi"),
    (PushPath::None, "none"),
];

/// What may attach to any session, best first, where its assistant's row does not say so.
const ATTACHING: [PushPath; 3] = [PushPath::Plugin, PushPath::Terminal, PushPath::Wait];

impl PushPath {
    /// Returns the path as it is told to the hub and written in settings.
    pub fn as_str(self) -> &'static str {
        let named = NAMES.iter().find(|(path, _)| *path == self);
        named.map_or("none", |(_, name)| name)
    }

    /// Returns whether it is there only while something is attached to the channel.
    pub fn is_attached(self) -> bool {
        matches!(
            self,
            Self::Plugin | Self::Hook | Self::Wait | Self::Terminal
        )
    }
}

impl fmt::Display for PushPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person set: a path, or "choose for me".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushChoice {
    /// The best path the assistant has.
    #[default]
    Auto,
    /// This path and no other.
    Only(PushPath),
}

/// A push path that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no push path: it is auto, {names}", names = NAMES.map(|(_, name)| name).join(", "))]
pub struct PushChoiceError(String);

impl FromStr for PushChoice {
    type Err = PushChoiceError;
    fn from_str(text: &str) -> Result<Self, PushChoiceError> {
        let text = text.trim();
        if matches!(text, "auto" | "") {
            return Ok(Self::Auto);
        }
        let named = NAMES.iter().find(|(_, name)| *name == text);
        named
            .map(|(path, _)| Self::Only(*path))
            .ok_or_else(|| PushChoiceError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for PushChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(path) => path.fmt(f),
        }
    }
}

impl PushChoice {
    /// Returns the paths of a session of `assistant`, best first: those of its row that these
    /// surroundings allow, and what may attach to any session. Never empty.
    pub fn paths(self, assistant: &Assistant, around: &Surroundings) -> Vec<PushPath> {
        if let Self::Only(path) = self {
            return vec![path];
        }
        let has_socket = has_inbox_socket(assistant, around);
        // A hook that waits is away for moments only, and says what became of a message.
        let has_waiter = assistant.paths.contains(&PushPath::Wait) && has_waiter(around);
        let mut paths: Vec<PushPath> = Vec::new();
        for path in assistant.paths {
            match path {
                PushPath::InboxSocket if !has_socket => {}
                // One of them and never both: the others are the better ones.
                PushPath::Channel if has_socket || has_waiter => {}
                path => paths.push(*path),
            }
        }
        // Who attaches says what became of a message; a notification may be dropped unseen.
        let before = paths.iter().position(|path| *path == PushPath::Channel);
        let at = before.unwrap_or(paths.len());
        for path in ATTACHING.into_iter().rev() {
            if !paths.contains(&path) {
                paths.insert(at, path);
            }
        }
        paths
    }
}

fn has_inbox_socket(assistant: &Assistant, around: &Surroundings) -> bool {
    assistant.paths.contains(&PushPath::InboxSocket)
        && (around.inbox_socket.is_some()
            // Without the variable, only a client known to have such a socket is asked for it.
            || (!assistant.is_generic() && SessionFile::read(around).inbox_socket.is_some()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn paths(choice: &str, client: &str, socket: bool) -> Vec<PushPath> {
        let around = Surroundings {
            inbox_socket: socket.then(|| "/tmp/s".into()),
            ..Surroundings::default()
        };
        let choice: PushChoice = choice.parse().unwrap();
        choice.paths(Assistant::of_client(client), &around)
    }

    fn path(choice: &str, client: &str, socket: bool) -> PushPath {
        paths(choice, client, socket)[0]
    }

    #[test]
    fn auto_takes_the_inbox_socket_where_there_is_one() {
        for client in ["claude-code", "somebody"] {
            let with = paths("auto", client, true);
            assert_eq!(with[0], PushPath::InboxSocket);
            assert!(!with.contains(&PushPath::Channel), "one of the two");
            let without = paths("auto", client, false);
            assert_eq!(without.last(), Some(&PushPath::Channel));
            assert!(!without.contains(&PushPath::InboxSocket));
        }
    }

    #[test]
    fn what_is_attached_comes_before_what_may_be_dropped() {
        let claude = paths("auto", "claude-code", false);
        let at = |path| claude.iter().position(|p| *p == path);
        assert!(at(PushPath::Plugin) < at(PushPath::Channel));
        assert!(at(PushPath::Wait) < at(PushPath::Channel));
    }

    #[test]
    fn a_client_without_notifications_gets_none_even_inside_another_session() {
        for client in ["codex-mcp-client", "opencode", "copilot-cli"] {
            let paths = paths("auto", client, true);
            assert!(!paths.contains(&PushPath::Channel), "{client}");
            assert!(!paths.contains(&PushPath::InboxSocket), "{client}");
        }
    }

    #[test]
    fn a_set_path_wins() {
        assert_eq!(path("channel", "claude-code", true), PushPath::Channel);
        assert_eq!(paths("none", "claude-code", true), [PushPath::None]);
        assert_eq!(path("inbox-socket", "x", false), PushPath::InboxSocket);
        let error = "both".parse::<PushChoice>().unwrap_err().to_string();
        assert!(error.contains("inbox-socket"), "{error}");
    }

    #[test]
    fn every_path_is_read_as_it_is_written() {
        for (path, name) in NAMES {
            assert_eq!(path.as_str(), name);
            let choice: PushChoice = name.parse().unwrap();
            assert_eq!(choice, PushChoice::Only(path));
            assert_eq!(choice.to_string(), name);
        }
        assert_eq!(PushChoice::Auto.to_string(), "auto");
    }
}
