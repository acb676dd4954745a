//! A hub that stays until it is stopped: `up` and `node start|stop|restart`.

use crate::context::Context;
use crate::error::CliError;
use crate::hub::{Hub, Start};
use ecorelay_config::DataDir;
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

/// Returns a connection to a hub that stays, started if a session was not faster.
pub(crate) async fn start_lasting(context: &Context) -> Result<Hub, CliError> {
    let mut hub = Hub::connect(&context.dir, Start::ToStay).await?;
    hub.ask(json!({"type": "stay"})).await?;
    Ok(hub)
}

/// Stops the hub and waits until it has closed its store; `false` when none was running.
pub(crate) async fn stop_running(context: &Context) -> Result<bool, CliError> {
    let lock = HubLock::look(&context.dir);
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
        while lock.is_held(&context.dir) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let ended = tokio::time::timeout(STOP_WITHIN, gone).await.is_ok();
    if ended || Hub::running(&context.dir).await?.is_none() {
        return Ok(true);
    }
    Err(CliError::failed(format!(
        "The hub was asked to end but is still there after {} seconds.",
        STOP_WITHIN.as_secs()
    ))
    .hint("`ecorelay node logs` says what it is doing."))
}

/// Who holds the hub's lock: a hub writes its process id into the file it keeps locked, and
/// takes it out when it has closed its store.
struct HubLock {
    holder: String,
}

impl HubLock {
    fn look(dir: &DataDir) -> Self {
        let holder = std::fs::read_to_string(dir.lock()).unwrap_or_default();
        Self { holder }
    }

    /// Returns whether the same hub is still there. A session may have started the next hub by
    /// now; that one is another holder.
    fn is_held(&self, dir: &DataDir) -> bool {
        !self.holder.is_empty() && Self::look(dir).holder == self.holder
    }
}
