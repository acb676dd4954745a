//! `watch`: what comes, as it comes.

use super::presence::{hub_gone, interrupted, show};
use crate::context::Context;
use crate::error::CliError;
use clap::Args;
use ecorelay_protocol::Name;
use serde_json::json;

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Look at what comes for this name, without taking anything away from it [default: be
    /// present under your own name]
    name: Option<String>,
}

pub(crate) async fn run(args: WatchArgs, context: &Context) -> Result<(), CliError> {
    let mut hub = match &args.name {
        Some(name) => {
            let name = Name::parse(name, "The name to watch")
                .map_err(|refusal| CliError::usage(refusal.message))?;
            let mut hub = context.hub().await?;
            hub.ask(json!({"type": "watch", "name": name})).await?;
            context
                .output
                .note(&format!("Watching what comes for {name}. Ctrl-C ends it."));
            hub
        }
        None => {
            let hub = context.be_present().await?;
            let me = context.me()?;
            context
                .output
                .note(&format!("You are present as {me}. Ctrl-C ends it."));
            hub
        }
    };
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut stop => break,
            push = hub.next_push() => match push {
                Some(line) => show(context, &mut hub, &line).await?,
                None => return Err(hub_gone()),
            },
        }
    }
    hub.finish().await;
    Ok(())
}
