//! `send`: a message to a session.

use super::words;
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::style::{GOOD, WARN, paint};
use crate::view::text::{one_line, with_commands};
use clap::Args;
use ecorelay_protocol::{DeliveryState, HubLine, SendStatus};
use serde_json::json;

/// The arguments of `send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The session: NAME, or NAME@HUB on another machine
    to: String,
    /// The text; `-` reads it from standard input
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    /// The id of the message that this one answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Ask for attention; the receiver decides
    #[arg(long)]
    pub(crate) urgent: bool,
}

pub(crate) async fn run(args: SendArgs, context: &Context) -> Result<(), CliError> {
    let text = words::text(&args.text)?;
    let mut hub = context.act().await?;
    let answer = hub
        .ask(json!({
            "type": "send",
            "to": args.to,
            "text": text,
            "reply_to": args.reply_to,
            "urgent": args.urgent,
        }))
        .await?;
    print_sent(context, &answer, "send", &args.to)
}

/// Prints what became of a message to `to`.
pub(crate) fn print_sent(
    context: &Context,
    answer: &HubLine,
    request: &str,
    to: &str,
) -> Result<(), CliError> {
    let HubLine::SendAck {
        msg_id,
        status,
        state,
        detail,
        ..
    } = answer
    else {
        return Err(CliError::odd_answer(request));
    };
    context.output.result(
        || tool_result(answer),
        || {
            sent(
                &one_line(to),
                &one_line(msg_id),
                *status,
                *state,
                detail.as_deref(),
            )
        },
    )
}

/// Returns what is known of a sent message in one or two sentences, and no more than that.
fn sent(
    to: &str,
    msg_id: &str,
    status: SendStatus,
    state: Option<DeliveryState>,
    detail: Option<&str>,
) -> String {
    let delivered = status == SendStatus::Delivered;
    let fact = match state {
        _ if delivered => format!("Delivered to {to}."),
        Some(DeliveryState::Read) => format!("Read by {to}."),
        Some(DeliveryState::Outbox) => format!("Waits here for the hub of {to}."),
        Some(DeliveryState::Unknown) => {
            let place = if to.contains('@') { "there" } else { "here" };
            format!("Kept for {to}, a name not seen {place} yet.")
        }
        _ => format!("Stored in the mailbox of {to}."),
    };
    let mark = if delivered {
        paint(GOOD, "✓")
    } else {
        paint(WARN, "…")
    };
    let detail = detail
        .map(|d| format!("\n  {}", one_line(&with_commands(d))))
        .unwrap_or_default();
    format!("{mark} {fact} {msg_id}{detail}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn no_more_is_said_than_is_known() {
        let words = |status, state, detail| plain(&sent("api", "m-1", status, state, detail));
        assert_eq!(
            words(SendStatus::Delivered, Some(DeliveryState::Delivered), None),
            "✓ Delivered to api. m-1"
        );
        assert_eq!(
            words(SendStatus::Queued, Some(DeliveryState::Stored), None),
            "… Stored in the mailbox of api. m-1"
        );
        assert_eq!(
            words(
                SendStatus::Queued,
                Some(DeliveryState::Unknown),
                Some("Did you mean app?")
            ),
            "… Kept for api, a name not seen here yet. m-1\n  Did you mean app?"
        );
        let away = "The hub \"desk\" is offline since 13:58.";
        assert_eq!(
            plain(&sent(
                "api@desk",
                "m-1",
                SendStatus::Queued,
                Some(DeliveryState::Outbox),
                Some(away)
            )),
            format!("… Waits here for the hub of api@desk. m-1\n  {away}")
        );
        assert_eq!(
            words(SendStatus::Queued, None, None),
            "… Stored in the mailbox of api. m-1"
        );
    }
}
