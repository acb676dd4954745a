//! `room`: topics that last as long as somebody is in them.

use super::presence::{Presence, Stay, interrupted};
use super::typed::typed_lines;
use super::words;
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::style::{BOLD, GOOD, PLAIN, paint};
use crate::view::table::{Table, cell};
use crate::view::text::{count, one_line};
use clap::Subcommand;
use ecorelay_protocol::HubLine;
use serde_json::json;

/// What can be done with rooms.
#[derive(Debug, Subcommand)]
pub(crate) enum RoomCommand {
    /// Be in a room: show what is said, send what you type, until Ctrl-C; inside a program of
    /// `ecorelay run`, bring its session in
    Join {
        /// The room
        room: String,
    },
    /// Leave a room
    Leave {
        /// The room
        room: String,
    },
    /// Say something in a room
    Send {
        /// The room
        room: String,
        /// The text; `-` reads it from standard input
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
    /// List the rooms
    List,
}

pub(crate) async fn run(command: RoomCommand, context: &Context) -> Result<(), CliError> {
    match command {
        RoomCommand::Join { room } if Context::is_inside_a_session() => {
            bring_in(&room, context).await
        }
        RoomCommand::Join { room } => join(&room, context).await,
        RoomCommand::Leave { room } => {
            let mut hub = context.act().await?;
            let answer = hub.ask(json!({"type": "leave_room", "room": room})).await?;
            context.output.result(
                || tool_result(&answer),
                || format!("{} You have left {}.", paint(GOOD, "✓"), one_line(&room)),
            )
        }
        RoomCommand::Send { room, text } => {
            let text = words::text(&text)?;
            let mut hub = context.act().await?;
            let answer = hub
                .ask(json!({"type": "room_msg", "room": room, "text": text}))
                .await?;
            let HubLine::RoomSendAck {
                room,
                delivered_count,
                ..
            } = &answer
            else {
                return Err(CliError::odd_answer("room_msg"));
            };
            context
                .output
                .result(|| tool_result(&answer), || sent(room, *delivered_count))
        }
        RoomCommand::List => {
            let (_, answer) = context.open(json!({"type": "list_rooms"})).await?;
            let HubLine::RoomsList { rooms, .. } = &answer else {
                return Err(CliError::odd_answer("list_rooms"));
            };
            context.output.result(
                || tool_result(&answer),
                || {
                    if rooms.is_empty() {
                        return "No room is open. `ecorelay room join NAME` opens one.".to_owned();
                    }
                    let mut table = Table::new(&["NAME", "MEMBERS"], &[], "");
                    for room in rooms {
                        let members = one_line(&room.members.join(", "));
                        table.row(vec![cell(BOLD, one_line(&room.name)), cell(PLAIN, members)]);
                    }
                    table.render(None)
                },
            )
        }
    }
}

fn sent(room: &str, delivered: usize) -> String {
    let room = one_line(room);
    match delivered {
        0 => format!("Nobody else is in {room}; nobody heard it."),
        n => format!(
            "{} Said to {} in {room}.",
            paint(GOOD, "✓"),
            count(n, "session")
        ),
    }
}

/// Joins for the session in which the command was started: what is said there is brought to it.
async fn bring_in(room: &str, context: &Context) -> Result<(), CliError> {
    let mut hub = context.act().await?;
    let answer = hub.ask(json!({"type": "join_room", "room": room})).await?;
    let HubLine::RoomAck { room, members, .. } = &answer else {
        return Err(CliError::odd_answer("join_room"));
    };
    context.output.result(
        || tool_result(&answer),
        || {
            let room = one_line(room);
            format!(
                "{} This session is in {room} with {}. `ecorelay room send {room} TEXT` speaks there.",
                paint(GOOD, "✓"),
                company(members),
            )
        },
    )
}

/// Returns who is in a room beside the one who has joined.
fn company(members: &[String]) -> String {
    match members.len() {
        0 | 1 => "nobody else yet".to_owned(),
        n => format!("{}: {}", count(n, "member"), one_line(&members.join(", "))),
    }
}

async fn join(room: &str, context: &Context) -> Result<(), CliError> {
    let (mut presence, answer) = Presence::enter(context, Stay::InRoom(room.to_owned())).await?;
    let HubLine::RoomAck { room, members, .. } = &answer else {
        return Err(CliError::odd_answer("join_room"));
    };
    context.output.result(
        || tool_result(&answer),
        || {
            format!(
                "You are in {} with {}. Type to talk; Ctrl-C leaves.",
                paint(BOLD, one_line(room)),
                company(members)
            )
        },
    )?;
    let mut typed = typed_lines();
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut stop => break,
            line = presence.next() => {
                let line = line?;
                presence.show(&line).await?;
            }
            // When standard input ends, the room stays open to look at.
            Some(text) = typed.recv() => {
                let said = presence.ask(json!({"type": "room_msg", "room": room, "text": text}));
                match said.await {
                    Ok(HubLine::RoomSendAck { delivered_count: 0, .. }) => {
                        context.output.note("Nobody else is here; nobody heard it.");
                    }
                    Ok(_) => {}
                    // A refused line, or a hub that is away for a moment, does not end the talk.
                    Err(error) => context.output.note(&format!("Not said: {}", error.sentence())),
                }
            }
        }
    }
    presence.leave().await;
    context.output.after_interrupt()
}
