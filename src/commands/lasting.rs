//! A hub that stays until it is stopped: `up` and `node start|stop|restart`.

use crate::context::Context;
use crate::error::CliError;
use crate::hub::{Hub, Start};
use serde_json::json;
use std::time::Duration;

/// How long a hub may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often a hub that ends is looked at.
const LOOK: Duration = Duration::from_millis(30);

/// Returns a connection to a hub that stays, and whether it was started for that. One that a
/// session has started for itself is told to stay.
pub(crate) async fn lasting_hub(context: &Context) -> Result<(Hub, bool), CliError> {
    if let Some(mut hub) = Hub::running(&context.dir).await? {
        hub.ask(json!({"type": "stay"})).await?;
        return Ok((hub, false));
    }
    Ok((start_lasting(context).await?, true))
}

/// Returns a connection to a hub that is started to stay.
pub(crate) async fn start_lasting(context: &Context) -> Result<Hub, CliError> {
    Hub::connect(&context.dir, Start::ToStay).await
}

/// Stops the hub and waits until it is gone; `false` when none was running.
pub(crate) async fn stop_running(context: &Context) -> Result<bool, CliError> {
    let Some(mut hub) = Hub::running(&context.dir).await? else {
        return Ok(false);
    };
    match hub.ask(json!({"type": "stop"})).await {
        Ok(_) => {}
        // The hub may be gone before its answer is read.
        Err(error) if error.is_no_hub() => {}
        Err(error) => return Err(error),
    }
    let gone = async {
        hub.closed().await;
        while context.dir.socket().exists() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(STOP_WITHIN, gone).await.map_err(|_| {
        CliError::failed(format!(
            "The hub was asked to end but is still there after {} seconds.",
            STOP_WITHIN.as_secs()
        ))
        .hint("`ecorelay node logs` says what it is doing.")
    })?;
    Ok(true)
}
