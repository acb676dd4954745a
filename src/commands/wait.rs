//! `wait`: waits for one message, shows it and ends. For any agent that has a shell, and for
//! loops in scripts: nothing on standard output means that nothing came in time.
//!
//! Inside an assistant whose EcoRelay channel runs, the message comes from that channel, as the
//! session's own; anywhere else the acting name is present for as long as this waits.

use super::presence::{Presence, Stay};
use crate::context::{Context, name_hint};
use crate::error::CliError;
use crate::view::message::Shown;
use crate::view::time::now_ms;
use clap::Args;
use ecorelay_protocol::{HubLine, MessageKind, PushResult};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time to wait, in seconds: assistants give up on a command after a minute.
const MOST_S: u64 = 55;

/// The arguments of `wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait at most this long
    #[arg(long, value_name = "SECONDS", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(1..=MOST_S))]
    timeout: u64,
}

pub(crate) async fn run(args: WaitArgs, context: &Context) -> Result<(), CliError> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    #[cfg(unix)]
    if let Some(channel) = in_session::channel(context) {
        return in_session::wait(channel, context, deadline);
    }
    alone(context, deadline).await
}

/// Says that nothing came.
fn nothing(context: &Context, name: &str) -> Result<(), CliError> {
    if context.output.json() {
        return context
            .output
            .document(&json!({"ok": true, "name": name, "msg_ids": [], "text": null}));
    }
    context.output.note(&format!(
        "No message for {} in this time. `ecorelay wait` again goes on waiting.",
        ecorelay_protocol::visible(name)
    ));
    Ok(())
}

/// Waits as the acting name.
async fn alone(context: &Context, deadline: Instant) -> Result<(), CliError> {
    let me = context.me()?;
    let (mut presence, _) = Presence::enter(context, Stay::Present).await?;
    if let Some(done) = unread(&mut presence, context).await? {
        presence.leave().await;
        return Ok(done);
    }
    loop {
        let Ok(line) = timeout_at(deadline, presence.next()).await else {
            presence.leave().await;
            return nothing(context, me.as_str());
        };
        let line = line.map_err(name_hint)?;
        let Some(shown) = Shown::of_push(&line) else {
            continue;
        };
        show(context, me.as_str(), &shown, shown.id)?;
        presence.confirm(&line, PushResult::Handed, None).await?;
        if shown.kind == MessageKind::Message {
            mark_read(&mut presence, shown.id).await?;
        }
        presence.leave().await;
        return Ok(());
    }
}

/// Shows the oldest message that waits, if there is one.
async fn unread(presence: &mut Presence<'_>, context: &Context) -> Result<Option<()>, CliError> {
    let me = context.me()?;
    let answer = presence.ask(json!({"type": "inbox", "limit": 1})).await?;
    let HubLine::InboxResult { messages, .. } = &answer else {
        return Err(CliError::odd_answer("inbox"));
    };
    let Some(entry) = messages.first() else {
        return Ok(None);
    };
    let shown = Shown::of_inbox(entry);
    let answer_to = match (shown.kind, &entry.ask_id) {
        (MessageKind::Ask, Some(ask_id)) => ask_id,
        _ => &entry.msg_id,
    };
    show(context, me.as_str(), &shown, answer_to)?;
    mark_read(presence, &entry.msg_id).await?;
    Ok(Some(()))
}

async fn mark_read(presence: &mut Presence<'_>, id: &str) -> Result<(), CliError> {
    let read: Value = json!({"type": "read", "msg_ids": [id]});
    presence.ask(read).await.map(drop)
}

fn show(context: &Context, me: &str, shown: &Shown<'_>, answer_to: &str) -> Result<(), CliError> {
    let columns = context.output.terminal().map(|size| size.0);
    context.output.result(
        || {
            json!({"ok": true, "name": me, "msg_ids": [shown.id], "text": shown.text,
                "from": shown.from, "kind": shown.kind, "answer_to": answer_to})
        },
        || {
            let block = shown.block(now_ms(), columns);
            match shown.kind {
                MessageKind::Message | MessageKind::Ask | MessageKind::Reply => format!(
                    "{block}\nAnswer with: ecorelay reply {} TEXT --as {me}",
                    ecorelay_protocol::visible(answer_to)
                ),
                _ => block,
            }
        },
    )
}

/// Waiting at the channel of a session.
#[cfg(unix)]
mod in_session {
    use super::nothing;
    use crate::context::Context;
    use crate::error::CliError;
    use ecorelay_mcp_channel::attach::client::Attached;
    use ecorelay_mcp_channel::attach::{Attach, FromAttacher, FromChannel, Kind, VERSION};
    use ecorelay_protocol::PushResult;
    use serde_json::json;
    use tokio::time::Instant;

    /// Returns the channel of the session that this runs in; with a name, the one that serves
    /// this name.
    pub(super) fn channel(context: &Context) -> Option<Attached> {
        let name = context.asked_for().map(str::to_owned);
        let attach = Attach {
            version: VERSION,
            kind: Kind::Wait,
            agent: None,
            session: None,
            name,
            program_version: None,
        };
        let root = context.dir.root();
        match attach.name {
            None => Attached::here(root, &attach),
            Some(_) => Attached::named(root, &attach),
        }
    }

    pub(super) fn wait(
        mut channel: Attached,
        context: &Context,
        deadline: Instant,
    ) -> Result<(), CliError> {
        let name = channel.name.clone();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match channel.next(left) {
                Ok(Some(FromChannel::Push {
                    id, text, msg_ids, ..
                })) => {
                    let shown = context.output.result(
                        || json!({"ok": true, "name": name, "msg_ids": msg_ids, "text": text}),
                        || text.clone(),
                    );
                    let (result, detail) = match &shown {
                        Ok(()) => (PushResult::Handed, None),
                        Err(_) => (
                            PushResult::Refused,
                            Some("nobody reads what is printed; it is in the inbox".to_owned()),
                        ),
                    };
                    // A channel that is gone by now keeps nothing that could be told.
                    let _ = channel.say(&FromAttacher::Pushed { id, result, detail });
                    return shown;
                }
                Ok(Some(_)) => {}
                Ok(None) => return nothing(context, &name),
                Err(_) => {
                    return Err(CliError::failed(
                        "This waits no longer: another `ecorelay wait` of the session does, or its channel has ended.",
                    ));
                }
            }
        }
    }
}
