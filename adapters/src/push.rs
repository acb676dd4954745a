//! Which way a push goes: one path per session, never two.

use crate::claude_code::SessionFile;
use crate::{Assistant, ChannelNotifications, Surroundings};
use ecorelay_protocol::{MessageKind, fence};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushPath {
    /// The session's own inbox socket (Claude Code).
    InboxSocket,
    /// `notifications/claude/channel` over MCP.
    Channel,
    /// No way: messages wait in the inbox.
    None,
}

impl PushPath {
    /// Returns the path as it is told to the hub and written in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InboxSocket => "inbox-socket",
            Self::Channel => "channel",
            Self::None => "none",
        }
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
#[error("\"{0}\" is no push path: it is auto, inbox-socket, channel or none")]
pub struct PushChoiceError(String);

impl FromStr for PushChoice {
    type Err = PushChoiceError;
    fn from_str(text: &str) -> Result<Self, PushChoiceError> {
        match text.trim() {
            "auto" | "" => Ok(Self::Auto),
            "inbox-socket" => Ok(Self::Only(PushPath::InboxSocket)),
            "channel" => Ok(Self::Only(PushPath::Channel)),
            "none" => Ok(Self::Only(PushPath::None)),
            other => Err(PushChoiceError(other.chars().take(64).collect())),
        }
    }
}

impl PushChoice {
    /// Returns the one path of a session of `assistant`.
    pub fn path(self, assistant: &Assistant, around: &Surroundings) -> PushPath {
        let inbox_socket = || {
            assistant.inbox_socket
                && (around.inbox_socket.is_some()
                    // Without the variable, only a client known to have such a socket is asked for it.
                    || (!assistant.is_generic()
                        && SessionFile::read(around).inbox_socket.is_some()))
        };
        match self {
            Self::Only(path) => path,
            Self::Auto if inbox_socket() => PushPath::InboxSocket,
            Self::Auto if assistant.notifications == ChannelNotifications::Ignored => {
                PushPath::None
            }
            Self::Auto => PushPath::Channel,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn path(choice: &str, client: &str, socket: bool) -> PushPath {
        let around = Surroundings {
            inbox_socket: socket.then(|| "/tmp/s".into()),
            ..Surroundings::default()
        };
        let choice: PushChoice = choice.parse().unwrap();
        choice.path(Assistant::of_client(client), &around)
    }

    #[test]
    fn auto_takes_the_inbox_socket_where_there_is_one() {
        assert_eq!(path("auto", "claude-code", true), PushPath::InboxSocket);
        assert_eq!(path("auto", "claude-code", false), PushPath::Channel);
        assert_eq!(path("auto", "somebody", true), PushPath::InboxSocket);
        assert_eq!(path("auto", "somebody", false), PushPath::Channel);
    }

    #[test]
    fn a_client_without_notifications_gets_none_even_inside_another_session() {
        assert_eq!(path("auto", "codex-mcp-client", true), PushPath::None);
        assert_eq!(path("auto", "opencode", false), PushPath::None);
    }

    #[test]
    fn a_set_path_wins() {
        assert_eq!(path("channel", "claude-code", true), PushPath::Channel);
        assert_eq!(path("none", "claude-code", true), PushPath::None);
        assert_eq!(path("inbox-socket", "x", false), PushPath::InboxSocket);
        let error = "both".parse::<PushChoice>().unwrap_err().to_string();
        assert!(error.contains("inbox-socket"), "{error}");
    }
}
