//! One message at a time from a session of one hub to a session of another.

use crate::hubs::Mesh;
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::disk::Journal;
use crate::shared::floor::Relay;
use crate::shared::sending::{acknowledged, exchange, split, timed};
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use crate::stream::Echo;

/// What is sent through.
struct Ways {
    sender: Client,
    neighbour: Client,
    distant: Client,
    relay: Relay,
    echo: Echo,
    journal: Journal,
}

/// The medians of each round. What is called close was measured message by message, in turn with
/// its subject; the rest in tight loops.
#[derive(Default)]
struct Numbers {
    relay: Series,
    trip: Series,
    close_trip: Series,
    local: Series,
    push: Series,
    live_ack: Series,
    close_trip_stored: Series,
    append: Series,
    stored_ack: Series,
}

/// Measures push and acknowledgement of 200-byte texts across hubs.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let mesh = Mesh::start(2)?;
    let [here, there] = &mesh.hubs[..] else {
        return Err("two hubs were to be started".into());
    };
    there.absent("absent")?;
    let mut ways = Ways {
        sender: here.session("sender")?,
        neighbour: here.session("neighbour")?,
        distant: there.session("distant")?,
        relay: Relay::start(1)?,
        echo: Echo::start()?,
        journal: Journal::create()?,
    };
    let mut numbers = Numbers::default();
    for _ in 0..plan.rounds {
        round(plan, &mut ways, &mut numbers)?;
    }
    add_rows(&numbers, table);
    Ok(())
}

fn round(plan: &Plan, ways: &mut Ways, numbers: &mut Numbers) -> Outcome<()> {
    let text = "x".repeat(200);
    let absent = || send_line("absent@hub-1", &message_id(), &text);
    let Ways {
        sender,
        neighbour,
        distant,
        relay,
        echo,
        journal,
    } = ways;
    let relayed = timed(plan.samples, || relay.pass(&absent()))?;
    numbers.relay.add_times(&relayed);
    let trips = timed(plan.samples, || echo.round_trip(&text))?;
    numbers.trip.add_times(&trips);

    let all = timed(plan.samples, || {
        let trip = echo.round_trip(&text)?;
        let near = exchange(sender, neighbour, "neighbour", &text)?;
        let far = exchange(sender, distant, "distant@hub-1", &text)?;
        Ok((trip, (near, far)))
    })?;
    let (trips, exchanged) = split(all);
    let (near, far) = split(exchanged);
    let (pushed, acked) = split(far);
    numbers.close_trip.add_times(&trips);
    numbers.local.add_times(&split(near).0);
    numbers.push.add_times(&pushed);
    numbers.live_ack.add_times(&acked);

    let all = timed(plan.samples, || {
        let trip = echo.round_trip(&text)?;
        let appended = journal.append(absent().as_bytes())?;
        Ok(((trip, appended), acknowledged(sender, &absent())?))
    })?;
    let (floors, stored) = split(all);
    let (trips, appended) = split(floors);
    numbers.close_trip_stored.add_times(&trips);
    numbers.append.add_times(&appended);
    numbers.stored_ack.add_times(&stored);
    Ok(())
}

fn add_rows(numbers: &Numbers, table: &mut Table) {
    let push = "send → push at a session of another hub, 200 B, p50";
    let half = numbers.trip.times(0.5);
    let close_half = numbers.close_trip.times(0.5);
    let durable = numbers.close_trip_stored.plus(&numbers.append);
    for (what, subject, floor, budgets) in [
        (
            "libp2p-stream echo, 200 B, half of a round trip, p50",
            &half,
            ("two-hop socket echo", numbers.relay.clone()),
            vec![],
        ),
        (
            push,
            &numbers.push,
            (
                "half of a stream echo + local budget (3 × two-hop socket echo)",
                half.plus(&numbers.relay.times(3.0)),
            ),
            vec![Budget::RatioAtMost(2.0)],
        ),
        (
            push,
            &numbers.push,
            (
                "half of a stream echo + local send → push, message by message",
                close_half.plus(&numbers.local),
            ),
            vec![],
        ),
        (
            push,
            &numbers.push,
            ("local send → push", numbers.local.clone()),
            vec![],
        ),
        (
            "send → durable ack, recipient on another hub confirms at once, p50",
            &numbers.live_ack,
            ("stream echo + append + fdatasync", durable.clone()),
            vec![],
        ),
        (
            "send → durable ack, recipient on another hub offline, p50",
            &numbers.stored_ack,
            ("stream echo + append + fdatasync", durable.clone()),
            vec![],
        ),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Time,
            subject: subject.clone(),
            floor: Some(floor),
            budgets,
        });
    }
}
