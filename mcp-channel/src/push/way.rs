//! By which path a session is reached at this moment, in words for people: the hub shows it, so
//! that somebody whose message did not wake a session can see why.

use ecorelay_adapters::{Assistant, ChannelNotifications, PushPath};

/// The path that the next text would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) path: PushPath,
    /// Why there is none, or what the path cannot promise.
    pub(crate) detail: Option<String>,
}

impl Way {
    /// A path that is there.
    pub(crate) fn by(path: PushPath) -> Self {
        Self { path, detail: None }
    }

    /// No path, and why.
    pub(crate) fn none(why: impl Into<String>) -> Self {
        Self {
            path: PushPath::None,
            detail: Some(why.into()),
        }
    }
}

/// Returns in words that a path is not there now; nothing of one that has its own words.
pub(crate) fn absence(path: PushPath) -> Option<&'static str> {
    match path {
        PushPath::Plugin => Some("no plugin is attached at this moment"),
        PushPath::Wait => Some("no waiter at this moment"),
        PushPath::Terminal => Some("no terminal wrapper at this moment"),
        _ => None,
    }
}

/// Returns what a notification cannot promise to a client of this version: it is the way of
/// those that offer no better one.
pub(crate) fn doubt(assistant: &Assistant, version: &str) -> Option<String> {
    let ChannelNotifications::MayBeDropped { detail } = assistant.notifications else {
        return None;
    };
    if assistant.paths.contains(&PushPath::InboxSocket) {
        let version = match version {
            "" => String::new(),
            version => format!("version {version} "),
        };
        return Some(format!("{version}has no inbox socket; {detail}"));
    }
    Some(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_whose_notifications_may_be_dropped_is_named_with_its_version() {
        let claude = Assistant::of_client("claude-code");
        let words = doubt(claude, "2.1.100").unwrap_or_default();
        assert!(
            words.starts_with("version 2.1.100 has no inbox socket; Claude Code shows"),
            "{words}"
        );
        assert_eq!(doubt(Assistant::of_client("somebody"), "1"), None);
    }
}
