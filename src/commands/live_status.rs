//! The status of the hub, asked again whenever something changes. `up` and
//! `node status --watch` end in it.

use super::presence::{back, interrupted};
use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::live::LivePage;
use crate::view::status::{Surroundings, page, without_clocks};
use crate::view::style::{DIM, paint};
use crate::view::time::now_ms;
use ecorelay_protocol::HubLine;
use serde_json::{Value, json};
use std::time::Duration;

/// Changes within this time are drawn once.
const GATHER: Duration = Duration::from_millis(150);
/// The hub is asked this often without a word of it: times pass, and unread mail counts up.
const REFRESH: Duration = Duration::from_secs(5);

/// Returns the hub's status document.
pub(crate) async fn status(hub: &mut Hub) -> Result<Value, CliError> {
    match hub.ask(json!({"type": "status"})).await? {
        HubLine::StatusResult { status, .. } => Ok(status),
        _ => Err(CliError::odd_answer("status")),
    }
}

/// Returns the page for people.
pub(crate) fn status_page(status: &Value, context: &Context) -> String {
    surroundings(context, |around| page(status, around))
}

/// Returns what `page` makes of what it depends on besides the document.
pub(crate) fn surroundings(
    context: &Context,
    page: impl FnOnce(Surroundings<'_>) -> String,
) -> String {
    let home = std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
    page(Surroundings {
        now: now_ms(),
        home: home.as_deref(),
        columns: context.output.terminal().map(|size| size.0),
        program: &crate::identity::program(),
    })
}

/// Shows the status until Ctrl-C; ends with an error when the hub ends and does not come back.
pub(crate) async fn follow(hub: Hub, context: &Context) -> Result<(), CliError> {
    tokio::select! {
        () = interrupted() => context.output.after_interrupt(),
        ended = show_for_ever(hub, context) => ended,
    }
}

async fn show_for_ever(mut hub: Hub, context: &Context) -> Result<(), CliError> {
    let mut live = LivePage::default();
    let mut last = Value::Null;
    loop {
        match show_until_gone(&mut hub, context, &mut live, &mut last).await {
            Err(error) if !error.is_no_hub() => return Err(error),
            _ => hub = back(context).await?,
        }
    }
}

async fn show_until_gone(
    hub: &mut Hub,
    context: &Context,
    live: &mut LivePage,
    last: &mut Value,
) -> Result<(), CliError> {
    hub.ask(json!({"type": "watch"})).await?;
    loop {
        show_once(hub, context, live, last).await?;
        if !change(hub).await {
            return Ok(());
        }
    }
}

async fn show_once(
    hub: &mut Hub,
    context: &Context,
    live: &mut LivePage,
    last: &mut Value,
) -> Result<(), CliError> {
    let status = status(hub).await?;
    let bare = without_clocks(&status);
    let changed = bare != *last;
    *last = bare;
    if context.output.can_redraw() {
        let footer = "Ctrl-C ends this view; the hub keeps running.";
        let text = format!(
            "{}\n{}\n",
            status_page(&status, context),
            paint(DIM, footer)
        );
        return context.output.redraw(live, &text);
    }
    if !changed {
        return Ok(());
    }
    context.output.result(
        || status.clone(),
        || format!("{}\n", status_page(&status, context)),
    )
}

/// Waits until the page is to be looked at again; `false` when the hub is gone.
async fn change(hub: &mut Hub) -> bool {
    let alive = tokio::select! {
        () = tokio::time::sleep(REFRESH) => true,
        push = hub.next_push() => push.is_some(),
    };
    if alive {
        let drain = async { while hub.next_push().await.is_some() {} };
        // When the time is over nothing more came; when the hub is gone the next call says so.
        let _ = tokio::time::timeout(GATHER, drain).await;
    }
    alive
}
