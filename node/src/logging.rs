//! Logs: JSON lines in `logs/hub-YYYY-MM-DD.log`, one file a day (UTC), the newest seven kept.
//! Never message text, keys or tokens.

use crate::platform;
use ecorelay_protocol::iso_ms;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

/// Files kept.
const DAYS: usize = 7;
/// Lines that may wait for the disk; more are dropped.
const WAITING: usize = 4_096;

/// Writes what this process logs to the folder `logs`, at `level` or above, until the guard is
/// dropped. Also writes down a panic of any thread before the process ends.
///
/// A program that has installed its own subscriber keeps it.
pub(crate) fn install(logs: &Path, level: &str) -> io::Result<WorkerGuard> {
    let file = DailyFile::open(logs)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(file);
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let installed = tracing_subscriber::fmt()
        .json()
        .with_max_level(level)
        .with_writer(writer)
        .try_init();
    if installed.is_ok() {
        end_on_panic(logs.to_owned());
    }
    Ok(guard)
}

/// Lets a panic of any thread end the process, after it was written down: a hub of which a part
/// has died must not look alive.
fn end_on_panic(logs: PathBuf) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        let line = serde_json::json!({
            "timestamp": iso_ms(now()),
            "level": "ERROR",
            "fields": { "message": "the hub ends because of a bug", "panic": panic.to_string() },
        });
        if let Ok(mut file) = DailyFile::open(&logs) {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
        std::process::abort();
    }));
}

/// A file that is another one every day.
#[derive(Debug)]
struct DailyFile {
    folder: PathBuf,
    day: String,
    file: File,
}

impl DailyFile {
    fn open(folder: &Path) -> io::Result<Self> {
        Self::open_on(folder, today())
    }

    fn open_on(folder: &Path, day: String) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        platform::private_file(&mut options);
        let file = options.open(folder.join(format!("hub-{day}.log")))?;
        remove_old(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            day,
            file,
        })
    }

    fn write_on(&mut self, day: String, bytes: &[u8]) -> io::Result<usize> {
        if day != self.day {
            *self = Self::open_on(&self.folder, day)?;
        }
        self.file.write(bytes)
    }
}

impl Write for DailyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_on(today(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes all but the newest logs.
fn remove_old(folder: &Path) -> io::Result<()> {
    let is_log = |name: &str| name.starts_with("hub-") && name.ends_with(".log");
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|n| n.to_str())
                .is_some_and(is_log)
        })
        .collect();
    // Dates written like this sort as text.
    logs.sort();
    for old in logs.iter().rev().skip(DAYS) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

fn today() -> String {
    let mut day = iso_ms(now());
    day.truncate("2026-11-22".len());
    day
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_day_has_its_file_and_a_week_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let mut log = DailyFile::open_on(dir.path(), "2026-01-01".into()).unwrap();
        for day in 1..=9 {
            log.write_on(format!("2026-01-{day:02}"), b"{}\n").unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), DAYS + 1);
        assert_eq!(names[0], "hub-2026-01-03.log");
        assert_eq!(names[DAYS], "notes.txt");
        assert_eq!(
            std::fs::read(dir.path().join("hub-2026-01-09.log")).unwrap(),
            b"{}\n"
        );
    }
}
