//! Serves until it is told to stop.

use super::error::Failure;
use super::log;
use ecorelay_rendezvous::{Server, Settings};

/// Files that are open besides the connections.
const OTHER_FILES: u64 = 64;

pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    log::install(settings)?;
    end_on_panic();
    let identity = settings.load_identity()?;
    let config = settings.config(identity)?;
    let without_external = config.external.is_empty();
    provide_files(u64::from(config.limits.connections) + OTHER_FILES);
    let mut server = Server::start(config).await?;
    for address in server.addresses() {
        println!("ecorelay rendezvous add {address}");
    }
    if without_external {
        tracing::warn!(
            addresses = ?server.addresses(),
            "hubs are told the addresses of this machine; if they reach it under others, set `external`, such as external = [\"/ip4/203.0.113.7/tcp/4001\"]"
        );
    }
    if let Some(address) = server.metrics() {
        tracing::info!(%address, "metrics");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        peer_id = server.peer_id(),
        "started"
    );
    tokio::select! {
        signal = told_to_stop() => tracing::info!(signal, "stopping"),
        () = server.ended() => return Err(Failure::failed("the server ended by itself; this is a bug")),
    }
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        _ = told_to_stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Lets a panic of any task end the process: a server of which a part has died must not look
/// alive. The service manager starts it anew.
fn end_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "the server ends because of a bug");
        before(panic);
        std::process::abort();
    }));
}

#[cfg(unix)]
async fn told_to_stop() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let term = signal(SignalKind::terminate());
    let int = signal(SignalKind::interrupt());
    let (Ok(mut term), Ok(mut int)) = (term, int) else {
        // It can be killed, and loses nothing by it.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

#[cfg(not(unix))]
async fn told_to_stop() -> &'static str {
    // It can be killed, and loses nothing by it.
    let _ = tokio::signal::ctrl_c().await;
    "interrupt"
}

/// Asks the system for as many open files as there may be connections, and warns if it gives
/// fewer.
#[cfg(unix)]
fn provide_files(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let wanted = Rlimit {
            current: Some(needed.min(most)),
            maximum: limit.maximum,
        };
        // What came of it is looked at, not what was answered.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if current < needed {
        tracing::warn!(
            current,
            needed,
            "fewer open files are allowed than connections may come; raise LimitNOFILE of the service, or lower limits.connections"
        );
    }
}

#[cfg(not(unix))]
fn provide_files(_: u64) {}
