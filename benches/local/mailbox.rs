//! What a full mailbox costs: sending into it and reading from it, beside an emptier one. The
//! samples of all mailboxes alternate one by one, so that each pair sees the same machine.

use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, message_id, send_line};
use crate::shared::disk::Journal;
use crate::shared::hub::Hub;
use crate::shared::sending::acknowledged;
use crate::shared::sending::pipeline;
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use std::time::{Duration, Instant};

/// "No growth" in the presence of noise.
const NO_GROWTH: Budget = Budget::RatioAtMost(1.2);
/// Unread messages of a well filled mailbox.
const FILLED: usize = 500;
/// Messages of a page.
const PAGE: usize = 20;
/// Bytes of a large text.
const LARGE: usize = 200 * 1024;

/// Measures sending into mailboxes of different fill, large texts, and reading a page.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    send_by_fill(plan, table)?;
    large_texts(plan, table)?;
    read_by_fill(plan, table)
}

/// Fills a mailbox with messages of 200 bytes.
fn fill(sender: &mut Client, to: &str, messages: usize) -> Outcome<()> {
    let text = "x".repeat(200);
    let line = |_| send_line(to, &message_id(), &text);
    pipeline(sender, messages, 64, line)
}

/// Fills a mailbox with messages that were read, to the bound from which old ones leave.
fn fill_read(hub: &Hub, sender: &mut Client, to: &str) -> Outcome<()> {
    let (kept, step) = (500, 64);
    let mut owner = hub.session(to)?;
    let text = "x".repeat(200);
    for _ in 0..kept + step {
        let id = message_id();
        sender.write(&send_line(to, &id, &text))?;
        owner.expect("incoming_message")?;
        owner.confirm(&id)?;
        owner.write(&format!(
            "{{\"type\":\"read\",\"msg_ids\":[\"{id}\"],\"req_id\":\"read\"}}\n"
        ))?;
        owner.expect("ack")?;
        sender.expect("send_ack")?;
    }
    Ok(())
}

fn send_by_fill(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut sender = hub.session("sender")?;
    let samples = plan.samples / 4 + 1;
    let text = "x".repeat(200);
    let mut series: [Series; 4] = Default::default();
    for round in 0..plan.rounds {
        let names = ["empty", "filled", "full", "read"].map(|kind| format!("{kind}-{round}"));
        for (name, messages) in names.iter().zip([0, FILLED, plan.full_mailbox]) {
            hub.absent(name)?;
            fill(&mut sender, name, messages)?;
        }
        fill_read(&hub, &mut sender, &names[3])?;
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _ in 0..samples {
            for (name, times) in names.iter().zip(&mut times) {
                let line = send_line(name, &message_id(), &text);
                times.push(acknowledged(&mut sender, &line)?);
            }
        }
        for (series, times) in series.iter_mut().zip(&times) {
            series.add_times(times);
        }
    }
    let [empty, filled, full, read] = series;
    let empty = Some(("empty mailbox", empty));
    for (what, subject) in [
        (format!("send → ack, {FILLED} unread"), filled),
        (format!("send → ack, {} unread", plan.full_mailbox), full),
        ("send → ack, 500 read messages kept".to_owned(), read),
    ] {
        table.add(Row {
            what: format!("{what}, p50"),
            unit: Unit::Time,
            subject,
            floor: empty.clone(),
            budgets: vec![NO_GROWTH],
        });
    }
    Ok(())
}

fn large_texts(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut sender = hub.session("sender")?;
    let mut journal = Journal::create()?;
    let samples = plan.samples / 10;
    let texts = ["x".repeat(200), "x".repeat(LARGE)];
    let (mut append, mut small) = <(Series, Series)>::default();
    let (mut large, mut filled) = <(Series, Series)>::default();
    for round in 0..plan.rounds {
        let [empty, full] = ["empty", "filled"].map(|kind| format!("{kind}-{round}"));
        hub.absent(&empty)?;
        hub.absent(&full)?;
        fill(&mut sender, &full, FILLED)?;
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _ in 0..samples {
            let line = |to: &str, size: usize| send_line(to, &message_id(), &texts[size]);
            times[0].push(journal.append(line(&empty, 1).as_bytes())?);
            times[1].push(acknowledged(&mut sender, &line(&empty, 0))?);
            times[2].push(acknowledged(&mut sender, &line(&empty, 1))?);
            times[3].push(acknowledged(&mut sender, &line(&full, 1))?);
        }
        append.add_times(&times[0]);
        small.add_times(&times[1]);
        large.add_times(&times[2]);
        filled.add_times(&times[3]);
    }
    for (what, subject, floor, budgets) in [
        (
            "send → ack, 200 KB text, p50".to_owned(),
            large.clone(),
            ("append of 200 KB + fdatasync", append),
            vec![],
        ),
        (
            "send → ack, 200 KB text, p50".to_owned(),
            large.clone(),
            ("200 B text", small),
            vec![],
        ),
        (
            format!("send → ack, 200 KB text, {FILLED} unread, p50"),
            filled,
            ("empty mailbox", large),
            vec![NO_GROWTH],
        ),
    ] {
        table.add(Row {
            what,
            unit: Unit::Time,
            subject,
            floor: Some(floor),
            budgets,
        });
    }
    Ok(())
}

fn read_by_fill(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let mut sender = hub.session("sender")?;
    let fills = [PAGE, FILLED, plan.full_mailbox];
    let mut owners = Vec::new();
    for messages in fills {
        let name = format!("owner-{messages}");
        hub.absent(&name)?;
        fill(&mut sender, &name, messages)?;
        let mut owner = hub.session(&name)?;
        for _ in 0..PAGE.min(messages) {
            owner.expect("incoming_message")?; // what came while it was away
        }
        owners.push(owner);
    }
    let mut series: [Series; 3] = Default::default();
    for _ in 0..plan.rounds {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..plan.samples / 4 + 1 {
            for (owner, times) in owners.iter_mut().zip(&mut times) {
                let began = Instant::now();
                owner.write("{\"type\":\"inbox\",\"limit\":20,\"req_id\":\"i\"}\n")?;
                owner.expect("inbox_result")?;
                times.push(began.elapsed());
            }
        }
        for (series, times) in series.iter_mut().zip(&times) {
            series.add_times(times);
        }
    }
    let [page, filled, full] = series;
    for (messages, subject) in [(FILLED, filled), (plan.full_mailbox, full)] {
        table.add(Row {
            what: format!("inbox page of {PAGE} out of {messages} unread, p50"),
            unit: Unit::Time,
            subject,
            floor: Some(("page of 20 out of 20", page.clone())),
            budgets: vec![NO_GROWTH],
        });
    }
    Ok(())
}
