//! Many messages in flight to another hub: how many a second are on its disk, how many a second
//! the outbox takes while it is away, and how fast they follow when it is back.

use crate::hubs::{Mesh, name, other, status, wait_until};
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::hub::Hub;
use crate::shared::sending::pipeline;
use crate::shared::table::{Row, Series, Table, Unit};
use crate::stream::Echo;
use serde_json::Value;
use std::time::Instant;

/// Unacknowledged messages.
const IN_FLIGHT: usize = 64;

/// The rates of each round.
#[derive(Default)]
struct Rates {
    echo: Series,
    local: Series,
    across: Series,
    outbox: Series,
    drained: Series,
}

/// Measures messages a second across hubs. No recipient is there, so an acknowledgement waits for
/// nothing but the disks and the link.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let mut mesh = Mesh::start(3)?;
    let mut echo = Echo::start()?;
    let mut rates = Rates::default();
    let text = "x".repeat(200);
    for round in 0..plan.rounds {
        rates.echo.add(echo.rate(&text, plan.flood, IN_FLIGHT)?);
        let absent = format!("absent-in-round-{round}");
        for hub in &mesh.hubs {
            hub.absent(&absent)?;
        }
        let mut sender = mesh.hubs[0].session("sender")?;
        rates.local.add(rate(&mut sender, &absent, plan.flood)?);
        let far = format!("{absent}@{}", name(1));
        rates.across.add(rate(&mut sender, &far, plan.flood)?);
        let away = format!("{absent}@{}", name(2));
        through_outbox(plan, &mut mesh, &mut sender, &away, &mut rates)?;
    }
    let echo = ("stream echo, 64 in flight", rates.echo);
    let local = ("local durable sends, 64 in flight", rates.local);
    let across = format!("durable sends to another hub, {IN_FLIGHT} in flight from one session");
    let outbox = "sends accepted into the outbox, the other hub is away, 64 in flight";
    let drained = "messages of the outbox acknowledged when the other hub is back";
    for (what, subject, floor) in [
        (across.as_str(), &rates.across, &local),
        (across.as_str(), &rates.across, &echo),
        (outbox, &rates.outbox, &local),
        (drained, &rates.drained, &local),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Rate,
            subject: subject.clone(),
            floor: Some(floor.clone()),
            budgets: vec![],
        });
    }
    Ok(())
}

fn rate(sender: &mut Client, to: &str, messages: usize) -> Outcome<f64> {
    let text = "x".repeat(200);
    let line = |_| send_line(to, &message_id(), &text);
    let began = Instant::now();
    pipeline(sender, messages, IN_FLIGHT, line)?;
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

/// Fills the outbox for the last hub while that is killed, and lets it out again.
fn through_outbox(
    plan: &Plan,
    mesh: &mut Mesh,
    sender: &mut Client,
    to: &str,
    rates: &mut Rates,
) -> Outcome<()> {
    let last = mesh.hubs.pop().ok_or("there is no last hub")?;
    let home = last.kill();
    let here = &mesh.hubs[0];
    let there = name(2);
    wait_until("a killed hub is offline", || {
        Ok(other(&status(here)?, &there)["state"] == "offline")
    })?;
    rates.outbox.add(rate(sender, to, plan.flood)?);
    let waiting = |status: Value| other(&status, &there)["outbox"].as_u64();
    let queued = waiting(status(here)?);
    if queued != u64::try_from(plan.flood).ok() {
        return Err(format!("{} messages are in the outbox as {queued:?}", plan.flood).into());
    }
    mesh.hubs.push(Hub::start_in(home)?);
    let here = &mesh.hubs[0];
    let mut first = None;
    wait_until("the outbox is empty", || {
        let left = waiting(status(here)?);
        if left != queued {
            first.get_or_insert_with(|| (Instant::now(), left.unwrap_or(0)));
        }
        Ok(left == Some(0))
    })?;
    // The clock begins when the first are seen to have gone.
    if let Some((began, left)) = first.filter(|(_, left)| *left > 0) {
        rates
            .drained
            .add(left as f64 / began.elapsed().as_secs_f64());
    }
    mesh.await_links()
}
