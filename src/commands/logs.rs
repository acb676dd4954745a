//! `node logs`: the hub's log of today, readable.

use super::presence::interrupted;
use crate::context::Context;
use crate::error::CliError;
use crate::view::style::{DIM, FAIL, GOOD, PLAIN, WARN, paint};
use crate::view::text::one_line;
use clap::Args;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest log line shown, in bytes; a longer one comes in parts.
const LINE_BYTES: u64 = 256 * 1024;
/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The most lines `-n` can ask for; they are kept in memory.
const MOST_LINES: u64 = 100_000;

/// The arguments of `node logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with what is logged from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only the last N lines [default: all of today]
    #[arg(short = 'n', long = "lines", value_name = "N",
          value_parser = clap::value_parser!(u64).range(0..=MOST_LINES))]
    lines: Option<u64>,
}

pub(crate) async fn run(args: LogsArgs, context: &Context) -> Result<(), CliError> {
    let folder = context.dir.logs();
    let newest = newest_log(&folder)?;
    if newest.is_none() && !args.follow {
        return Err(
            CliError::failed(format!("There is no log in {}.", folder.display()))
                .hint("A hub writes one when it starts: `ecorelay up`."),
        );
    }
    let mut tail = Tail::default();
    if let Some(path) = newest {
        tail.open(path)?;
        let mut last = VecDeque::new();
        while let Some(line) = tail.next_line()? {
            match args.lines {
                None => print(context, &line)?,
                Some(most) => {
                    last.push_back(line);
                    if last.len() as u64 > most {
                        last.pop_front();
                    }
                }
            }
        }
        for line in last {
            print(context, &line)?;
        }
    }
    if !args.follow {
        return Ok(());
    }
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        while let Some(line) = tail.next_line()? {
            print(context, &line)?;
        }
        // At midnight the hub begins a new file.
        if let Some(path) = newest_log(&folder)?
            && tail.path.as_ref() != Some(&path)
        {
            tail.open(path)?;
        }
    }
}

fn print(context: &Context, line: &str) -> Result<(), CliError> {
    if context.output.json() {
        return context.output.raw(format!("{line}\n").as_bytes());
    }
    context.output.text(&readable(line))
}

/// Returns the newest of the hub's logs, `hub-YYYY-MM-DD.log`.
fn newest_log(folder: &Path) -> Result<Option<PathBuf>, CliError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(folder, &e)),
    };
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_log(path))
        .max())
}

fn is_log(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.starts_with("hub-") && name.ends_with(".log") && path.is_file()
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("{} cannot be read: {error}.", path.display()))
        .hint("It must be yours and readable.")
}

/// A log file that is read on as it grows.
#[derive(Debug, Default)]
struct Tail {
    path: Option<PathBuf>,
    file: Option<BufReader<File>>,
    /// A line whose end is not written yet.
    partial: Vec<u8>,
}

impl Tail {
    fn open(&mut self, path: PathBuf) -> Result<(), CliError> {
        let file = File::open(&path).map_err(|e| unreadable(&path, &e))?;
        *self = Self {
            path: Some(path),
            file: Some(BufReader::new(file)),
            partial: Vec::new(),
        };
        Ok(())
    }

    /// Returns the next whole line, or `None` until more is written.
    fn next_line(&mut self) -> Result<Option<String>, CliError> {
        let (Some(file), Some(path)) = (&mut self.file, &self.path) else {
            return Ok(None);
        };
        let room = LINE_BYTES.saturating_sub(self.partial.len() as u64);
        let read = file
            .by_ref()
            .take(room)
            .read_until(b'\n', &mut self.partial);
        read.map_err(|e| unreadable(path, &e))?;
        let ended = self.partial.last() == Some(&b'\n');
        if !ended && (self.partial.len() as u64) < LINE_BYTES {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        Ok(Some(line))
    }
}

/// Returns a JSON log line as `time level message key=value …`; another line as it is.
fn readable(line: &str) -> String {
    let Ok(Value::Object(mut entry)) = serde_json::from_str::<Value>(line) else {
        return one_line(line);
    };
    let mut take = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| entry.remove(*key))
            .map(|value| plain(&value))
            .unwrap_or_default()
    };
    let time = take(&["timestamp", "ts", "time"]);
    let level = take(&["level"]);
    let top_message = take(&["message", "msg"]);
    take(&["target"]);
    let mut fields = match entry.remove("fields") {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let message = match fields.remove("message") {
        Some(message) => plain(&message),
        None => top_message,
    };
    let style = match level.as_str() {
        "ERROR" => FAIL,
        "WARN" => WARN,
        "INFO" => GOOD,
        _ => PLAIN,
    };
    let mut out = format!(
        "{} {} {message}",
        paint(DIM, clock(&time)),
        paint(style, format!("{level:<5}"))
    );
    for (key, value) in fields.iter().chain(&entry) {
        out.push_str(&paint(DIM, format!(" {}={}", one_line(key), plain(value))));
    }
    out
}

/// Returns the seconds of an ISO time with a space in the middle; other text as it is.
fn clock(time: &str) -> String {
    match time.get(..19) {
        Some(seconds) if time.ends_with('Z') => format!("{}Z", seconds.replace('T', " ")),
        _ => time.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain as uncoloured;
    use std::io::Write as _;

    #[test]
    fn a_log_line_is_readable_and_a_strange_one_harmless() {
        let text = uncoloured(&readable(
            r#"{"timestamp":"2026-11-22T10:58:16.789123Z","level":"INFO","fields":{"message":"session registered","name":"api\u001b[2J","n":2},"target":"ecorelay_node"}"#,
        ));
        assert_eq!(
            text,
            "2026-11-22 10:58:16Z INFO  session registered n=2 name=api⟨U+001B⟩[2J"
        );
        assert_eq!(
            readable("\x1b[31mthread panicked"),
            "⟨U+001B⟩[31mthread panicked"
        );
    }

    #[test]
    fn a_growing_file_is_read_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hub-2026-11-21.log"), "old\n").unwrap();
        std::fs::write(folder.path().join("relay-2026-11-23.log"), "other\n").unwrap();
        let path = folder.path().join("hub-2026-11-22.log");
        let mut log = File::create(&path).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(newest_log(folder.path()).unwrap(), Some(path.clone()));
        let mut tail = Tail::default();
        tail.open(path).unwrap();
        assert_eq!(tail.next_line().unwrap().as_deref(), Some("one"));
        assert_eq!(tail.next_line().unwrap(), None);
        log.write_all(b"o\n").unwrap();
        assert_eq!(tail.next_line().unwrap().as_deref(), Some("two"));
        assert_eq!(tail.next_line().unwrap(), None);
    }
}
