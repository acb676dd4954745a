//! Finding a running session of Antigravity CLI: by what stands in the environment of its
//! children, else by the log in which it names its port and its conversation.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of the end of a log is read, in bytes; what is looked for is said at the start of a
/// session and again at each change of the conversation.
const LOG_BYTES: u64 = 1024 * 1024;
/// How much of the start of a log is read, in bytes: the port stands there.
const HEAD_BYTES: u64 = 64 * 1024;
/// Most logs looked at, newest first.
const LOGS: usize = 16;

/// How a session is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// `host:port` of its HTTP server (`ANTIGRAVITY_LS_ADDRESS`).
    pub address: Option<String>,
    /// Its conversation; none before the first words of its user.
    pub conversation: Option<String>,
    /// What newer versions want beside them.
    pub token: Option<String>,
}

impl Reach {
    /// Returns what the environment says, read through `var`.
    pub fn of_environment(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        Self {
            address: set("ANTIGRAVITY_LS_ADDRESS").filter(|address| is_local(address)),
            conversation: set("ANTIGRAVITY_CONVERSATION_ID").filter(|id| is_id(id)),
            token: set("ANTIGRAVITY_CSRF_TOKEN"),
        }
    }

    /// Returns what the logs in `folder` say of the session whose process is `pid`.
    pub fn of_logs(folder: &Path, pid: u32) -> Self {
        let mut logs: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("cli-") && name.ends_with(".log")
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        logs.sort();
        logs.iter()
            .rev()
            .take(LOGS)
            .filter_map(|(_, path)| ends_of(path).ok())
            .map(|text| Self::of_log(&text, pid))
            .find(|reach| reach.address.is_some())
            .unwrap_or_default()
    }

    fn of_log(text: &str, pid: u32) -> Self {
        let mut reach = Self::default();
        for line in text.lines() {
            // I0131 12:00:00.000000 4711 server.go:607] words
            let Some((head, words)) = line.split_once("] ") else {
                continue;
            };
            if head.split_whitespace().nth(2).and_then(|n| n.parse().ok()) != Some(pid) {
                continue;
            }
            if let Some(rest) = words.strip_prefix("Language server listening on random port at ") {
                if let Some(port) = rest.trim().strip_suffix(" for HTTP") {
                    let port = port.parse::<u16>().ok();
                    reach.address = port.map(|port| format!("127.0.0.1:{port}"));
                }
            } else if let Some(id) = words.strip_prefix("Starting conversation update stream for ")
            {
                let id = id.trim();
                reach.conversation = is_id(id).then(|| id.to_owned());
            }
        }
        reach
    }

    /// Returns this, and from `other` what is missing here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            address: self.address.or(other.address),
            conversation: self.conversation.or(other.conversation),
            token: self.token.or(other.token),
        }
    }
}

/// Returns whether this is an address on this machine: a peer's text goes nowhere else.
fn is_local(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let Some((host, port)) = rest.rsplit_once(':') else {
        return false;
    };
    matches!(host, "127.0.0.1" | "localhost" | "[::1]") && port.parse::<u16>().is_ok()
}

/// Returns whether this can be the id of a conversation. It becomes an argument of a command,
/// so it must not look like an option.
fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=64).contains(&id.len()) && !id.starts_with('-') && id.bytes().all(plain)
}

/// Returns the start and the end of a log.
fn ends_of(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    let length = file.metadata()?.len();
    if length > HEAD_BYTES + LOG_BYTES {
        file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes)?;
        bytes.push(b'\n');
        file.seek(SeekFrom::Start(length - LOG_BYTES))?;
    }
    file.take(LOG_BYTES + HEAD_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const ID: &str = "0d3b1c0a-1111-4222-8333-444455556666";

    fn log(pid: u32, port: u16) -> String {
        let at = format!("I0131 12:00:00.000000 {pid}");
        format!(
            "{at} server.go:1295] Starting language server process with pid {pid}\n\
             {at} server.go:599] Language server listening on random port at {} for HTTPS (gRPC)\n\
             {at} server.go:607] Language server listening on random port at {port} for HTTP\n",
            port + 1
        )
    }

    #[test]
    fn a_log_tells_the_port_and_the_newest_conversation() {
        let folder = tempfile::tempdir().unwrap();
        let reach = |pid| Reach::of_logs(folder.path(), pid);
        assert_eq!(reach(7), Reach::default());
        let file = folder.path().join("cli-20260131_120000.log");
        fs::write(&file, log(7, 4000)).unwrap();
        fs::write(folder.path().join("cli-x.log"), log(8, 5000)).unwrap();
        assert_eq!(reach(7).address.as_deref(), Some("127.0.0.1:4000"));
        assert_eq!(reach(7).conversation, None);
        let line = "I0131 12:00:01.000000 7 stream.go:1] Starting conversation update stream for";
        let filler = "I0131 12:00:01.000000 7 x.go:1] words\n".repeat(40_000);
        let text = format!("{}{line} old-one\n{filler}{line} {ID}\n", log(7, 4000));
        fs::write(&file, text).unwrap();
        assert_eq!(reach(7).conversation.as_deref(), Some(ID));
        assert_eq!(reach(7).address.as_deref(), Some("127.0.0.1:4000"));
        assert_eq!(reach(9), Reach::default());
    }

    #[test]
    fn nonsense_in_a_log_says_nothing() {
        for text in [
            "",
            "] ",
            "I0 1 7 x] Language server listening on random port at 99999 for HTTP",
            "I0 1 7 x] Language server listening on random port at x for HTTP",
            "I0 1 7 x] Starting conversation update stream for --title=x",
            "I0 1 7 x] Starting conversation update stream for a b",
            "I0 1 7",
        ] {
            assert_eq!(Reach::of_log(text, 7), Reach::default(), "{text}");
        }
    }

    #[test]
    fn the_environment_comes_first_and_must_be_of_this_machine() {
        let vars = |address: &'static str| {
            Reach::of_environment(move |name| match name {
                "ANTIGRAVITY_LS_ADDRESS" => Some(address.into()),
                "ANTIGRAVITY_CONVERSATION_ID" => Some(ID.into()),
                _ => Some(String::new()),
            })
        };
        let reach = vars("http://127.0.0.1:4000");
        assert_eq!(reach.address.as_deref(), Some("http://127.0.0.1:4000"));
        assert_eq!(
            (reach.conversation.as_deref(), reach.token),
            (Some(ID), None)
        );
        for far in [
            "10.0.0.1:80",
            "127.0.0.1.evil.example:80",
            "127.0.0.1",
            "x:y",
            ":1",
        ] {
            assert_eq!(vars(far).address, None, "{far}");
        }
        let both = vars("127.0.0.1:1").or(Reach {
            address: Some("127.0.0.1:2".into()),
            token: Some("t".into()),
            ..Reach::default()
        });
        assert_eq!(both.address.as_deref(), Some("127.0.0.1:1"));
        assert_eq!(both.token.as_deref(), Some("t"));
    }
}
