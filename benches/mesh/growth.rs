//! What grows with the number of hubs: the same in meshes of several sizes.

use crate::many::{COUNTED, ROLE};
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::table::Table;
use serde_json::Value;
use std::process::{Command, Stdio};

/// How a program is started in a network namespace of its own: as root, or in a user namespace.
const ALONE: [&[&str]; 2] = [&["-n"], &["-r", "-n"]];
/// Loopback is down in a new namespace.
const WITH_LOOPBACK: &str = "ip link set lo up && exec \"$0\" \"$@\"";

/// What a line of the table says, the key of its number, and how that is printed.
type Line = (&'static str, &'static str, fn(f64) -> String);

const LINES: [Line; 8] = [
    (
        "joins → every hub shows every session",
        "directory_s",
        seconds,
    ),
    (
        "joins → every hub is linked with all others",
        "linked_s",
        seconds,
    ),
    (
        "bytes per hub until then",
        "formed_bytes_per_hub",
        kilobytes,
    ),
    (
        "idle: bytes per hub and minute",
        "idle_bytes_per_hub_minute",
        kilobytes,
    ),
    (
        "idle: processor time per hub",
        "idle_share_per_hub",
        per_cent,
    ),
    (
        "memory per hub that the mesh adds",
        "memory_per_hub",
        kilobytes,
    ),
    (
        "a session joins → all other hubs show it, p50",
        "join_s",
        milliseconds,
    ),
    (
        "a session joins: bytes in the whole mesh",
        "join_bytes",
        kilobytes,
    ),
];

/// Measures meshes of growing size, each in a process of its own.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let namespace = ALONE.into_iter().find(|options| {
        let mut command = Command::new("unshare");
        command
            .args(*options)
            .args(["sh", "-c", "ip link set lo up"]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    });
    if namespace.is_none() {
        eprintln!("growth: no network namespace can be made here, so bytes are not counted");
    }
    let mut head = vec!["Hubs, each linked with all others".to_owned()];
    let mut lines: Vec<Vec<String>> = LINES
        .iter()
        .map(|(what, ..)| vec![(*what).to_owned()])
        .collect();
    let mut failed = None;
    for hubs in plan.sizes {
        match mesh_of(*hubs, plan, namespace) {
            Ok(numbers) => {
                head.push(hubs.to_string());
                for (line, (_, key, print)) in lines.iter_mut().zip(LINES) {
                    line.push(numbers[key].as_f64().map_or("not counted".into(), print));
                }
            }
            Err(error) => {
                failed = Some(format!("a mesh of {hubs}: {error}"));
                break;
            }
        }
    }
    lines.insert(0, head);
    table.add_other(&lines);
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn mesh_of(hubs: usize, plan: &Plan, namespace: Option<&[&str]>) -> Outcome<Value> {
    let program = std::env::current_exe()?;
    let mut command = match namespace {
        None => Command::new(&program),
        Some(options) => {
            let mut command = Command::new("unshare");
            command.args(options).args(["sh", "-c", WITH_LOOPBACK]);
            command.arg(&program);
            command
        }
    };
    let output = command
        .args([ROLE, &hubs.to_string()])
        .arg(plan.idle.as_secs_f64().to_string())
        .arg(if namespace.is_some() { COUNTED } else { "not" })
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("its process ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn seconds(number: f64) -> String {
    format!("{number:.2} s")
}

fn milliseconds(number: f64) -> String {
    format!("{:.1} ms", number * 1e3)
}

fn kilobytes(number: f64) -> String {
    format!("{:.1} kB", number / 1e3)
}

fn per_cent(number: f64) -> String {
    format!("{:.3} %", number * 100.0)
}
