//! How much passes through one circuit, beside a program that only copies between two sockets.

use crate::Outcome;
use crate::running::Running;
use crate::support::hub::Hub;
use crate::table::{Budget, Row, Series, Table, Unit};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is written at a time.
const CHUNK: usize = 64 * 1024;

pub(crate) async fn measure(quick: bool, table: &mut Table) -> Outcome<()> {
    let (rounds, chunks) = if quick { (1, 64) } else { (5, 1_024) };
    let server = Running::start()?;
    let (ann, bob) = (Hub::new(&server.address), Hub::new(&server.address));
    let (_ann_in, _bob_in) = (ann.enter(1).await, bob.enter(1).await);
    bob.reserve().await?;
    let (mut relayed, mut spliced) = <(Series, Series)>::default();
    let splice = splice().await?;
    for _ in 0..rounds {
        relayed.add(per_second(chunks, circuit(&ann, &bob, chunks).await?));
        spliced.add(per_second(chunks, socket(splice, chunks).await?));
    }
    table.add(Row {
        what: "bytes through one circuit and back by an echo, between two hubs".into(),
        unit: Unit::Size,
        subject: relayed,
        floor: Some((
            "the same over TCP through a bare splice, not encrypted",
            spliced,
        )),
        // Two encryptions on each of two ways, on the same processors.
        budgets: vec![Budget::RatioAtLeast(0.1)],
    });
    Ok(())
}

/// Returns bytes per second.
fn per_second(chunks: usize, took: f64) -> f64 {
    (chunks * CHUNK) as f64 / took
}

async fn circuit(ann: &Hub, bob: &Hub, chunks: usize) -> Outcome<f64> {
    let (mut reader, mut writer) = ann.echo(bob.peer).await?.split();
    let began = Instant::now();
    let write = async {
        let chunk = vec![7; CHUNK];
        for _ in 0..chunks {
            writer.write_all(&chunk).await?;
        }
        writer.flush().await
    };
    let read = async {
        let mut chunk = vec![0; CHUNK];
        for _ in 0..chunks {
            reader.read_exact(&mut chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(write, read)?;
    Ok(began.elapsed().as_secs_f64())
}

async fn socket(splice: std::net::SocketAddr, chunks: usize) -> Outcome<f64> {
    let (mut reader, mut writer) = TcpStream::connect(splice).await?.into_split();
    let began = Instant::now();
    let write = async {
        let chunk = vec![7; CHUNK];
        for _ in 0..chunks {
            writer.write_all(&chunk).await?;
        }
        writer.flush().await
    };
    let read = async {
        let mut chunk = vec![0; CHUNK];
        for _ in 0..chunks {
            reader.read_exact(&mut chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(write, read)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Starts an echo and a splice before it; returns where the splice is.
async fn splice() -> Outcome<std::net::SocketAddr> {
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let behind = echo.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = echo.accept().await {
            let (mut reader, mut writer) = socket.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        }
    });
    let front = TcpListener::bind("127.0.0.1:0").await?;
    let place = front.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = front.accept().await {
            if let Ok(mut there) = TcpStream::connect(behind).await {
                let _ = tokio::io::copy_bidirectional(&mut socket, &mut there).await;
            }
        }
    });
    Ok(place)
}
