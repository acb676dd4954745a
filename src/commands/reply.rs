//! `reply`: the answer to a message or a question.

use super::{send, words};
use crate::context::Context;
use crate::error::CliError;
use clap::Args;
use serde_json::json;

/// The arguments of `reply`.
#[derive(Debug, Args)]
pub(crate) struct ReplyArgs {
    /// The id of the message or question, as `inbox` and `watch` show it
    id: String,
    /// The text; `-` reads it from standard input
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
}

pub(crate) async fn run(args: ReplyArgs, context: &Context) -> Result<(), CliError> {
    let text = words::text(&args.text)?;
    let mut hub = context.act().await?;
    let answer = hub
        .ask(json!({"type": "reply", "ask_id": args.id, "text": text}))
        .await?;
    send::print_sent(context, &answer, "reply", "the one who wrote it")
}
