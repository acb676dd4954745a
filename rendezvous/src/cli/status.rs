//! `status`: how the running server is.

use super::error::Failure;
use ecorelay_rendezvous::{Settings, Snapshot};

#[cfg(unix)]
pub(crate) async fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let path = settings.status_socket();
    let snapshot = ecorelay_rendezvous::ask_status(&path).await;
    let snapshot = snapshot.map_err(|error| {
        Failure::failed(format!(
            "no server answers on {}: {error}. Start it, or say with --data-dir or --config where it is",
            path.display()
        ))
    })?;
    if json {
        let text = serde_json::to_string(&snapshot);
        println!("{}", text.map_err(|e| Failure::failed(e.to_string()))?);
    } else {
        print!("{}", page(&snapshot));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) async fn run(_: &Settings, _: bool) -> Result<(), Failure> {
    Err(Failure::failed(
        "status needs Unix sockets; ask the metrics port for /status instead",
    ))
}

/// Returns what a person reads.
#[cfg_attr(not(unix), allow(dead_code))]
fn page(snapshot: &Snapshot) -> String {
    let Snapshot {
        version,
        uptime_s,
        peer_id,
        addresses,
        meshes,
        hubs,
        reservations,
        circuits,
        pipes_waiting,
        pipes,
        connections,
        bytes_in,
        bytes_out,
        pipe_bytes,
        memory,
        refused,
    } = snapshot;
    let mib = |bytes: &u64| bytes / (1024 * 1024);
    let mut page = format!(
        "ecorelay-rendezvous {version}, up {}\n\n\
         peer id       {peer_id}\n\
         meshes        {meshes}\n\
         hubs          {hubs}, {reservations} with a reservation\n\
         circuits      {circuits}\n\
         pairing       {pipes} streams, {pipes_waiting} waiting, {pipe_bytes} bytes passed\n\
         connections   {connections}\n\
         traffic       {} MiB in, {} MiB out\n\
         memory        {} MiB\n",
        uptime(*uptime_s),
        mib(bytes_in),
        mib(bytes_out),
        mib(memory),
    );
    if !refused.is_empty() {
        let list = refused.iter().map(|(why, count)| format!("{why} {count}"));
        page += &format!("refused       {}\n", list.collect::<Vec<_>>().join(", "));
    }
    page += "\nOn a hub:\n";
    for address in addresses {
        page += &format!("  ecorelay rendezvous add {address}\n");
    }
    page
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
