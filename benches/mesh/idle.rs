//! What a hub costs that is linked with many others while nothing happens.

use crate::hubs::{Mesh, name};
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::hub::Hub;
use crate::shared::machine::processor_time;
use crate::shared::table::{Row, Series, Table, Unit};
use std::time::{Duration, Instant};

/// How long after the last link the hubs may still have to do with it: gossip settles within two
/// of its heartbeats.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures memory and processor time of the middle one of many linked hubs, beside a hub alone.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let alone = Hub::start_as(&name(plan.linked + 1))?;
    let mesh = Mesh::start(plan.linked + 1)?;
    let middle = &mesh.hubs[plan.linked / 2];
    std::thread::sleep(SETTLE);
    let mut shares: [Series; 2] = Default::default();
    let before = [busy(&alone)?, busy(middle)?];
    let began = Instant::now();
    std::thread::sleep(plan.idle);
    let watched = began.elapsed().as_secs_f64();
    for ((share, hub), before) in shares.iter_mut().zip([&alone, middle]).zip(before) {
        share.add((busy(hub)? - before) / watched);
    }
    let (mut with, mut without) = <(Series, Series)>::default();
    with.add(middle.resident()?);
    without.add(alone.resident()?);
    let [share_alone, share] = shares;
    table.add(Row {
        what: format!("hub memory (RSS), idle, {} hubs linked", plan.linked),
        unit: Unit::Size,
        subject: with,
        floor: Some(("a hub without a mesh", without)),
        budgets: vec![],
    });
    table.add(Row {
        what: format!("processor time, idle, {} hubs linked", plan.linked),
        unit: Unit::Share,
        subject: share,
        floor: Some(("a hub without a mesh", share_alone)),
        budgets: vec![],
    });
    Ok(())
}

fn busy(hub: &Hub) -> Outcome<f64> {
    Ok(processor_time(hub.pid())?.as_secs_f64())
}
