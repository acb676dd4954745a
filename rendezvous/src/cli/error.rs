//! How the program fails: what it says and its exit code.

use ecorelay_rendezvous::{IdentityError, ServerError, SettingsError};
use std::process::ExitCode;

/// Why it did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// 1: it did not work; 2: what was asked makes no sense.
    code: u8,
}

impl Failure {
    /// Returns one of this machine or network.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// Says it, and returns the exit code.
    pub(crate) fn tell(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self {
            message: error.to_string(),
            code: 2,
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::failed(error.to_string())
    }
}
