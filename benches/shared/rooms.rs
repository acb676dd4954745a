//! One message to many sessions.

use super::Outcome;
use super::client::Client;
use std::time::{Duration, Instant};

/// Joins the room of the measurement.
pub(crate) fn join(session: &mut Client) -> Outcome<()> {
    session.write("{\"type\":\"join_room\",\"room\":\"bench\",\"req_id\":\"j\"}\n")?;
    session.expect("room_ack").map(drop)
}

/// Writes a line and returns the time until every session has read what came of it.
pub(crate) fn spread(
    sender: &mut Client,
    sessions: &mut [Client],
    line: &str,
    kind: &str,
) -> Outcome<Duration> {
    let began = Instant::now();
    sender.write(line)?;
    for session in sessions {
        session.expect(kind)?;
    }
    Ok(began.elapsed())
}

/// Confirms a push and waits until the hub has noted it, so that the next message finds a quiet
/// hub.
pub(crate) fn settle(session: &mut Client, id: &str) -> Outcome<()> {
    session.write(&format!(
        "{{\"type\":\"pushed\",\"msg_ids\":[\"{id}\"],\"result\":\"handed\",\"path\":\"bench\",\"req_id\":\"c\"}}\n"
    ))?;
    session.expect("ack").map(drop)
}

/// Returns a line that says something in the room.
pub(crate) fn room_line(id: &str, text: &str) -> String {
    format!(
        "{{\"type\":\"room_msg\",\"room\":\"bench\",\"text\":\"{text}\",\"msg_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
    )
}

/// Returns a line that asks everybody.
pub(crate) fn broadcast_line(id: &str, text: &str) -> String {
    format!(
        "{{\"type\":\"broadcast\",\"question\":\"{text}\",\"broadcast_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
    )
}
