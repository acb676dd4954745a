//! Logs, to standard error: lines for people on a terminal, JSON lines for everything else.
//! Never a token, and below `debug` no PeerId of a hub.

use super::error::Failure;
use ecorelay_rendezvous::{LogFormat, Settings};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Begins to log.
pub(crate) fn install(settings: &Settings) -> Result<(), Failure> {
    let level = settings.log_level()?;
    // What the libraries log is about single packets and strangers.
    let filter = format!("warn,ecorelay_rendezvous={level}");
    let filter = EnvFilter::try_new(filter).map_err(|e| Failure::failed(e.to_string()))?;
    let format = settings.log_format.unwrap_or({
        if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        }
    });
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // Another subscriber can only be there in a test.
    let _ = match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.with_target(false).try_init(),
    };
    Ok(())
}
