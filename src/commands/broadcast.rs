//! `broadcast`: a question to every session, and the answers as they come.

use super::presence::{Presence, Stay, interrupted};
use super::words;
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::text::{count, one_line};
use clap::{Args, ValueEnum};
use ecorelay_protocol::{HubLine, PushResult};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// How long answers are waited for when no person watches and none said how long, in seconds.
const UNWATCHED_WAIT: u64 = 60;
/// The longest wait: the hub forgets a question after a day.
const LONGEST_WAIT: u64 = 86_400;

/// How far a question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeArg {
    /// All machines
    Mesh,
    /// This machine
    Hub,
}

/// The arguments of `broadcast`.
#[derive(Debug, Args)]
pub(crate) struct BroadcastArgs {
    /// The question; `-` reads it from standard input
    #[arg(required = true, value_name = "QUESTION")]
    question: Vec<String>,
    /// How far it goes
    #[arg(long, value_enum, default_value_t = ScopeArg::Mesh)]
    scope: ScopeArg,
    /// Wait this many seconds for answers [default: until all have answered or Ctrl-C; 60 where
    /// the output is not a terminal]
    #[arg(long, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(0..=LONGEST_WAIT))]
    wait: Option<u64>,
}

pub(crate) async fn run(args: BroadcastArgs, context: &Context) -> Result<(), CliError> {
    let question = words::text(&args.question)?;
    let (mut presence, _) = Presence::enter(context, Stay::Present).await?;
    let scope = match args.scope {
        ScopeArg::Mesh => "mesh",
        ScopeArg::Hub => "hub",
    };
    let answer = presence
        .ask(json!({
            "type": "broadcast", "question": question, "exclude_self": true, "scope": scope,
        }))
        .await?;
    let HubLine::BroadcastAck {
        broadcast_id: asked,
        peer_count,
        ..
    } = &answer
    else {
        return Err(CliError::odd_answer("broadcast"));
    };
    context.output.note(&match peer_count {
        0 => "Nobody is here to be asked.".to_owned(),
        n => format!(
            "Asked {} ({}). Answers that come after the wait are in `ecorelay inbox`.",
            count(*n, "session"),
            one_line(asked)
        ),
    });
    let watched = context.output.terminal().is_some();
    let wait = args.wait.unwrap_or(if watched {
        LONGEST_WAIT
    } else {
        UNWATCHED_WAIT
    });
    let mut over = std::pin::pin!(tokio::time::sleep(Duration::from_secs(wait)));
    let mut stop = std::pin::pin!(interrupted());
    let mut replies: Vec<Value> = Vec::new();
    let mut answered = HashSet::new();
    while answered.len() < *peer_count {
        let line = tokio::select! {
            () = &mut stop => break,
            () = &mut over => break,
            line = presence.next() => line?,
        };
        let ours = match &line {
            HubLine::IncomingReply {
                received,
                ask_id,
                broadcast_id,
                ..
            } if broadcast_id == asked => {
                answered.insert(received.from.clone());
                Some(json!({
                    "from": received.from, "text": received.text, "ask_id": ask_id,
                    "msg_id": received.msg_id, "ts": received.ts,
                }))
            }
            _ => None,
        };
        match ours {
            _ if !context.output.json() => presence.show(&line).await?,
            Some(reply) => {
                replies.push(reply);
                presence.confirm(&line, PushResult::Handed, None).await?;
            }
            // The one document has no place for it: it stays in the mailbox.
            None => {
                let why = "the terminal was waiting for answers only";
                presence
                    .confirm(&line, PushResult::Refused, Some(why))
                    .await?;
            }
        }
    }
    if context.output.json() {
        let mut document = tool_result(&answer);
        document["replies"] = Value::Array(replies);
        context.output.document(&document)?;
    }
    presence.leave().await;
    Ok(())
}
