//! The hub in this process: the only file that knows how the node is run.

use crate::error::CliError;
use ecorelay_config::DataDir;

/// How a hub that runs in this process behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// In the foreground, until it is stopped.
    Foreground,
    /// In the background, until it is stopped.
    Background,
    /// In the background, until no session needs it.
    WhileNeeded,
}

/// Runs the hub until it ends.
pub(crate) fn run(_dir: DataDir, _life: Life) -> Result<(), CliError> {
    Err(CliError::no_hub("The node is not part of this program."))
}
