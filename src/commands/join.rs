//! `join`: takes the ticket of another machine and waits until its mesh has let this hub in.

use super::mesh_wait::{is_linked, reasons, watch_for};
use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::document::Doc;
use crate::view::hubs::a_session;
use crate::view::style::{BOLD, GOOD, paint};
use crate::view::text::{count, one_line};
use clap::Args;
use ecorelay_protocol::{ErrorCode, HubLine, Ticket};
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::time::Duration;

/// As much of an input is read as no ticket is long, in bytes.
const INPUT_BYTES: u64 = 64 * 1024;
/// After the link is there, the sessions behind it are known within this time.
const GATHER: Duration = Duration::from_millis(700);
/// The longest wait, in seconds.
const LONGEST_WAIT: u64 = 86_400;

/// The arguments of `join`.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The ticket; `-` or nothing reads it from standard input, where other users of this
    /// machine cannot see it
    #[arg(conflicts_with = "file")]
    ticket: Option<String>,
    /// Read the ticket from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait this many seconds to be let in
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
          value_parser = clap::value_parser!(u64).range(0..=LONGEST_WAIT))]
    wait: u64,
}

pub(crate) async fn run(args: JoinArgs, context: &Context) -> Result<(), CliError> {
    let text = read(&args, context)?;
    // A typo is told before a hub is started for it.
    let ticket = Ticket::decode(&text).map_err(|refusal| CliError::usage(refusal.message))?;
    let (mut hub, answer) = context
        .open(json!({"type": "join", "ticket": ticket.encode()}))
        .await?;
    if !matches!(answer, HubLine::JoinResult { .. }) {
        return Err(CliError::odd_answer("join"));
    }
    let within = Duration::from_secs(args.wait);
    let settled = |status: &Value| (joined(status) || refused(status)).then(|| status.clone());
    let (Ok(status) | Err(status)) = watch_for(&mut hub, within, settled).await?;
    if !joined(&status) {
        return Err(not_yet(&status, &ticket));
    }
    let (Ok(status) | Err(status)) = watch_for(&mut hub, GATHER, |_| None).await?;
    context.output.result(
        || {
            let mut document = tool_result(&answer);
            document["admitted"] = json!(true);
            document["hubs"] = status["hubs"].clone();
            document
        },
        || welcome(&status, ticket.hub_id.as_str()),
    )
}

/// Returns the text that holds the ticket.
fn read(args: &JoinArgs, context: &Context) -> Result<String, CliError> {
    if let Some(file) = &args.file {
        let unreadable = |e: std::io::Error| {
            CliError::failed(format!("{} cannot be read: {e}.", file.display()))
        };
        let file = std::fs::File::open(file).map_err(unreadable)?;
        return text_of(file.take(INPUT_BYTES)).map_err(unreadable);
    }
    match args.ticket.as_deref() {
        Some(ticket) if ticket != "-" => return Ok(ticket.to_owned()),
        _ => {}
    }
    let unreadable =
        |e: std::io::Error| CliError::failed(format!("Standard input cannot be read: {e}."));
    let input = std::io::stdin();
    if input.is_terminal() {
        context
            .output
            .note("Paste the ticket that `ecorelay invite` has printed, and press Enter:");
        return pasted(input.lock()).map_err(unreadable);
    }
    text_of(input.lock().take(INPUT_BYTES)).map_err(unreadable)
}

/// Returns an input as text. Bytes that are none are no ticket either.
fn text_of(mut input: impl std::io::Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns what was pasted: up to the line with which the ticket is whole, or an empty line.
fn pasted(input: impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    let mut input = input.take(INPUT_BYTES);
    loop {
        let mut line = String::new();
        let ended = input.read_line(&mut line)? == 0;
        let blank = line.trim().is_empty() && !text.trim().is_empty();
        text.push_str(&line);
        if ended || blank || Ticket::decode(&text).is_ok() {
            return Ok(text);
        }
    }
}

/// Returns whether this hub is let in and linked to another.
fn joined(status: &Value) -> bool {
    Doc(&status["mesh"]).flag("admitted") && Doc(status).list("hubs").into_iter().any(is_linked)
}

/// Returns whether a hub of the mesh has looked at this one and does not take it, until a person
/// does something about it.
fn refused(status: &Value) -> bool {
    let mut warnings = Doc(status).list("warnings").into_iter();
    Doc(&status["mesh"]).flag("joining")
        && warnings.any(|w| matches!(w.text("code").as_str(), "not_admitted" | "hub_id_taken"))
}

fn welcome(status: &Value, inviter: &str) -> String {
    let hubs = Doc(status).list("hubs");
    let linked = hubs.iter().filter(|hub| is_linked(**hub)).count();
    let sessions: u64 = hubs.iter().map(|hub| hub.number("sessions")).sum();
    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
    let example = hubs
        .iter()
        .find_map(|hub| a_session(*hub))
        .unwrap_or_else(|| format!("NAME@{}", one_line(inviter)));
    format!(
        "{} {} {} linked, with {}. A session there is addressed as {}.",
        paint(GOOD, "✓ Joined:"),
        count(linked, "other hub"),
        if linked == 1 { "is" } else { "are" },
        count(sessions, "session"),
        paint(BOLD, example),
    )
}

/// Returns the error that this hub is not let in yet, with what is known of why.
fn not_yet(status: &Value, ticket: &Ticket) -> CliError {
    let reasons = reasons(status, Some(ticket.inviter.as_str()), &ticket.addresses);
    let why = if reasons.is_empty() {
        let places: Vec<String> = ticket
            .addresses
            .iter()
            .map(|address| crate::view::address::host_port(address))
            .collect();
        match places.as_slice() {
            [] => "The ticket names no address; the hub is looked for on the local network."
                .to_owned(),
            places => format!("Nothing is known yet of {}.", places.join(", ")),
        }
    } else {
        reasons.join(" ")
    };
    if refused(status) {
        let mut error = CliError::failed(why);
        error.code = ErrorCode::BadArgs;
        return error;
    }
    let mut error = CliError::failed(format!(
        "The ticket is kept, but the mesh of {} has not let this hub in yet. {why}",
        ticket.hub_id
    ))
    .hint("The hub keeps trying by itself; `ecorelay hubs` shows when it is in, `ecorelay doctor` looks for causes.");
    error.code = ErrorCode::HubUnreachable;
    error
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn joined_means_admitted_and_linked() {
        let status = |admitted: bool, state: &str| json!({"mesh": {"admitted": admitted}, "hubs": [{"state": state}]});
        assert!(joined(&status(true, "direct")) && joined(&status(true, "relayed")));
        assert!(!joined(&status(false, "direct")) && !joined(&status(true, "offline")));
        assert!(!joined(&json!({"mesh": null, "hubs": []})));
    }

    #[test]
    fn a_ticket_that_is_not_taken_ends_the_wait_with_the_reason() {
        let status = |joining: bool| {
            json!({"mesh": {"admitted": false, "joining": joining}, "hubs": [], "warnings": [
                {"code": "not_admitted", "message": "desk refuses this hub: The ticket has expired.",
                 "remedy": "Make a new ticket"}]})
        };
        assert!(refused(&status(true)) && !refused(&status(false)));
        assert!(!refused(
            &json!({"mesh": {"joining": true}, "warnings": []})
        ));
        assert_eq!(
            reasons(&status(true), None, &[]),
            ["desk refuses this hub: The ticket has expired. Make a new ticket."]
        );
    }

    #[test]
    fn who_is_there_is_said_with_an_address_to_copy() {
        let status = json!({"hubs": [
            {"hub_id": "desk", "state": "direct", "sessions": 2, "peers": [{"name": "api"}]},
            {"hub_id": "nas", "state": "offline", "sessions": 0},
        ]});
        assert_eq!(
            plain(&welcome(&status, "desk")),
            "✓ Joined: 1 other hub is linked, with 2 sessions. A session there is addressed as api@desk."
        );
        let empty = json!({"hubs": [{"hub_id": "desk", "state": "direct", "sessions": 0}]});
        assert!(plain(&welcome(&empty, "desk")).ends_with("addressed as NAME@desk."));
    }

    #[test]
    fn a_paste_ends_with_an_empty_line() {
        let text = pasted("\nno ticket\nat all\n\nrest".as_bytes()).unwrap();
        assert_eq!(text, "\nno ticket\nat all\n\n");
        assert_eq!(pasted("x".as_bytes()).unwrap(), "x");
    }
}
