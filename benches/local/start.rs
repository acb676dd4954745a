//! The start of a hub: from its process to its first registered session.

use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::floor::Relay;
use crate::shared::hub::Home;
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use std::time::Instant;

/// Measures the first start in an empty data directory, and the next one.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let (mut first, mut next, mut floor) = <(Series, Series, Series)>::default();
    for _ in 0..plan.hub_starts {
        let began = Instant::now();
        let mut relay = Relay::start(0)?;
        relay.pass("{}\n")?;
        floor.add_times(&[began.elapsed()]);
        let home = Home::create()?;
        for series in [&mut first, &mut next] {
            let began = Instant::now();
            let (_hub, mut client) = home.start_hub()?;
            client.register("first")?;
            series.add_times(&[began.elapsed()]);
        }
    }
    let floor = Some(("a process that echoes one line on a socket", floor));
    for (what, subject) in [
        ("hub start → first register acked, empty directory", first),
        ("hub start → first register acked, after a kill -9", next),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Time,
            subject,
            floor: floor.clone(),
            budgets: vec![Budget::AtMost(60e-3)],
        });
    }
    Ok(())
}
