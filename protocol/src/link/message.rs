//! Direct messages between hubs.

use crate::{DeliveryState, MessageKind, Name, Refusal};
use serde::{Deserialize, Serialize};

/// A direct message. Its hub is the one at the other end of the link, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectMessage {
    /// Its id, unique on the sender's hub.
    pub msg_id: String,
    /// `message` or `reply`.
    pub kind: MessageKind,
    /// The sender.
    pub from: Name,
    /// The recipient.
    pub to: Name,
    /// The text.
    pub text: String,
    /// When the sender's hub accepted it, in ms since 1970.
    pub ts: u64,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The ask it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_id: Option<String>,
    /// Asks for attention.
    #[serde(default)]
    pub urgent: bool,
}

/// The answer to a [`DirectMessage`]: sent after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Which message.
    pub msg_id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a direct message at the recipient's hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is on disk there.
    Stored {
        /// `stored`, `unknown`, or what is known of a message that was there before.
        state: DeliveryState,
        /// A sentence where the state needs one.
        detail: Option<String>,
        /// It is on its way into the live session: a [`Receipt`] follows.
        pushed: bool,
    },
    /// It was not taken.
    Refused(Refusal),
}

/// Later word of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which message.
    pub msg_id: String,
    /// Where it is now.
    pub state: DeliveryState,
    /// Since when, in ms since 1970.
    pub ts: u64,
    /// A sentence where the state needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Asks for a [`Receipt`] of each of these messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// At most [`crate::limits::QUERY_IDS`].
    pub msg_ids: Vec<String>,
}
