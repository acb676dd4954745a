//! What a hub holds in memory: without sessions, with many, and after it has worked.

use crate::channel::Conversation;
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::floor::answerer;
use crate::shared::hub::{Hub, MANY};
use crate::shared::table::{Budget, Row, Series, Table, Unit};

/// Measures the memory of a hub: without sessions, with many, and after it has worked.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let (mut idle, mut many, mut worked) = <(Series, Series, Series)>::default();
    let mut floor = Series::default();
    for _ in 0..plan.rounds {
        let hub = Hub::start()?;
        idle.add(hub.resident()?);
        let mut sessions = (0..MANY)
            .map(|n| hub.session(&format!("s{n}")))
            .collect::<Outcome<Vec<_>>>()?;
        many.add(hub.resident()?);
        work(&mut sessions, plan.samples * 10)?;
        worked.add(hub.resident()?);
        floor.add(memory_of_a_process()?);
    }
    let floor = Some(("a process that answers one line", floor));
    for (what, subject, budgets) in [
        (
            "hub memory (RSS), idle".to_owned(),
            idle,
            vec![Budget::AtMost(15e6)],
        ),
        (
            format!("hub memory, {MANY} sessions"),
            many,
            vec![Budget::AtMost(20e6)],
        ),
        (
            format!(
                "hub memory, {MANY} sessions, after {} messages",
                plan.samples * 10
            ),
            worked,
            vec![],
        ),
    ] {
        table.add(Row {
            what,
            unit: Unit::Size,
            subject,
            floor: floor.clone(),
            budgets,
        });
    }
    Ok(())
}

/// Lets the sessions send to each other in turn, each message confirmed.
fn work(sessions: &mut [Client], messages: usize) -> Outcome<()> {
    let text = "x".repeat(200);
    for n in 0..messages {
        let (from, to) = (n % sessions.len(), (n + 1) % sessions.len());
        let id = message_id();
        sessions[from].write(&send_line(&format!("s{to}"), &id, &text))?;
        sessions[to].expect("incoming_message")?;
        sessions[to].confirm(&id)?;
        sessions[from].expect("send_ack")?;
    }
    Ok(())
}

/// Returns the memory of the smallest process of this language that does something.
pub(crate) fn memory_of_a_process() -> Outcome<f64> {
    let mut command = answerer()?;
    let process = Conversation::start(&mut command)?;
    process.answered()
}
