//! The hub in this process: the only file that knows how the node is run.

use crate::error::{CliError, as_sentence};
use ecorelay_config::{Config, DataDir};
use ecorelay_node::{DaemonOptions, NodeError, run_daemon};
use std::time::Duration;

/// How long a hub that is started by a session stays after the last one.
const IDLE_EXIT: Duration = Duration::from_secs(10);

/// How a hub that runs in this process behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// A person looks on: until it is stopped.
    Foreground,
    /// Nobody looks on: until it is stopped.
    Background,
    /// Nobody looks on: until no session needs it.
    WhileNeeded,
}

/// Runs the hub until it ends.
pub(crate) fn run(data_dir: DataDir, life: Life) -> Result<(), CliError> {
    let config = Config::load(&data_dir).map_err(|error| {
        // Without valid settings there is no hub.
        CliError::no_hub(CliError::from(error).sentence())
    })?;
    let idle_exit = (life == Life::WhileNeeded).then_some(IDLE_EXIT);
    match run_daemon(DaemonOptions {
        data_dir,
        config,
        idle_exit,
    }) {
        Ok(_) => Ok(()),
        // Whoever wanted a hub in the background has one.
        Err(NodeError::AlreadyRunning { .. }) if life != Life::Foreground => Ok(()),
        Err(error) => {
            let sentence = as_sentence(&error.to_string());
            Err(match error {
                NodeError::AlreadyRunning { .. }
                | NodeError::StoreLost(_)
                | NodeError::FileLost { .. }
                | NodeError::Died => CliError::failed(sentence),
                _ => CliError::no_hub(sentence),
            })
        }
    }
}
