//! What Prometheus asks, over the least HTTP there is: one request per connection, few at a time,
//! none for long. Meant for the machine itself or a private network, and safe from scanners.

use crate::error::ServerError;
use crate::event_loop::Command;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::status_socket::snapshot;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Requests under way at a time; more are dropped.
const REQUESTS: usize = 16;
/// From the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of a request, in bytes.
const HEAD: usize = 4_096;

/// Opens the port and answers in a task until it is aborted; returns where it really is, too.
pub(crate) async fn open(
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    metrics: Metrics,
) -> Result<(SocketAddr, JoinHandle<()>), ServerError> {
    let failed = |source| ServerError::Open {
        place: format!("the port of the metrics, {address}"),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let requests = Arc::new(Semaphore::new(REQUESTS));
    let task = tokio::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                // Out of file descriptors, most likely.
                tokio::time::sleep(PATIENCE).await;
                continue;
            };
            let Ok(permit) = requests.clone().try_acquire_owned() else {
                continue;
            };
            let (commands, metrics) = (commands.clone(), metrics.clone());
            tokio::spawn(async move {
                let _ = timeout(PATIENCE, serve(socket, &commands, &metrics)).await;
                drop(permit);
            });
        }
    });
    Ok((local, task))
}

async fn serve(
    mut socket: TcpStream,
    commands: &mpsc::Sender<Command>,
    metrics: &Metrics,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut buffer = [0; 1_024];
        let length = socket.read(&mut buffer).await.ok()?;
        head.extend_from_slice(buffer.get(..length)?);
        if length == 0 || head.len() > HEAD {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let (status, kind, body) = if method == "GET" {
        answer(path, commands, metrics).await?
    } else {
        ("405 Method Not Allowed", "text/plain", String::new())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    socket.write_all(body.as_bytes()).await.ok()?;
    socket.shutdown().await.ok()
}

async fn answer(
    path: &str,
    commands: &mpsc::Sender<Command>,
    metrics: &Metrics,
) -> Option<(&'static str, &'static str, String)> {
    match path {
        "/metrics" => {
            let text = render(&snapshot(commands).await?, metrics)?;
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Some(("200 OK", kind, text))
        }
        "/status" => {
            let text = serde_json::to_string(&snapshot(commands).await?).ok()?;
            Some(("200 OK", "application/json", text))
        }
        _ => Some(("404 Not Found", "text/plain", String::new())),
    }
}

fn render(snapshot: &Snapshot, metrics: &Metrics) -> Option<String> {
    let mut registry = Registry::with_prefix("ecorelay_rendezvous");
    metrics.register(&mut registry);
    let gauges = [
        ("uptime_seconds", "Since the start", snapshot.uptime_s),
        ("meshes", "Meshes with a hub that entered", snapshot.meshes),
        ("hubs", "Hubs that entered", snapshot.hubs),
        (
            "reservations",
            "Hubs that can be reached",
            snapshot.reservations,
        ),
        ("circuits", "Open circuits", snapshot.circuits),
        (
            "pipes_waiting",
            "Hosts that wait to pair",
            snapshot.pipes_waiting,
        ),
        ("pipes", "Streams of hubs that pair", snapshot.pipes),
        ("connections", "Connections", snapshot.connections),
        ("memory_bytes", "Memory of the process", snapshot.memory),
    ];
    for (name, help, value) in gauges {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    encode(&mut text, &registry).ok()?;
    Some(text)
}
