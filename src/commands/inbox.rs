//! `inbox`: what came for the acting name.

use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::message::Shown;
use crate::view::style::{DIM, paint};
use crate::view::time::now_ms;
use clap::Args;
use ecorelay_protocol::{HubLine, InboxEntry, limits};
use serde_json::json;

/// The arguments of `inbox`.
#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// At most this many messages
    #[arg(long, value_name = "N", default_value_t = limits::INBOX_PAGE_DEFAULT as u64,
          value_parser = clap::value_parser!(u64).range(1..=limits::INBOX_PAGE as u64))]
    limit: u64,
    /// Begin after this message, read or not
    #[arg(long, value_name = "ID")]
    since: Option<String>,
    /// Look only: do not mark the messages read
    #[arg(long)]
    peek: bool,
}

pub(crate) async fn run(args: InboxArgs, context: &Context) -> Result<(), CliError> {
    let mut hub = context.act().await?;
    let answer = hub
        .ask(json!({"type": "inbox", "limit": args.limit, "since_id": args.since}))
        .await?;
    let HubLine::InboxResult {
        messages,
        remaining,
        ..
    } = &answer
    else {
        return Err(CliError::odd_answer("inbox"));
    };
    let columns = context.output.terminal().map(|size| size.0);
    context.output.result(
        || tool_result(&answer),
        || page(messages, *remaining, now_ms(), columns),
    )?;
    // Only what was really printed is read: a closed pipe has ended the command above.
    if !args.peek && !messages.is_empty() {
        let ids: Vec<&str> = messages.iter().map(|m| m.msg_id.as_str()).collect();
        hub.ask(json!({"type": "read", "msg_ids": ids})).await?;
    }
    Ok(())
}

fn page(messages: &[InboxEntry], remaining: usize, now: u64, columns: Option<usize>) -> String {
    if messages.is_empty() {
        return "Nothing unread.".to_owned();
    }
    let blocks: Vec<String> = messages
        .iter()
        .map(|m| Shown::of_inbox(m).block(now, columns))
        .collect();
    let mut out = blocks.join("\n");
    if remaining > 0 {
        let more = format!("{remaining} more: `ecorelay inbox` again.");
        out.push_str(&format!("\n{}\n", paint(DIM, more)));
    }
    out
}
