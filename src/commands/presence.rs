//! Being present: what `watch`, `room join` and `broadcast` share. While a person is present
//! under a name, messages for it are shown at once and the hub is told so.
//!
//! Types to know: [`Presence`], which survives a hub that restarts, and [`Stay`].

use crate::context::{Context, name_hint};
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::message::Shown;
use crate::view::time::now_ms;
use ecorelay_protocol::{HubLine, Name, PushResult};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The name of the push path that a terminal is.
const PATH: &str = "terminal";
/// A hub that restarts may be away this long.
pub(crate) const AWAY: Duration = Duration::from_secs(10);
/// How often a hub that is away is looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// As what a person is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Under the acting name.
    Present,
    /// Under the acting name, in a room.
    InRoom(String),
    /// Unseen, looking at what comes for a name.
    Watching(Name),
}

/// A connection under which a person is there.
#[derive(Debug)]
pub(crate) struct Presence<'a> {
    context: &'a Context,
    stay: Stay,
    hub: Hub,
}

impl<'a> Presence<'a> {
    /// Returns the presence and the hub's answer to it. Starts a hub if none runs.
    pub(crate) async fn enter(
        context: &'a Context,
        stay: Stay,
    ) -> Result<(Self, HubLine), CliError> {
        let opened = context.open(first_request(context, &stay)?).await;
        let (mut hub, answer) = opened.map_err(name_hint)?;
        let answer = then_join(&mut hub, &stay, answer).await?;
        Ok((Self { context, stay, hub }, answer))
    }

    /// Returns the next line that comes by itself. Safe to give up on and call again.
    ///
    /// # Errors
    /// When the hub has ended and does not come back, or refuses the place it gave before.
    pub(crate) async fn next(&mut self) -> Result<HubLine, CliError> {
        loop {
            match self.hub.next_push().await {
                Some(HubLine::Evicted { message }) => {
                    return Err(CliError::failed(ecorelay_protocol::visible(&message))
                        .hint("Run the command again to take part again."));
                }
                Some(line) => return Ok(line),
                None => {
                    let mut hub = back(self.context).await?;
                    let first = first_request(self.context, &self.stay)?;
                    let answer = hub.ask(first).await.map_err(name_hint)?;
                    then_join(&mut hub, &self.stay, answer).await?;
                    self.hub = hub;
                }
            }
        }
    }

    /// Asks the hub.
    pub(crate) async fn ask(&mut self, request: Value) -> Result<HubLine, CliError> {
        self.hub.ask(request).await
    }

    /// Shows a line, if it is a message, and tells the hub that it was shown.
    pub(crate) async fn show(&mut self, line: &HubLine) -> Result<(), CliError> {
        let Some(shown) = Shown::of_push(line) else {
            return Ok(());
        };
        let output = self.context.output;
        let columns = output.terminal().map(|size| size.0);
        output.result(|| event(line, &shown), || shown.block(now_ms(), columns))?;
        self.confirm(line, PushResult::Handed, None).await
    }

    /// Tells the hub what became of a line.
    pub(crate) async fn confirm(
        &mut self,
        line: &HubLine,
        result: PushResult,
        detail: Option<&str>,
    ) -> Result<(), CliError> {
        let Some(id) = confirmed_id(line) else {
            return Ok(());
        };
        let told = self
            .hub
            .tell(json!({
                "type": "pushed", "msg_ids": [id], "result": result, "path": PATH, "detail": detail,
            }))
            .await;
        match told {
            // The hub is gone; the next one pushes the message again.
            Err(error) if error.is_no_hub() => Ok(()),
            told => told,
        }
    }

    /// Returns once the hub has read everything it was told.
    pub(crate) async fn leave(self) {
        self.hub.finish().await;
    }
}

fn first_request(context: &Context, stay: &Stay) -> Result<Value, CliError> {
    match stay {
        Stay::Watching(name) => Ok(json!({"type": "watch", "name": name})),
        Stay::Present | Stay::InRoom(_) => context.registration(false),
    }
}

/// Joins the room, if it is about one; returns the hub's last word.
async fn then_join(hub: &mut Hub, stay: &Stay, answer: HubLine) -> Result<HubLine, CliError> {
    match stay {
        Stay::InRoom(room) => hub.ask(json!({"type": "join_room", "room": room})).await,
        _ => Ok(answer),
    }
}

/// Returns a connection to the hub that takes the place of one that has ended. Starts none:
/// somebody may have stopped it on purpose.
pub(crate) async fn back(context: &Context) -> Result<Hub, CliError> {
    let look = async {
        loop {
            if let Ok(Some(hub)) = Hub::running(&context.dir).await {
                return hub;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(AWAY, look).await.map_err(|_| {
        CliError::no_hub("The hub has ended.").hint("`ecorelay node start` starts it again.")
    })
}

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
    }
}

/// Returns the id under which a line is confirmed, if it is.
fn confirmed_id(line: &HubLine) -> Option<&str> {
    match line {
        HubLine::IncomingMessage { received, .. }
        | HubLine::IncomingReply { received, .. }
        | HubLine::IncomingGroupMsg { received, .. } => Some(&received.msg_id),
        HubLine::Notice { msg_id, .. } | HubLine::IncomingRoomMsg { msg_id, .. } => Some(msg_id),
        HubLine::IncomingAsk { ask_id, .. } => Some(ask_id),
        _ => None,
    }
}

/// Returns a line for programs: its own keys, and `kind`.
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
