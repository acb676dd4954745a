//! Being present: what `watch`, `room join` and `broadcast` share. While a person is present
//! under a name, messages for it are shown at once and the hub is told so.

use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::message::Shown;
use crate::view::time::now_ms;
use ecorelay_protocol::{HubLine, PushResult};
use serde_json::{Map, Value, json};

/// The name of the push path that a terminal is.
const PATH: &str = "terminal";

/// Returns when the person wants to stop: Ctrl-C, or the system's polite request to end.
pub(crate) async fn interrupted() {
    let asked_to_end = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut signal) = signal(SignalKind::terminate()) {
                signal.recv().await;
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Without a handler the system ends the program by itself.
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = asked_to_end => {}
        else => std::future::pending().await,
    }
}

/// Shows a pushed line, if it is a message, and tells the hub that it was shown.
pub(crate) async fn show(context: &Context, hub: &mut Hub, line: &HubLine) -> Result<(), CliError> {
    let Some(shown) = Shown::of_push(line) else {
        return match line {
            HubLine::Evicted { message } => {
                Err(CliError::failed(ecorelay_protocol::visible(message)))
            }
            _ => Ok(()),
        };
    };
    let columns = context.output.terminal().map(|size| size.0);
    context
        .output
        .result(|| event(line, &shown), || shown.block(now_ms(), columns))?;
    confirm(hub, line, PushResult::Handed, None).await
}

/// Tells the hub what became of a pushed line that has a durable message behind it.
pub(crate) async fn confirm(
    hub: &mut Hub,
    line: &HubLine,
    result: PushResult,
    detail: Option<&str>,
) -> Result<(), CliError> {
    let msg_id = match line {
        HubLine::IncomingMessage { received, .. }
        | HubLine::IncomingReply { received, .. }
        | HubLine::IncomingGroupMsg { received, .. } => &received.msg_id,
        HubLine::Notice { msg_id, .. } | HubLine::IncomingRoomMsg { msg_id, .. } => msg_id,
        HubLine::IncomingAsk { ask_id, .. } => ask_id,
        _ => return Ok(()),
    };
    hub.tell(json!({
        "type": "pushed",
        "msg_ids": [msg_id],
        "result": result,
        "path": PATH,
        "detail": detail,
    }))
    .await
}

/// Returns a pushed line for programs: its own keys, and `kind`.
fn event(line: &HubLine, shown: &Shown<'_>) -> Value {
    let mut object = match serde_json::to_value(line) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    object.remove("type");
    object.remove("header");
    object.insert("kind".into(), json!(shown.kind));
    Value::Object(object)
}

/// Returns the error for a connection that ended while somebody was present.
pub(crate) fn hub_gone() -> CliError {
    CliError::no_hub("The hub has ended.").hint("`ecorelay node start` starts it again.")
}
