//! `watch`: what comes, as it comes.

use super::presence::{Presence, Stay, interrupted};
use crate::context::Context;
use crate::error::CliError;
use clap::Args;
use ecorelay_protocol::Name;

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Look at what comes for this name, without taking anything away from it [default: be
    /// present under your own name]
    name: Option<String>,
}

pub(crate) async fn run(args: WatchArgs, context: &Context) -> Result<(), CliError> {
    let (stay, what) = match &args.name {
        Some(name) => {
            let name = Name::parse(name, "The name to watch")
                .map_err(|refusal| CliError::usage(refusal.message))?;
            let what = format!("Watching what comes for {name}. Ctrl-C ends it.");
            (Stay::Watching(name), what)
        }
        None => (
            Stay::Present,
            format!("You are present as {}. Ctrl-C ends it.", context.me()?),
        ),
    };
    let (mut presence, _) = Presence::enter(context, stay).await?;
    context.output.note(&what);
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut stop => break,
            line = presence.next() => {
                let line = line?;
                presence.show(&line).await?;
            }
        }
    }
    presence.leave().await;
    context.output.after_interrupt()
}
