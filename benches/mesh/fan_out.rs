//! One message to many sessions on several hubs: until the last of them has it.

use crate::hubs::{Mesh, wait_until};
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id};
use crate::shared::floor::Relay;
use crate::shared::rooms::{broadcast_line, join, room_line, settle, spread};
use crate::shared::table::{Row, Series, Table, Unit};
use crate::stream::Echo;
use serde_json::json;
use std::time::Duration;

/// Messages before the clock counts.
const WARM_UP: usize = 5;
/// Members of the room on each hub.
const MEMBERS: usize = 10;

/// Measures a room message and a broadcast to sessions on several hubs.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    for hubs in plan.rooms {
        over(hubs, plan, table)?;
    }
    Ok(())
}

fn over(hubs: usize, plan: &Plan, table: &mut Table) -> Outcome<()> {
    let mesh = Mesh::start(hubs)?;
    let mut members = Vec::new();
    for (at, hub) in mesh.hubs.iter().enumerate() {
        for n in 0..MEMBERS {
            let mut member = hub.session(&format!("member-{at}-{n}"))?;
            join(&mut member)?;
            members.push(member);
        }
    }
    for hub in &mesh.hubs {
        wait_until("every hub knows all members of the room", || {
            let listed = hub.ask(&json!({"type": "list_rooms"}), "rooms_list")?;
            let members_listed = listed["rooms"][0]["members"].as_array();
            Ok(members_listed.map(Vec::len) == Some(members.len()))
        })?;
    }
    let mut speaker = mesh.hubs[0].session("speaker")?;
    let mut relay = Relay::start(members.len())?;
    let mut echo = Echo::start()?;
    let (mut floor, mut rooms, mut asks) = <(Series, Series, Series)>::default();
    for _ in 0..plan.rounds {
        let [passed, room, ask] = round(plan, &mut speaker, &mut members, &mut relay, &mut echo)?;
        floor.add_times(&passed);
        rooms.add_times(&room);
        asks.add_times(&ask);
    }
    for (what, subject) in [("room message", rooms), ("broadcast", asks)] {
        table.add(Row {
            what: format!(
                "{what} → the last of {} sessions on {hubs} hubs has it, p50",
                members.len()
            ),
            unit: Unit::Time,
            subject,
            floor: Some((
                "one process writing to as many sockets + half of a stream echo",
                floor.clone(),
            )),
            budgets: vec![],
        });
    }
    Ok(())
}

/// Lets floor and both subjects take turns message by message.
fn round(
    plan: &Plan,
    speaker: &mut Client,
    members: &mut [Client],
    relay: &mut Relay,
    echo: &mut Echo,
) -> Outcome<[Vec<Duration>; 3]> {
    let text = "x".repeat(200);
    let mut times: [Vec<Duration>; 3] = Default::default();
    for sample in 0..plan.samples / 4 + WARM_UP {
        let id = message_id();
        let line = room_line(&id, &text);
        let passed = relay.pass(&line)? + echo.round_trip(&text)? / 2;
        let room = spread(speaker, members, &line, "incoming_room_msg")?;
        confirm(members, "msg_id")?;
        speaker.expect("room_send_ack")?;
        let line = broadcast_line(&message_id(), &text);
        let ask = spread(speaker, members, &line, "incoming_ask")?;
        confirm(members, "ask_id")?;
        speaker.expect("broadcast_ack")?;
        if sample >= WARM_UP {
            for (times, time) in times.iter_mut().zip([passed, room, ask]) {
                times.push(time);
            }
        }
    }
    Ok(times)
}

fn confirm(members: &mut [Client], key: &str) -> Outcome<()> {
    for member in members {
        let id = member.text(key)?;
        settle(member, &id)?;
    }
    Ok(())
}
