//! Why a hub did not do what it was asked.

use ecorelay_protocol::{ErrorCode, Refusal};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The hub refused it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// No hub could be reached; a later attempt may find one.
    #[error("{0}")]
    HubUnreachable(String),
    /// No hub could be started, and it will not be different next time unless somebody mends it.
    #[error("{0}")]
    HubCannotStart(String),
    /// The connection ended before the answer came.
    #[error("The connection to the hub was lost before the answer came.")]
    Lost {
        /// The request may have reached the hub.
        sent: bool,
    },
    /// The hub did not answer in time.
    #[error(
        "The hub did not answer within {0} seconds; whether it did what was asked is not known."
    )]
    NoAnswer(u64),
}

impl ClientError {
    /// Returns this error as a refusal: the hub's own, or `hub_unreachable`.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            other => Refusal::new(ErrorCode::HubUnreachable, other.to_string()),
        }
    }
}
