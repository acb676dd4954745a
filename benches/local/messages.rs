//! One message at a time: until the other session has it, and until its sender knows that it is
//! on disk.

use crate::Outcome;
use crate::client::{Client, message_id, send_line};
use crate::disk::Journal;
use crate::floor::Relay;
use crate::hub::Hub;
use crate::plan::Plan;
use crate::table::{Budget, Row, Series, Table, Unit};
use std::time::{Duration, Instant};

/// Messages before the clock counts.
const WARM_UP: usize = 20;

/// Measures push and durable acknowledgement of 200-byte texts.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut relay = Relay::start(1)?;
    let mut journal = Journal::create()?;
    let mut sender = hub.session("sender")?;
    let mut receiver = hub.session("receiver")?;
    hub.absent("absent")?;
    let text = "x".repeat(200);

    let (mut echo, mut append) = <(Series, Series)>::default();
    let (mut push, mut live, mut stored) = <(Series, Series, Series)>::default();
    for _ in 0..plan.rounds {
        let times = |plan: &Plan| Vec::<Duration>::with_capacity(plan.samples);
        let (mut echoes, mut appends) = (times(plan), times(plan));
        let (mut pushes, mut lives, mut storeds) = (times(plan), times(plan), times(plan));
        for _ in 0..plan.samples + WARM_UP {
            let line = send_line("receiver", &message_id(), &text);
            echoes.push(relay.pass(&line)?);
        }
        for _ in 0..plan.samples + WARM_UP {
            let id = message_id();
            let (pushed, acked) = exchange(&mut sender, &mut receiver, &id, &text)?;
            pushes.push(pushed);
            lives.push(acked);
        }
        for _ in 0..plan.samples + WARM_UP {
            let line = send_line("absent", &message_id(), &text);
            appends.push(journal.append(line.as_bytes())?);
        }
        for _ in 0..plan.samples + WARM_UP {
            let line = send_line("absent", &message_id(), &text);
            storeds.push(acknowledged(&mut sender, &line)?);
        }
        echo.add_times(&echoes[WARM_UP..]);
        push.add_times(&pushes[WARM_UP..]);
        append.add_times(&appends[WARM_UP..]);
        live.add_times(&lives[WARM_UP..]);
        stored.add_times(&storeds[WARM_UP..]);
    }
    table.add(Row {
        what: "send → push at the other session, 200 B, p50".into(),
        unit: Unit::Time,
        subject: push,
        floor: Some(("two-hop socket echo", echo)),
        budgets: vec![Budget::RatioAtMost(3.0)],
    });
    let floor = Some(("append + fdatasync", append));
    for (what, subject) in [
        ("send → durable ack, recipient confirms at once, p50", live),
        ("send → durable ack, recipient offline, p50", stored),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Time,
            subject,
            floor: floor.clone(),
            budgets: vec![Budget::RatioAtMost(1.5)],
        });
    }
    Ok(())
}

/// Sends to a session that confirms at once; returns the times until it has the message and until
/// the sender has its answer.
fn exchange(
    sender: &mut Client,
    receiver: &mut Client,
    id: &str,
    text: &str,
) -> Outcome<(Duration, Duration)> {
    let line = send_line("receiver", id, text);
    let began = Instant::now();
    sender.write(&line)?;
    receiver.expect("incoming_message")?;
    let pushed = began.elapsed();
    receiver.confirm(id)?;
    sender.expect("send_ack")?;
    Ok((pushed, began.elapsed()))
}

/// Sends a line and returns the time until it is acknowledged.
pub(crate) fn acknowledged(sender: &mut Client, line: &str) -> Outcome<Duration> {
    let began = Instant::now();
    sender.write(line)?;
    sender.expect("send_ack")?;
    Ok(began.elapsed())
}
