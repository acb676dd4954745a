//! What a message is and what is known of its delivery.

use crate::Address;
use serde::{Deserialize, Serialize};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A direct message.
    Message,
    /// A broadcast question.
    Ask,
    /// The answer to an ask.
    Reply,
    /// A room message.
    Room,
    /// A group message.
    Group,
    /// A notice of the hub itself.
    System,
}

impl MessageKind {
    /// Returns the kind as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Ask => "ask",
            Self::Reply => "reply",
            Self::Room => "room",
            Self::Group => "group",
            Self::System => "system",
        }
    }
}

/// The two words of the reference: was it handed over, or does it wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendStatus {
    /// Handed to the recipient's live session by a push path that confirmed it.
    Delivered,
    /// Anything else.
    Queued,
}

/// Where an accepted message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Handed to the live session; the push path confirmed it.
    Delivered,
    /// In the recipient's mailbox.
    Stored,
    /// In the mailbox of a name that was never seen here.
    Unknown,
    /// Waits at this hub for the recipient's hub.
    Outbox,
    /// The recipient fetched or answered it.
    Read,
}

impl DeliveryState {
    /// Returns the state as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Stored => "stored",
            Self::Unknown => "unknown",
            Self::Outbox => "outbox",
            Self::Read => "read",
        }
    }
}

/// What a push path says of one push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushResult {
    /// Handed to the assistant.
    Handed,
    /// The assistant or its push path refused it, or there is no path.
    Refused,
    /// Written, but nothing tells whether it arrived.
    Unknown,
}

impl PushResult {
    /// Returns the result as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handed => "handed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a group entry was written by a member or by the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupEntryType {
    /// A member's text.
    Message,
    /// A membership change or a gap, told by the hub.
    System,
}

/// One entry of a group's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// Increasing within the group on this hub.
    pub id: u64,
    /// The author.
    pub from: String,
    /// The text.
    pub text: String,
    /// ISO 8601, UTC, milliseconds.
    pub ts: String,
    /// A member's message or a system line.
    #[serde(rename = "type")]
    pub entry_type: GroupEntryType,
}

/// One step on a message's way, for `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// ISO 8601, UTC, milliseconds; absent where the time is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ts: Option<String>,
    /// `accepted`, `stored`, `pushed`, `read`, `answered`, `left_mailbox`.
    pub step: String,
    /// A sentence.
    pub detail: String,
}

/// The whole way of one message, for `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTrace {
    /// The message.
    pub msg_id: String,
    /// The kind of message.
    pub kind: MessageKind,
    /// The sender.
    pub from: Address,
    /// The recipient.
    pub to: Address,
    /// Where it is now.
    pub state: DeliveryState,
    /// The steps, oldest first.
    pub steps: Vec<TraceStep>,
}
