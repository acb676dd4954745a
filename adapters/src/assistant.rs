//! The table of assistants. A new assistant is a new row; nothing else branches on its name.

use crate::PushPath;
use crate::generic::GENERIC;

/// When a channel takes its name at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// As soon as the client says that it is initialized.
    AtStart,
    /// At the first tool call: the client also starts instances only to list their tools, and
    /// those must not show up as sessions.
    AtFirstCall,
}

/// What becomes of a `notifications/claude/channel` notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelNotifications {
    /// The client shows what it is sent.
    Shown,
    /// The client may drop it without saying so.
    MayBeDropped {
        /// Why, in one sentence for the sender.
        detail: &'static str,
    },
    /// The client knows no such notification.
    Ignored,
}

/// One assistant.
#[derive(Debug, PartialEq, Eq)]
pub struct Assistant {
    /// The stable name that peers see.
    pub id: &'static str,
    /// The names it gives as `clientInfo.name`.
    pub client_names: &'static [&'static str],
    /// When its channel registers.
    pub registration: Registration,
    /// What it does with channel notifications.
    pub notifications: ChannelNotifications,
    /// The ways into its sessions, best first; which of them are there is seen at run time.
    pub paths: &'static [PushPath],
    /// One channel process may serve several of its sessions, told apart by their ids.
    pub several_sessions: bool,
    /// A session can be taken up again later, in another process, and is told by its id: it is
    /// then called as it was before.
    pub resumes: bool,
    /// For a new session in the same terminal it starts a channel before it ends the one there
    /// was.
    pub overlaps: bool,
    /// What a person does about a session into which nothing can be pushed.
    pub remedy: &'static str,
}

/// Every assistant known by name. Source: recorded `initialize` requests; for Antigravity CLI and
/// Cursor CLI public notes.
static ASSISTANTS: [Assistant; 8] = [
    crate::claude_code::CLAUDE_CODE,
    Assistant {
        id: "codex",
        client_names: &["codex-mcp-client"],
        // Codex starts an instance of a few milliseconds for every inventory of its servers.
        registration: Registration::AtFirstCall,
        notifications: ChannelNotifications::Ignored,
        paths: &[PushPath::AppServer, PushPath::Queue],
        several_sessions: true,
        resumes: true,
        overlaps: false,
        remedy: "Write to it once, so that its thread is known. What runs in `codex exec` cannot be reached.",
    },
    Assistant {
        id: "opencode",
        client_names: &["opencode"],
        registration: Registration::AtStart,
        notifications: ChannelNotifications::Ignored,
        paths: &[PushPath::Plugin],
        several_sessions: true,
        resumes: false,
        overlaps: false,
        remedy: "ecorelay install opencode; then start the session anew.",
    },
    Assistant {
        id: "copilot-cli",
        client_names: &["copilot-cli"],
        registration: Registration::AtStart,
        notifications: ChannelNotifications::Ignored,
        paths: &[PushPath::Plugin],
        several_sessions: false,
        resumes: false,
        overlaps: true,
        remedy: "ecorelay install copilot, with yes to its extension; then start the session anew.",
    },
    Assistant {
        id: "gemini-cli",
        client_names: &["gemini-cli-mcp-client"],
        registration: Registration::AtStart,
        notifications: ChannelNotifications::Ignored,
        paths: &[PushPath::Wait, PushPath::Hook],
        several_sessions: false,
        resumes: false,
        overlaps: false,
        remedy: "ecorelay install gemini, with yes to background commands; then write to the session once: its model starts the command that waits.",
    },
    Assistant {
        id: "cline",
        client_names: &["@cline/core"],
        registration: Registration::AtStart,
        notifications: ChannelNotifications::Ignored,
        // The plugin sees when a turn begins with a text; Cline ends it where nothing happens.
        paths: &[PushPath::Plugin, PushPath::ClineHub],
        several_sessions: false,
        resumes: false,
        overlaps: false,
        remedy: "Write to it once: Cline ends a plugin that had nothing to do for half an hour. If that does not help: ecorelay install cline, and start the session anew.",
    },
    crate::agy::ANTIGRAVITY,
    crate::cursor::CURSOR,
];

impl Assistant {
    /// Returns the assistant that presents itself as `client_name`; the generic row for a name
    /// that nobody knows.
    pub fn of_client(client_name: &str) -> &'static Self {
        ASSISTANTS
            .iter()
            .find(|assistant| assistant.client_names.contains(&client_name))
            .unwrap_or(&GENERIC)
    }

    /// Returns the row with this id; the generic one for an id that nobody knows.
    pub fn of_id(id: &str) -> &'static Self {
        let known = ASSISTANTS.iter().find(|assistant| assistant.id == id);
        known.unwrap_or(&GENERIC)
    }

    /// Returns whether this is the row for clients that nobody knows.
    pub fn is_generic(&self) -> bool {
        self.client_names.is_empty()
    }

    /// Returns the name peers see: the row's own, or the client's where the row is generic.
    pub fn agent<'a>(&'a self, client_name: &'a str) -> &'a str {
        if self.is_generic() && !client_name.is_empty() {
            client_name
        } else {
            self.id
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_the_name_they_give() {
        assert_eq!(Assistant::of_client("claude-code").id, "claude-code");
        let codex = Assistant::of_client("codex-mcp-client");
        assert_eq!(codex.registration, Registration::AtFirstCall);
        assert_eq!(codex.notifications, ChannelNotifications::Ignored);
    }

    #[test]
    fn an_unknown_client_keeps_its_own_name() {
        let row = Assistant::of_client("my-client");
        assert!(row.is_generic());
        assert_eq!(row.agent("my-client"), "my-client");
        assert_eq!(row.agent(""), "unknown");
        let claude = Assistant::of_client("claude-code");
        assert_eq!(claude.agent("claude-code"), "claude-code");
    }

    #[test]
    fn every_row_is_found_by_its_id_and_says_what_to_do() {
        for row in &ASSISTANTS {
            assert_eq!(Assistant::of_id(row.id), row);
            assert!(row.remedy.ends_with('.'), "{}", row.id);
        }
        assert!(Assistant::of_id("aider").is_generic());
    }

    #[test]
    fn no_client_name_stands_in_two_rows() {
        let mut names: Vec<_> = ASSISTANTS.iter().flat_map(|a| a.client_names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
