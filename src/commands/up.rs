//! `up`: the hub runs, what to do next, what happens.

use super::lasting::lasting_hub;
use super::live_status::{follow, status};
use crate::assistants::want_set_up;
use crate::context::Context;
use crate::error::CliError;
use crate::view::document::Doc;
use crate::view::status::who_is_connected;
use crate::view::style::{BOLD, DIM, GOOD, paint};
use clap::Args;
use serde_json::{Value, json};

/// The arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Return when the hub runs
    #[arg(long)]
    detach: bool,
}

pub(crate) async fn run(args: UpArgs, context: &Context) -> Result<(), CliError> {
    let (mut hub, started) = lasting_hub(context).await?;
    let status = status(&mut hub).await?;
    if !context.output.json() {
        context
            .output
            .text(&welcome(&status, started, want_set_up(context)))?;
    } else if args.detach {
        let mut document = status;
        document["ok"] = json!(true);
        document["started"] = json!(started);
        context.output.document(&document)?;
    }
    if args.detach {
        return Ok(());
    }
    context.output.text_for_people("")?;
    follow(hub, context).await
}

fn welcome(status: &Value, started: bool, want_set_up: bool) -> String {
    let hub = Doc(status).text("hub_id");
    let since = if started { "has started" } else { "is running" };
    let assistants = if want_set_up {
        "ecorelay install\n".to_owned()
    } else {
        let done = paint(DIM, "already set up: every new session joins");
        format!("{done}\n")
    };
    let mut out = format!(
        "{} Hub {} {since}. {}\n\n{}\n",
        paint(GOOD, "✓"),
        paint(BOLD, hub),
        who_is_connected(status),
        paint(BOLD, "Next"),
    );
    for (what, how) in [
        ("Set up assistants", assistants.as_str()),
        ("See who is here", "ecorelay peers\n"),
        (
            "Write to a session",
            "ecorelay send NAME \"your message\"\n",
        ),
        ("Read the answers", "ecorelay inbox\n"),
        ("Add a machine", "ecorelay pair\n"),
        ("Something is wrong?", "ecorelay doctor\n"),
    ] {
        out.push_str(&format!("  {what:<21}{how}"));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn the_first_start_says_how_to_go_on() {
        let text = plain(&welcome(
            &json!({"hub_id": "laptop", "sessions": []}),
            true,
            true,
        ));
        assert_eq!(
            text,
            "✓ Hub laptop has started. No session is connected yet.\n\nNext\n  Set up assistants    ecorelay install\n  See who is here      ecorelay peers\n  Write to a session   ecorelay send NAME \"your message\"\n  Read the answers     ecorelay inbox\n  Add a machine        ecorelay pair\n  Something is wrong?  ecorelay doctor\n"
        );
    }
}
