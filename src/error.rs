//! The one error of the command line: what was wrong and what to do, with an exit code.

use ecorelay_config::ConfigError;
use ecorelay_protocol::{ErrorCode, Refusal};
use std::process::ExitCode;

/// How a command failed; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The hub refused, or something on this machine did not work. Exit code 1.
    Failed,
    /// The arguments make no sense. Exit code 2.
    Usage,
    /// No hub could be reached or started. Exit code 3.
    NoHub,
    /// Nobody reads what is printed any more. Exit code 0.
    ClosedPipe,
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    /// Decides the exit code.
    pub(crate) kind: ErrorKind,
    /// For programs.
    pub(crate) code: ErrorCode,
    /// What was wrong: a sentence.
    pub(crate) message: String,
    /// What to do, where the message does not say it.
    pub(crate) hint: Option<String>,
    /// It has been said already.
    pub(crate) told: bool,
}

impl CliError {
    fn new(kind: ErrorKind, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            hint: None,
            told: false,
        }
    }

    /// Returns an error of this machine: a file, a clock, a stream.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, ErrorCode::Unexpected, message)
    }

    /// Returns an error in the arguments.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, ErrorCode::BadArgs, message)
    }

    /// Returns the error that no hub could be reached or started.
    pub(crate) fn no_hub(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NoHub, ErrorCode::HubUnreachable, message)
    }

    /// Returns whether no hub could be reached or started.
    pub(crate) fn is_no_hub(&self) -> bool {
        self.kind == ErrorKind::NoHub
    }

    /// Returns this error as one of which nothing more is to be said.
    #[must_use]
    pub(crate) fn already_told(mut self) -> Self {
        self.told = true;
        self
    }

    /// Returns the error for an answer that does not fit the request.
    pub(crate) fn odd_answer(request: &str) -> Self {
        Self::failed(format!(
            "The hub's answer to \"{request}\" is not one this program knows."
        ))
        .hint("Hub and command line are of different versions: `ecorelay node restart`.")
    }

    /// Returns this error with what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns message and hint as one text.
    pub(crate) fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// Returns what the shell is told.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::NoHub => 3,
            ErrorKind::ClosedPipe => 0,
        })
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.code {
            ErrorCode::HubUnreachable => ErrorKind::NoHub,
            _ => ErrorKind::Failed,
        };
        Self::new(
            kind,
            refusal.code,
            crate::view::text::with_commands(&refusal.message),
        )
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::failed(as_sentence(&error.to_string()))
    }
}

/// Returns an error's text as a sentence: a capital first, a full stop last.
pub(crate) fn as_sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let first = chars.next().map(char::to_uppercase);
    let text: String = first.into_iter().flatten().chain(chars).collect();
    if text.ends_with(['.', '!', '?']) {
        text
    } else {
        format!("{text}.")
    }
}

impl From<std::io::Error> for CliError {
    /// For writing to standard output only.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(ErrorKind::ClosedPipe, ErrorCode::Unexpected, "");
        }
        Self::failed(format!("Writing to standard output failed: {error}."))
            .hint("Check where the output goes (a full disk?) and run the command again.")
    }
}
