//! A message as it stands in a terminal: one line of ours about it, the peer's text behind a
//! margin below.

use super::style::{BOLD, DIM, WARN, paint};
use super::text::{behind_margin, one_line};
use super::time::iso_ago;
use ecorelay_protocol::{GroupEntry, GroupEntryType, HubLine, InboxEntry, MessageKind};

/// Stands in front of every line of a peer's text.
const MARGIN: &str = "  │ ";

/// What is shown of a message. All texts may come from peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// What kind it is.
    pub(crate) kind: MessageKind,
    /// The sender; empty for a notice of the hub.
    pub(crate) from: &'a str,
    /// Whom it came to, where that is not the reader.
    pub(crate) to: Option<&'a str>,
    /// Its room or group.
    pub(crate) place: Option<&'a str>,
    /// The id to answer to: a message's or an ask's.
    pub(crate) id: &'a str,
    /// ISO 8601; empty where it has just come.
    pub(crate) ts: &'a str,
    /// The text.
    pub(crate) text: &'a str,
    /// The message or ask it answers.
    pub(crate) answers: Option<&'a str>,
    /// Asks for attention.
    pub(crate) urgent: bool,
    /// It was shown in a live session before.
    pub(crate) shown: bool,
}

impl<'a> Shown<'a> {
    /// Returns what is shown of a pushed line, if it is a message.
    pub(crate) fn of_push(line: &'a HubLine) -> Option<Self> {
        let blank = Self {
            kind: MessageKind::Message,
            from: "",
            to: None,
            place: None,
            id: "",
            ts: "",
            text: "",
            answers: None,
            urgent: false,
            shown: false,
        };
        Some(match line {
            HubLine::IncomingMessage {
                received: r,
                reply_to,
            } => Self {
                kind: r.push.kind.unwrap_or(MessageKind::Message),
                from: &r.from,
                id: &r.msg_id,
                ts: &r.ts,
                text: &r.text,
                answers: reply_to.as_deref(),
                urgent: r.urgent == Some(true),
                ..blank
            },
            HubLine::IncomingReply {
                received: r,
                ask_id,
                ..
            } => Self {
                kind: MessageKind::Reply,
                from: &r.from,
                id: &r.msg_id,
                ts: &r.ts,
                text: &r.text,
                answers: Some(ask_id),
                urgent: r.urgent == Some(true),
                ..blank
            },
            HubLine::IncomingAsk {
                from,
                question,
                ask_id,
                ..
            } => Self {
                kind: MessageKind::Ask,
                from,
                id: ask_id,
                text: question,
                ..blank
            },
            HubLine::IncomingRoomMsg {
                room,
                from,
                text,
                msg_id,
                ..
            } => Self {
                kind: MessageKind::Room,
                from,
                place: Some(room),
                id: msg_id,
                text,
                ..blank
            },
            HubLine::IncomingGroupMsg { group, received: r } => Self {
                kind: r.push.kind.unwrap_or(MessageKind::Group),
                from: &r.from,
                place: Some(group),
                id: &r.msg_id,
                ts: &r.ts,
                text: &r.text,
                ..blank
            },
            HubLine::Notice { msg_id, text } => Self {
                kind: MessageKind::System,
                id: msg_id,
                text,
                ..blank
            },
            HubLine::Watched {
                name,
                kind,
                from,
                text,
                msg_id,
                ts,
                ask_id,
                room,
                group,
            } => Self {
                kind: *kind,
                from,
                to: Some(name),
                place: room.as_deref().or(group.as_deref()),
                id: ask_id.as_deref().unwrap_or(msg_id),
                ts,
                text,
                ..blank
            },
            _ => return None,
        })
    }

    /// Returns what is shown of a message in an inbox.
    pub(crate) fn of_inbox(entry: &'a InboxEntry) -> Self {
        Self {
            kind: entry.kind.unwrap_or(MessageKind::Message),
            from: &entry.from,
            to: None,
            place: entry.group.as_deref(),
            id: &entry.msg_id,
            ts: &entry.ts,
            text: &entry.text,
            answers: entry.reply_to.as_deref().or(entry.ask_id.as_deref()),
            urgent: entry.urgent == Some(true),
            shown: entry.pushed == Some(true),
        }
    }

    /// Returns the message as lines.
    pub(crate) fn block(&self, now: u64, columns: Option<usize>) -> String {
        let from = match one_line(self.from) {
            from if from.is_empty() => "this machine's hub".to_owned(),
            from => from,
        };
        let place = self.place.map(one_line).unwrap_or_default();
        let within = |what: &str| match place.as_str() {
            "" => format!("in a {what}"),
            place => format!("in {what} {place}"),
        };
        let mut head = match self.kind {
            MessageKind::Message => paint(BOLD, from),
            MessageKind::Ask => format!("{} asks", paint(BOLD, from)),
            MessageKind::Reply => format!("{} answers", paint(BOLD, from)),
            MessageKind::Room => format!("{} {}", paint(BOLD, from), within("room")),
            MessageKind::Group => format!("{} {}", paint(BOLD, from), within("group")),
            MessageKind::System if place.is_empty() => format!("{}, a notice", paint(BOLD, from)),
            MessageKind::System => format!("{}, a notice on group {place}", paint(BOLD, from)),
        };
        if let Some(to) = self.to {
            head.push_str(&format!(" → {}", one_line(to)));
        }
        if self.urgent {
            head.push_str(&format!(" {}", paint(WARN, "urgent")));
        }
        let mut about = Vec::new();
        if !self.ts.is_empty() {
            about.push(iso_ago(now, self.ts));
        }
        if !self.id.is_empty() {
            about.push(one_line(self.id));
        }
        if let Some(answers) = self.answers {
            about.push(format!("answers {}", one_line(answers)));
        }
        if self.shown {
            about.push("shown before".to_owned());
        }
        format!(
            "{head}{}\n{}",
            paint(
                DIM,
                about.iter().map(|a| format!(" · {a}")).collect::<String>()
            ),
            behind_margin(self.text, MARGIN, columns)
        )
    }
}

/// Returns an entry of a group's history as lines.
pub(crate) fn history_entry(entry: &GroupEntry, now: u64, columns: Option<usize>) -> String {
    let about = paint(
        DIM,
        format!(" · {} · {}", iso_ago(now, &entry.ts), entry.id),
    );
    match entry.entry_type {
        GroupEntryType::System => {
            format!("{}{about}\n", paint(DIM, one_line(&entry.text)))
        }
        GroupEntryType::Message => format!(
            "{}{about}\n{}",
            paint(BOLD, one_line(&entry.from)),
            behind_margin(&entry.text, MARGIN, columns)
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use ecorelay_protocol::{Push, Received};

    const NOW: u64 = 1_795_345_096_789;

    #[test]
    fn a_peer_cannot_write_where_we_write() {
        let line = HubLine::IncomingMessage {
            received: Received {
                msg_id: "m-1".into(),
                from: "api".into(),
                text: "first\nboss · just now · m-2\n\u{1b}[31mred".into(),
                ts: "2026-11-22T10:55:16.789Z".into(),
                urgent: Some(true),
                origin_hub: None,
                push: Push::default(),
            },
            reply_to: Some("m-0".into()),
        };
        assert_eq!(
            plain(&Shown::of_push(&line).unwrap().block(NOW, Some(40))),
            "api urgent · 3 min ago · m-1 · answers m-0\n  │ first\n  │ boss · just now · m-2\n  │ ⟨U+001B⟩[31mred\n"
        );
    }

    #[test]
    fn a_line_that_is_no_message_is_not_shown() {
        assert!(Shown::of_push(&HubLine::StatusChanged).is_none());
    }
}
