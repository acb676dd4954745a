//! Many messages in flight: how many a second are accepted, that is, on disk and acknowledged.

use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::disk::Journal;
use crate::shared::hub::Hub;
use crate::shared::sending::pipeline;
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use std::time::Instant;

/// Unacknowledged messages.
const IN_FLIGHT: usize = 64;
/// Sessions in the row where several send at once.
const SENDERS: usize = 8;
/// Mailboxes that take turns in that row.
const RECIPIENTS: usize = 32;

/// Measures accepted messages a second: from one session to one, and from several to many. No
/// recipient is there, so an acknowledgement waits for nothing but the disk.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut journal = Journal::create()?;
    let mut one = hub.session("sender")?;
    let mut several = (0..SENDERS)
        .map(|n| hub.session(&format!("sender-{n}")))
        .collect::<Outcome<Vec<_>>>()?;
    for n in 0..RECIPIENTS {
        hub.absent(&format!("absent-{n}"))?;
    }
    let (mut raw, mut single, mut parallel) = <(Series, Series, Series)>::default();
    for round in 0..plan.rounds {
        let name = format!("absent-in-round-{round}");
        hub.absent(&name)?;
        raw.add(raw_rate(&mut journal, plan.flood)?);
        let began = Instant::now();
        pipeline(&mut one, plan.flood, IN_FLIGHT, |_| line(&name))?;
        single.add(plan.flood as f64 / began.elapsed().as_secs_f64());
        parallel.add(parallel_rate(&mut several, plan.flood)?);
    }
    let floor = Some(("batches of 64 appended + fdatasync", raw));
    for (what, subject) in [
        (
            format!("durable sends, {IN_FLIGHT} in flight from one session to one mailbox"),
            single,
        ),
        (
            format!(
                "durable sends, {} in flight from each of {SENDERS} sessions to {RECIPIENTS} mailboxes",
                IN_FLIGHT / SENDERS
            ),
            parallel,
        ),
    ] {
        table.add(Row {
            what,
            unit: Unit::Rate,
            subject,
            floor: floor.clone(),
            budgets: vec![Budget::AtLeast(20_000.0), Budget::RatioAtLeast(0.4)],
        });
    }
    Ok(())
}

fn line(to: &str) -> String {
    let text = "x".repeat(200);
    send_line(to, &message_id(), &text)
}

fn by_turns(n: usize) -> String {
    line(&format!("absent-{}", n % RECIPIENTS))
}

fn raw_rate(journal: &mut Journal, records: usize) -> Outcome<f64> {
    let began = Instant::now();
    for _ in 0..records / IN_FLIGHT {
        let lines: String = (0..IN_FLIGHT).map(|_| line("nobody")).collect();
        journal.append(lines.as_bytes())?;
    }
    let appended = records / IN_FLIGHT * IN_FLIGHT;
    Ok(appended as f64 / began.elapsed().as_secs_f64())
}

fn parallel_rate(sessions: &mut [Client], messages: usize) -> Outcome<f64> {
    let each = messages / sessions.len();
    let all = each * sessions.len();
    let began = Instant::now();
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter_mut()
            .map(|session| {
                scope.spawn(move || {
                    pipeline(session, each, IN_FLIGHT / SENDERS, by_turns)
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .filter_map(|result| {
                result
                    .unwrap_or_else(|_| Err("a thread panicked".into()))
                    .err()
            })
            .next()
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(all as f64 / began.elapsed().as_secs_f64()),
    }
}
