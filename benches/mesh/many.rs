//! A mesh of many hubs in one process, in a hidden role of this program: made with the library,
//! every hub on a port of its own on loopback. It runs in a network namespace of its own where
//! the system allows that, so that every byte on loopback is one of these hubs.

use crate::shared::{Outcome, disk, machine};
use ecorelay_node::{DataDir, HubId, InviteOptions, Node, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// The role; number of hubs, seconds to idle, and `counted` where loopback is theirs alone.
pub(crate) const ROLE: &str = "--many-hubs";
/// Says that every byte on loopback counts.
pub(crate) const COUNTED: &str = "counted";
/// Longest time for everything that is waited for together; a busy machine needs minutes for the
/// largest mesh.
const DEADLINE: Duration = Duration::from_secs(240);
/// How long after the last link the hubs may still have to do with it.
const SETTLE: Duration = Duration::from_secs(3);
/// Sessions that join one after the other.
const JOINS: usize = 10;
/// Between two looks that did not find what they look for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Plays the hidden role that the arguments name, if they do.
pub(crate) fn role(arguments: &[String]) -> Option<ExitCode> {
    let played = match arguments {
        [role, hubs, idle, counted] if role == ROLE => play(hubs, idle, counted == COUNTED),
        _ => return None,
    };
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("many hubs: {error}");
            ExitCode::FAILURE
        }
    })
}

fn play(hubs: &str, idle: &str, counted: bool) -> Outcome<()> {
    let (hubs, idle) = (hubs.parse()?, Duration::from_secs_f64(idle.parse()?));
    allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        timeout(DEADLINE + idle, measure(hubs, idle, counted))
            .await
            .map_err(|_| format!("{hubs} hubs took longer than {DEADLINE:?}"))?
    })
}

/// A link takes two sockets here, for both its ends are in this process.
fn allow_many_files() -> Outcome<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// One hub with a session that looks.
struct Member {
    node: Node,
    session: Session,
    _folder: TempDir,
}

impl Member {
    async fn start(number: usize) -> Outcome<Self> {
        let folder = disk::folder()?;
        let hub_id: HubId = format!("hub-{number}").parse()?;
        let node = Node::builder()
            .data_dir(DataDir::at(folder.path()))
            .hub_id(hub_id)
            .listen(["/ip4/127.0.0.1/tcp/0"])
            .mdns(false)
            .start()
            .await?;
        let session = node.session(format!("s{number}")).agent("bench");
        Ok(Self {
            session: session.cwd("/bench").register().await?,
            node,
            _folder: folder,
        })
    }

    /// Waits until its hub shows so many other sessions.
    async fn sees(&self, sessions: usize) -> Outcome<()> {
        while self.session.peers().await?.len() < sessions {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn is_linked_with(&self, hubs: usize) -> Outcome<()> {
        loop {
            let status = self.node.status().await?;
            let known = status["hubs"].as_array().map_or(&[][..], Vec::as_slice);
            if known.iter().filter(|hub| hub["state"] == "direct").count() >= hubs {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

async fn measure(hubs: usize, idle: Duration, counted: bool) -> Outcome<()> {
    let mut members = Vec::new();
    for number in 0..hubs {
        members.push(Member::start(number).await?);
    }
    let alone = machine::resident(std::process::id())?;
    let ticket = members[0].node.invite(InviteOptions::default()).await?;
    let began = Instant::now();
    for member in &members[1..] {
        member.node.join(&ticket.ticket).await?;
    }
    // One hub after the other: the last to see everything decides, whatever its place.
    for member in &members {
        member.sees(hubs - 1).await?;
    }
    let directory = began.elapsed();
    for member in &members {
        member.is_linked_with(hubs - 1).await?;
    }
    let linked = began.elapsed();
    let formed = bytes()?;

    sleep(SETTLE).await;
    let (bytes_before, busy_before) = (bytes()?, busy()?);
    let began = Instant::now();
    sleep(idle).await;
    let watched = began.elapsed().as_secs_f64();
    let idle_bytes = (bytes()? - bytes_before) / watched;
    let idle_share = (busy()? - busy_before) / watched;
    let memory = machine::resident(std::process::id())? - alone;

    let (bytes_before, began) = (bytes()?, Instant::now());
    let mut joins = Vec::new();
    let mut joined = Vec::new();
    for number in 1..=JOINS {
        let began = Instant::now();
        let session = members[0].node.session(format!("late-{number}"));
        joined.push(session.agent("bench").cwd("/bench").register().await?);
        for member in &members[1..] {
            member.sees(hubs - 1 + number).await?;
        }
        joins.push(began.elapsed().as_secs_f64());
    }
    let meanwhile = idle_bytes * began.elapsed().as_secs_f64();
    let join_bytes = (bytes()? - bytes_before - meanwhile) / JOINS as f64;
    joins.sort_by(f64::total_cmp);

    let number = hubs as f64;
    let count = |bytes: f64| counted.then_some(bytes);
    println!(
        "{}",
        json!({
            "hubs": hubs,
            "directory_s": directory.as_secs_f64(),
            "linked_s": linked.as_secs_f64(),
            "formed_bytes_per_hub": count(formed / number),
            "idle_bytes_per_hub_minute": count(idle_bytes * 60.0 / number),
            "idle_share_per_hub": idle_share / number,
            "memory_per_hub": memory / number,
            "join_s": joins[JOINS / 2],
            "join_bytes": count(join_bytes),
        })
    );
    Ok(())
}

fn busy() -> Outcome<f64> {
    Ok(machine::processor_time(std::process::id())?.as_secs_f64())
}

/// Returns how many bytes have gone over loopback, headers included.
fn bytes() -> Outcome<f64> {
    let devices = std::fs::read_to_string("/proc/self/net/dev")?;
    let received = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))
        .and_then(|counters| counters.split_whitespace().next())
        .ok_or("the system does not count the bytes on loopback")?;
    Ok(received.parse()?)
}
