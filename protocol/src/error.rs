//! Why something was refused: a stable code for programs and a sentence for people.

use serde::{Deserialize, Serialize};

/// The stable codes of every refusal. Source: the product's tool surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A live session holds the name.
    NameTaken,
    /// The caller has not registered, or lost its name.
    NotRegistered,
    /// The connection registered before.
    AlreadyRegistered,
    /// The line is not a message of the protocol.
    BadMsg,
    /// An argument is missing, of the wrong type or out of range.
    BadArgs,
    /// The hub cannot be reached.
    HubUnreachable,
    /// The client speaks a protocol version that the hub does not.
    ProtocolMismatch,
    /// The mailbox or the store cannot take the message.
    MailboxError,
    /// The caller is not a member of the group.
    NotMember,
    /// Only the group's admin may do this.
    NotAdmin,
    /// No group has this name.
    GroupNotFound,
    /// No such peer or hub.
    PeerNotFound,
    /// No ask or message has this id.
    UnknownAsk,
    /// Over a rate or a count limit.
    RateLimited,
    /// The text or the line is too large.
    TooLarge,
    /// Something that should not happen.
    #[serde(other)]
    Unexpected,
}

impl ErrorCode {
    /// Returns the code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameTaken => "name_taken",
            Self::NotRegistered => "not_registered",
            Self::AlreadyRegistered => "already_registered",
            Self::BadMsg => "bad_msg",
            Self::BadArgs => "bad_args",
            Self::HubUnreachable => "hub_unreachable",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::MailboxError => "mailbox_error",
            Self::NotMember => "not_member",
            Self::NotAdmin => "not_admin",
            Self::GroupNotFound => "group_not_found",
            Self::PeerNotFound => "peer_not_found",
            Self::UnknownAsk => "unknown_ask",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Unexpected => "unexpected",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the code, and a sentence that says what was wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// What was wrong and what to do, in one or two sentences.
    pub message: String,
}

impl Refusal {
    /// Returns a refusal with this code and sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Returns a `bad_args` refusal.
    pub fn bad_args(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadArgs, message)
    }
}
