//! `import`: takes over the mailboxes, the groups and the hub id of an EcoRelay 0.8–1.0 data
//! directory, and says what takes the place of its bridge.

mod bridge;
mod chunks;

use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::style::{BOLD, GOOD, WARN, paint};
use crate::view::text::{count, one_line};
use bridge::Taken;
use chunks::{mailbox_chunks, one_request};
use clap::Args;
use ecorelay_config::reference::{self, Listing, Skipped};
use ecorelay_protocol::HubLine;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The data directory to take over, such as ~/.eco-relay
    dir: PathBuf,
    /// Only say what would be taken over
    #[arg(long)]
    dry_run: bool,
}

/// What an import did, or would do.
#[derive(Debug, Default)]
struct Summary {
    mailboxes: usize,
    messages: Counts,
    groups: usize,
    entries: Counts,
    bridge: Option<Taken>,
    skipped: Vec<Skipped>,
}

/// Messages or entries: how many were in the files, and what became of them.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    found: usize,
    taken: usize,
    known: usize,
}

pub(crate) async fn run(args: ImportArgs, context: &Context) -> Result<(), CliError> {
    let listing = reference::list(&args.dir).map_err(|e| {
        CliError::failed(format!("{} cannot be read: {e}.", args.dir.display()))
            .hint("Name the data directory of an EcoRelay 0.8–1.0, usually ~/.eco-relay.")
    })?;
    if listing == Listing::default() {
        return Err(CliError::failed(format!(
            "{} holds no mailboxes/, groups/ or bridge.json of an EcoRelay 0.8–1.0.",
            args.dir.display()
        ))
        .hint("Name its data directory, usually ~/.eco-relay."));
    }
    let mut summary = Summary::default();
    // First of all, so that a hub that is started for the rest has its name.
    if let Some(file) = &listing.bridge {
        match reference::read_bridge(file) {
            Err(skipped) => summary.skipped.push(skipped),
            Ok(bridge) => {
                summary.bridge = Some(bridge::take(bridge, args.dry_run, context)?);
            }
        }
    }
    let mut hub = match args.dry_run {
        true => None,
        // A hub that is looked at does not end in the middle of it.
        false => Some(context.open(json!({"type": "watch"})).await?.0),
    };
    // One file at a time, so that the largest decides how much memory is needed.
    for file in &listing.mailboxes {
        match reference::read_mailbox(file) {
            Err(skipped) => summary.skipped.push(skipped),
            Ok(read) => {
                summary.mailboxes += 1;
                summary.messages.found += read.mailbox.messages.len();
                summary.skipped.extend(read.skipped);
                for chunk in mailbox_chunks(read.mailbox, file, &mut summary.skipped) {
                    take(
                        &mut hub,
                        "import_mailbox",
                        &json!(chunk),
                        &mut summary.messages,
                    )
                    .await?;
                }
            }
        }
    }
    for file in &listing.groups {
        match reference::read_group(file) {
            Err(skipped) => summary.skipped.push(skipped),
            Ok(read) => {
                summary.groups += 1;
                summary.entries.found += read.group.messages.len();
                summary.skipped.extend(read.skipped);
                let group = one_request(read.group, file, &mut summary.skipped);
                take(
                    &mut hub,
                    "import_group",
                    &json!(group),
                    &mut summary.entries,
                )
                .await?;
            }
        }
    }
    context.output.result(
        || document(&summary, args.dry_run),
        || page(&summary, args.dry_run),
    )
}

async fn take(
    hub: &mut Option<Hub>,
    kind: &str,
    chunk: &Value,
    counts: &mut Counts,
) -> Result<(), CliError> {
    let Some(hub) = hub else { return Ok(()) };
    let mut request = chunk.clone();
    request["type"] = json!(kind);
    match hub.ask(request).await? {
        HubLine::ImportResult { taken, known, .. } => {
            counts.taken += taken;
            counts.known += known;
            Ok(())
        }
        _ => Err(CliError::odd_answer(kind)),
    }
}

fn document(summary: &Summary, dry_run: bool) -> Value {
    let counts = |c: Counts| json!({"found": c.found, "taken": c.taken, "known": c.known});
    json!({
        "ok": true,
        "dry_run": dry_run,
        "mailboxes": summary.mailboxes,
        "messages": counts(summary.messages),
        "groups": summary.groups,
        "entries": counts(summary.entries),
        "bridge": summary.bridge.as_ref().map(bridge::document),
        "skipped": summary.skipped.iter().map(|s| json!({
            "file": s.file.display().to_string(), "reason": s.reason,
        })).collect::<Vec<_>>(),
    })
}

fn page(summary: &Summary, dry_run: bool) -> String {
    let became = |c: Counts| match (dry_run, c.known) {
        (true, _) => String::new(),
        (false, 0) => format!(": {} taken over", c.taken),
        (false, known) => format!(": {} taken over, {known} here already", c.taken),
    };
    let mut out = match dry_run {
        true => format!(
            "{}\n",
            paint(BOLD, "Found; nothing is changed in a dry run")
        ),
        false => format!("{} Import done\n", paint(GOOD, "✓")),
    };
    out.push_str(&format!(
        "  {} with {}{}\n",
        count(summary.mailboxes, "mailbox"),
        count(summary.messages.found, "message"),
        became(summary.messages)
    ));
    out.push_str(&format!(
        "  {} with {}{}\n",
        count(summary.groups, "group"),
        count(summary.entries.found, "entry"),
        became(summary.entries)
    ));
    if let Some(bridge) = &summary.bridge {
        out.push_str(&bridge::page(bridge, dry_run));
    }
    if !summary.skipped.is_empty() {
        out.push_str(&format!("\n{}\n", paint(BOLD, "Left out")));
        for skipped in &summary.skipped {
            let file = one_line(&skipped.file.display().to_string());
            out.push_str(&format!(
                "  {} {file}: {}\n",
                paint(WARN, "!"),
                one_line(&skipped.reason)
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn the_report_counts_and_names_what_was_left_out() {
        let summary = Summary {
            mailboxes: 2,
            messages: Counts {
                found: 7,
                taken: 5,
                known: 2,
            },
            groups: 1,
            entries: Counts {
                found: 1,
                taken: 1,
                known: 0,
            },
            bridge: None,
            skipped: vec![Skipped {
                file: "m/x.json".into(),
                reason: "It is empty.".into(),
            }],
        };
        assert_eq!(
            plain(&page(&summary, false)),
            "✓ Import done\n  2 mailboxes with 7 messages: 5 taken over, 2 here already\n  1 group with 1 entry: 1 taken over\n\nLeft out\n  ! m/x.json: It is empty.\n"
        );
        assert_eq!(document(&summary, false)["messages"]["known"], 2);
    }
}
