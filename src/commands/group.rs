//! `group`: conversations that keep their members and their history.

use super::words;
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::message::history_entry;
use crate::view::style::{BOLD, DIM, GOOD, PLAIN, WARN, paint};
use crate::view::table::{Table, cell};
use crate::view::text::{count, one_line};
use crate::view::time::now_ms;
use clap::Subcommand;
use ecorelay_protocol::{HubLine, limits};
use serde_json::{Value, json};

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group; you become its admin
    Create {
        /// The group's name
        group: String,
        /// The other members: NAME or NAME@HUB
        #[arg(value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Invite a peer (admin only)
    Invite {
        /// The group
        group: String,
        /// The peer
        peer: String,
    },
    /// Remove a member (admin only)
    Remove {
        /// The group
        group: String,
        /// The member
        peer: String,
        /// Why: goes into the history
        #[arg(long, default_value = "removed from the terminal")]
        reason: String,
    },
    /// Leave a group
    Leave {
        /// The group
        group: String,
    },
    /// Write to a group
    Send {
        /// The group
        group: String,
        /// The text; `-` reads it from standard input
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
    /// Read on where you stopped
    History {
        /// The group
        group: String,
        /// At most this many entries [default: all unread]
        #[arg(long, value_name = "N",
              value_parser = clap::value_parser!(u64).range(1..=limits::HISTORY_PAGE as u64))]
        limit: Option<u64>,
    },
    /// List your groups
    List,
    /// Show who is in a group
    Info {
        /// The group
        group: String,
    },
    /// Delete a group with its history (admin only)
    Delete {
        /// The group
        group: String,
    },
}

pub(crate) async fn run(command: GroupCommand, context: &Context) -> Result<(), CliError> {
    let request = request(&command)?;
    let mut hub = context.act().await?;
    let answer = hub.ask(request).await?;
    let columns = context.output.terminal().map(|size| size.0);
    let text =
        page(&command, &answer, now_ms(), columns).ok_or_else(|| CliError::odd_answer("group"))?;
    context.output.result(|| tool_result(&answer), || text)
}

fn request(command: &GroupCommand) -> Result<Value, CliError> {
    Ok(match command {
        GroupCommand::Create { group, members } => {
            json!({"type": "group_create", "name": group, "members": members})
        }
        GroupCommand::Invite { group, peer } => {
            json!({"type": "group_invite", "group": group, "peer": peer})
        }
        GroupCommand::Remove {
            group,
            peer,
            reason,
        } => {
            json!({"type": "group_remove", "group": group, "peer": peer, "reason": reason})
        }
        GroupCommand::Leave { group } => json!({"type": "group_leave", "group": group}),
        GroupCommand::Send { group, text } => {
            json!({"type": "group_send", "group": group, "text": words::text(text)?})
        }
        GroupCommand::History { group, limit } => {
            json!({"type": "group_history", "group": group, "limit": limit})
        }
        GroupCommand::List => json!({"type": "group_list"}),
        GroupCommand::Info { group } => json!({"type": "group_info", "group": group}),
        GroupCommand::Delete { group } => json!({"type": "group_delete", "group": group}),
    })
}

/// Returns the answer for people, or `None` when it is not the answer to this command.
fn page(
    command: &GroupCommand,
    answer: &HubLine,
    now: u64,
    columns: Option<usize>,
) -> Option<String> {
    let done = |text: String| format!("{} {text}", paint(GOOD, "✓"));
    Some(match (command, answer) {
        (GroupCommand::Create { .. }, HubLine::GroupCreated { group, members, .. }) => {
            done(format!(
                "Created {}: {}.",
                one_line(group),
                one_line(&members.join(", "))
            ))
        }
        (
            GroupCommand::Send { group, .. },
            HubLine::GroupAck {
                msg_id,
                delivered_count,
                queued_count,
                ..
            },
        ) => {
            let id = msg_id.as_deref().map(one_line).unwrap_or_default();
            let (live, later) = (delivered_count.unwrap_or(0), queued_count.unwrap_or(0));
            done(format!(
                "Written to {group}: handed to {}, {later} will find it in the history. {id}",
                count(live, "member")
            ))
        }
        (GroupCommand::Invite { group, peer }, HubLine::GroupAck { .. }) => {
            done(format!("{peer} is in {group}."))
        }
        (GroupCommand::Remove { group, peer, .. }, HubLine::GroupAck { .. }) => {
            done(format!("{peer} is no longer in {group}."))
        }
        (GroupCommand::Leave { group }, HubLine::GroupAck { .. }) => {
            done(format!("You have left {group}."))
        }
        (GroupCommand::Delete { group }, HubLine::GroupAck { .. }) => {
            done(format!("{group} is deleted."))
        }
        (
            GroupCommand::History { .. },
            HubLine::GroupMessages {
                messages,
                unread_remaining,
                gap,
                ..
            },
        ) => {
            let mut out = String::new();
            if let Some(gap) = gap.filter(|gap| *gap > 0) {
                out.push_str(&paint(
                    WARN,
                    format!("{gap} older unread entries had to go.\n\n"),
                ));
            }
            let entries: Vec<String> = messages
                .iter()
                .map(|entry| history_entry(entry, now, columns))
                .collect();
            out.push_str(&entries.join("\n"));
            if messages.is_empty() {
                out.push_str("Nothing new.");
            }
            if *unread_remaining > 0 {
                let more = format!("{unread_remaining} more: the same command again.");
                out.push_str(&format!("\n{}\n", paint(DIM, more)));
            }
            out
        }
        (GroupCommand::List, HubLine::GroupListResult { groups, .. }) if groups.is_empty() => {
            "You are in no group.".to_owned()
        }
        (GroupCommand::List, HubLine::GroupListResult { groups, .. }) => {
            let mut table = Table::new(&["NAME", "UNREAD"], &["UNREAD"], "");
            for group in groups {
                let style = if group.unread_count == 0 { DIM } else { WARN };
                table.row(vec![
                    cell(BOLD, one_line(&group.name)),
                    cell(style, group.unread_count.to_string()),
                ]);
            }
            table.render(columns)
        }
        (
            GroupCommand::Info { .. },
            HubLine::GroupInfoResult {
                group,
                admin,
                members,
                unread_count,
                ..
            },
        ) => {
            let mut table = Table::new(&["MEMBER", "", "ROLE"], &[], "");
            for member in members {
                table.row(vec![
                    cell(BOLD, one_line(&member.name)),
                    if member.online {
                        cell(GOOD, "online")
                    } else {
                        cell(DIM, "away")
                    },
                    cell(PLAIN, if member.name == *admin { "admin" } else { "" }),
                ]);
            }
            format!(
                "{} · {} · {unread_count} unread\n{}",
                paint(BOLD, one_line(group)),
                count(members.len(), "member"),
                table.render(columns)
            )
        }
        _ => return None,
    })
}
