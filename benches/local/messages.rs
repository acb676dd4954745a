//! One message at a time: until the other session has it, and until its sender knows that it is
//! on disk.

use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::disk::Journal;
use crate::shared::floor::Relay;
use crate::shared::hub::Hub;
use crate::shared::sending::{acknowledged, exchange, split, timed};
use crate::shared::table::{Budget, Row, Series, Table, Unit};

/// What is sent through.
struct Ways {
    sender: Client,
    receiver: Client,
    relay: Relay,
    keeping: Relay,
    journal: Journal,
}

/// The medians of each round.
#[derive(Default)]
struct Numbers {
    echo: Series,
    kept_push: Series,
    kept_ack: Series,
    append: Series,
    push: Series,
    live_ack: Series,
    stored_ack: Series,
}

/// Measures push and durable acknowledgement of 200-byte texts.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    hub.absent("absent")?;
    let mut ways = Ways {
        sender: hub.session("sender")?,
        receiver: hub.session("receiver")?,
        relay: Relay::start(1)?,
        keeping: Relay::start_keeping()?,
        journal: Journal::create()?,
    };
    let mut numbers = Numbers::default();
    for _ in 0..plan.rounds {
        round(plan, &mut ways, &mut numbers)?;
    }
    add_rows(numbers, table);
    Ok(())
}

fn round(plan: &Plan, ways: &mut Ways, numbers: &mut Numbers) -> Outcome<()> {
    let text = "x".repeat(200);
    let live = || send_line("receiver", &message_id(), &text);
    let absent = || send_line("absent", &message_id(), &text);
    let Ways {
        sender,
        receiver,
        relay,
        keeping,
        journal,
    } = ways;

    numbers
        .echo
        .add_times(&timed(plan.samples, || relay.pass(&live()))?);
    // Message by message in turn: the hub and its floor then find the machine in the same state.
    let both = timed(plan.samples, || {
        let floor = keeping.keep(&live())?;
        let subject = exchange(sender, receiver, "receiver", &text)?;
        Ok((floor, subject))
    })?;
    let (kept, exchanged) = split(both);
    let (passed, kept) = split(kept);
    let (pushed, acked) = split(exchanged);
    numbers.kept_push.add_times(&passed);
    numbers.kept_ack.add_times(&kept);
    numbers.push.add_times(&pushed);
    numbers.live_ack.add_times(&acked);
    let both = timed(plan.samples, || {
        let appended = journal.append(absent().as_bytes())?;
        Ok((appended, acknowledged(sender, &absent())?))
    })?;
    let (appended, stored) = split(both);
    numbers.append.add_times(&appended);
    numbers.stored_ack.add_times(&stored);
    Ok(())
}

fn add_rows(numbers: Numbers, table: &mut Table) {
    let push = "send → push at the other session, 200 B, p50";
    let live = "send → durable ack, recipient confirms at once, p50";
    let stored = "send → durable ack, recipient offline, p50";
    let append = ("append + fdatasync", numbers.append);
    for (what, subject, floor, budgets) in [
        (
            push,
            numbers.push.clone(),
            ("two-hop socket echo", numbers.echo),
            vec![Budget::RatioAtMost(3.0)],
        ),
        (
            push,
            numbers.push,
            (
                "echo by a relay that syncs each message after it",
                numbers.kept_push,
            ),
            vec![],
        ),
        (
            live,
            numbers.live_ack.clone(),
            append.clone(),
            vec![Budget::RatioAtMost(1.5)],
        ),
        (
            live,
            numbers.live_ack,
            ("answer of that relay", numbers.kept_ack),
            vec![],
        ),
        (
            stored,
            numbers.stored_ack,
            append,
            vec![Budget::RatioAtMost(1.5)],
        ),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Time,
            subject,
            floor: Some(floor),
            budgets,
        });
    }
}
