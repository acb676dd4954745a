//! One message to many sessions: until the last of them has it.

use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::message_id;
use crate::shared::floor::Relay;
use crate::shared::hub::{Hub, MANY};
use crate::shared::rooms::{broadcast_line, join, room_line, settle, spread};
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use std::time::Duration;

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
            let line = room_line(&id, &text);
            times[0].push(relay.pass(&line)?);
        }
        for _ in 0..samples {
            let id = message_id();
            let line = room_line(&id, &text);
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
            let line = broadcast_line(&id, &text);
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
