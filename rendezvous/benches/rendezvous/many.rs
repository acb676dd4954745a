//! What a thousand hubs in a hundred meshes cost that entered, reserved, and send heartbeats.

use crate::Outcome;
use crate::machine::{processor_time, resident};
use crate::running::Running;
use crate::support::hub::{Entered, Hub};
use crate::support::wire::say;
use crate::table::{Budget, Row, Series, Table, Unit};
use ecorelay_protocol::rendezvous::ToServer;
use std::time::{Duration, Instant};

/// Hubs that come at a time.
const AT_ONCE: usize = 20;
/// The heartbeat of a hub.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) async fn measure(quick: bool, table: &mut Table) -> Outcome<()> {
    let (count, meshes, watched) = if quick {
        (100, 10, Duration::from_secs(3))
    } else {
        (1_000, 100, 2 * HEARTBEAT)
    };
    let server = Running::start()?;
    let empty = resident(server.pid())?;
    let busy = || -> Outcome<f64> { Ok(processor_time(server.pid())?.as_secs_f64()) };
    let (before, began) = (busy()?, Instant::now());
    let mut hubs: Vec<(Hub, Entered)> = Vec::new();
    while hubs.len() < count {
        let come = (hubs.len()..count.min(hubs.len() + AT_ONCE)).map(|n| {
            let hub = Hub::new(&server.address);
            async move {
                let mesh = u8::try_from(n % meshes).unwrap_or(0);
                let entered = hub.enter(mesh).await;
                hub.reserve().await?;
                Ok::<_, String>((hub, entered))
            }
        });
        for one in futures_util::future::join_all(come).await {
            hubs.push(one?);
        }
    }
    let (came, took) = (busy()? - before, began.elapsed());
    let seen = server.snapshot().await?;
    if (seen.hubs, seen.reservations, seen.meshes)
        != (count.try_into()?, count.try_into()?, meshes.try_into()?)
    {
        return Err(format!("not all came: {seen:?}").into());
    }
    let full = resident(server.pid())?;
    let (before, began) = (busy()?, Instant::now());
    // Each sends its heartbeat, evenly spread.
    let pause = HEARTBEAT.div_f64(count as f64);
    let mut beat = tokio::time::interval(pause);
    for n in 0_usize.. {
        beat.tick().await;
        if began.elapsed() > watched {
            break;
        }
        let at = n % hubs.len();
        if let Some((_, entered)) = hubs.get_mut(at) {
            say(&mut entered.stream, &ToServer::Ping(1)).await?;
        }
    }
    let idle = (busy()? - before) / began.elapsed().as_secs_f64();
    let what = format!("{count} hubs in {meshes} meshes");
    let count = count as f64;
    let one = |number: f64| {
        let mut series = Series::default();
        series.add(number);
        series
    };
    let rows = [
        (
            format!("server memory (RSS), {what}"),
            Unit::Size,
            full,
            vec![],
        ),
        // Two thousand such meshes are to fit into a small machine.
        (
            "… per hub".into(),
            Unit::Size,
            (full - empty) / count,
            vec![Budget::AtMost(100e3)],
        ),
        (
            format!("{what}: entered and reserved"),
            Unit::Rate,
            count / took.as_secs_f64(),
            vec![],
        ),
        (
            "… the server's processor time per hub".into(),
            Unit::Time,
            came / count,
            vec![Budget::AtMost(5e-3)],
        ),
        (
            format!("processor time, heartbeats of {what}"),
            Unit::Share,
            idle,
            vec![],
        ),
    ];
    for (at, (what, unit, subject, budgets)) in rows.into_iter().enumerate() {
        table.add(Row {
            what,
            unit,
            subject: one(subject),
            floor: (at == 0).then(|| ("the server without hubs", one(empty))),
            budgets,
        });
    }
    Ok(())
}
