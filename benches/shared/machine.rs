//! The machine that was measured, in one paragraph; and what its processes hold in memory.

use super::Outcome;
use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

/// Returns what a reader must know of the machine to judge the numbers.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |word: &str| info.lines().any(|line| line.contains(word));
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores ({model}{}), shared by the hub and all clients; {} {}; data directory on {}; load average at the start {}",
        if has("hypervisor") {
            ", virtual machine"
        } else {
            ""
        },
        std::env::consts::OS,
        kernel.trim(),
        file_system(Path::new(env!("CARGO_TARGET_TMPDIR"))),
        load()
    )
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> String {
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Returns the type of the file system that holds `path`: the longest mount point above it.
fn file_system(path: &Path) -> String {
    let mounts = read_to_string("/proc/self/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    let found = holding.max_by_key(|(length, _)| *length);
    found.map_or_else(|| "an unknown file system".into(), |(_, kind)| kind.into())
}

/// Returns how long the threads of a process have run on a processor.
pub(crate) fn processor_time(pid: u32) -> Outcome<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended in between.
        let ran = read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanos += ran
            .split(' ')
            .next()
            .and_then(|n| n.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Returns the resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Outcome<f64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .ok_or("the system does not say how much memory a process holds")?;
    Ok(kib.trim().parse::<f64>()? * 1024.0)
}
