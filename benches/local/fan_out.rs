//! One message to many sessions: until the last of them has it.

use crate::Outcome;
use crate::client::{Client, message_id};
use crate::floor::Relay;
use crate::hub::{Hub, MANY};
use crate::plan::Plan;
use crate::table::{Budget, Row, Series, Table, Unit};
use std::time::{Duration, Instant};

/// Messages before the clock counts.
const WARM_UP: usize = 5;

/// Measures a room message and a broadcast to many sessions.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut relay = Relay::start(MANY)?;
    let mut sender = hub.session("sender")?;
    let mut names = Vec::new();
    let mut sessions = Vec::new();
    for n in 0..MANY {
        let name = format!("member-{n}");
        let mut session = hub.session(&name)?;
        join(&mut session)?;
        names.push(name);
        sessions.push(session);
    }
    join(&mut sender)?;

    let text = "x".repeat(200);
    let samples = plan.samples / 4 + WARM_UP;
    let (mut floor, mut rooms, mut broadcasts) = <(Series, Series, Series)>::default();
    for _ in 0..plan.rounds {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..samples {
            let id = message_id();
            let line = format!(
                "{{\"type\":\"room_msg\",\"room\":\"bench\",\"text\":\"{text}\",\"msg_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
            );
            times[0].push(relay.pass(&line)?);
        }
        for _ in 0..samples {
            let id = message_id();
            let line = format!(
                "{{\"type\":\"room_msg\",\"room\":\"bench\",\"text\":\"{text}\",\"msg_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
            );
            times[1].push(spread(
                &mut sender,
                &mut sessions,
                &line,
                "incoming_room_msg",
            )?);
            for session in &mut sessions {
                settle(session, &id)?;
            }
            sender.expect("room_send_ack")?;
        }
        for _ in 0..samples {
            let id = message_id();
            let line = format!(
                "{{\"type\":\"broadcast\",\"question\":\"{text}\",\"broadcast_id\":\"{id}\",\"req_id\":\"{id}\"}}\n"
            );
            times[2].push(spread(&mut sender, &mut sessions, &line, "incoming_ask")?);
            for (name, session) in names.iter().zip(&mut sessions) {
                settle(session, &format!("{id}:{name}"))?;
            }
            sender.expect("broadcast_ack")?;
        }
        floor.add_times(&times[0][WARM_UP..]);
        rooms.add_times(&times[1][WARM_UP..]);
        broadcasts.add_times(&times[2][WARM_UP..]);
    }
    for (what, subject) in [("room message", rooms), ("broadcast", broadcasts)] {
        table.add(Row {
            what: format!("{what} → the last of {MANY} sessions has it, p50"),
            unit: Unit::Time,
            subject,
            floor: Some(("one process writing to 50 sockets", floor.clone())),
            budgets: vec![Budget::AtMost(0.5e-3)],
        });
    }
    Ok(())
}

fn join(session: &mut Client) -> Outcome<()> {
    session.write("{\"type\":\"join_room\",\"room\":\"bench\",\"req_id\":\"j\"}\n")?;
    session.expect("room_ack").map(drop)
}

/// Writes a line and returns the time until every session has read what came of it.
fn spread(
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
fn settle(session: &mut Client, id: &str) -> Outcome<()> {
    session.write(&format!(
        "{{\"type\":\"pushed\",\"msg_ids\":[\"{id}\"],\"result\":\"handed\",\"path\":\"bench\",\"req_id\":\"c\"}}\n"
    ))?;
    session.expect("ack").map(drop)
}
