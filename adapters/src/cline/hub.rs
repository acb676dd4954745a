//! Cline's hub, the process that runs the sessions of all terminals but the first: where it
//! listens ([`Address`]) and its words, one JSON object per WebSocket text frame ([`Request`],
//! [`answer`], [`Session`], [`Run`]). Only the few that a push needs. Tried with 3.0.65.

use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Most of the file that says where the hub is, in bytes; it has one KiB.
const FILE_BYTES: u64 = 64 * 1024;
/// Longest token, in characters; Cline's have 64.
const TOKEN_CHARS: usize = 512;
/// Most of a foreign error text that is repeated, in characters.
const WHY_CHARS: usize = 200;
/// Sessions and runs that are asked for at most: those looked for are among the newest.
const NEWEST: usize = 32;

/// Where the hub listens, and what it lets in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The hub's process.
    pub process: u32,
    /// Its port on this machine.
    pub socket: SocketAddr,
    /// The path of its WebSocket.
    pub path: String,
    /// What it asks for.
    pub token: String,
}

impl fmt::Debug for Address {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("process", &self.process)
            .field("socket", &self.socket)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why the hub's address is not known.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The file is not there, or cannot be read.
    #[error("Cline's hub does not run")]
    Absent(#[from] std::io::Error),
    /// Somebody else may have written or read it.
    #[error("the file of Cline's hub is not its user's alone")]
    Foreign,
    /// It says something else.
    #[error("the file of Cline's hub cannot be understood")]
    Nonsense,
}

/// The file, as the hub writes it; more stands in it.
#[derive(Deserialize)]
struct Record {
    pid: u32,
    host: String,
    port: u16,
    url: String,
    #[serde(rename = "authToken")]
    token: String,
}

impl Address {
    /// Reads the file in which the hub says where it is. It must belong to the user `owner` and
    /// be closed to everybody else, because of the token in it.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be trusted.
    pub fn read(file: &Path, owner: u32) -> Result<Self, AddressError> {
        // Looked at first: opening a pipe would wait for its other end.
        if !std::fs::symlink_metadata(file)?.is_file() {
            return Err(AddressError::Foreign);
        }
        let file = std::fs::File::open(file)?;
        if !belongs_to(&file.metadata()?, owner) {
            return Err(AddressError::Foreign);
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES).read_to_end(&mut bytes)?;
        Self::parse(&bytes).ok_or(AddressError::Nonsense)
    }

    /// Reads what stands in that file. Only a hub on this machine counts.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let record: Record = serde_json::from_slice(bytes).ok()?;
        let ip = match record.host.as_str() {
            "127.0.0.1" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "::1" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            _ => return None,
        };
        let (_, path) = record.url.strip_prefix("ws://")?.split_once('/')?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let good = record.pid > 0
            && record.port > 0
            && path.chars().all(is_plain)
            && (1..=TOKEN_CHARS).contains(&record.token.len())
            && record.token.chars().all(is_plain);
        good.then(|| Self {
            process: record.pid,
            socket: SocketAddr::new(ip, record.port),
            path: format!("/{path}"),
            token: record.token,
        })
    }
}

#[cfg(unix)]
fn belongs_to(file: &std::fs::Metadata, owner: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.uid() == owner && file.mode() & 0o077 == 0
}

/// Nothing tells on this platform.
#[cfg(not(unix))]
fn belongs_to(_file: &std::fs::Metadata, _owner: u32) -> bool {
    false
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Says who is there.
    Register,
    /// Asks for the newest sessions.
    Sessions,
    /// Asks how a session is.
    Session(&'a str),
    /// Has a session run with a text. The hub answers at once; runs of a session go one after
    /// the other.
    Run {
        /// The session's id.
        session: &'a str,
        /// What the model is to see.
        text: &'a str,
    },
    /// Asks what became of the newest runs of a session that were asked for in this way.
    Runs(&'a str),
    /// Asks what waits in a session for the end of the running turn.
    Waiting(&'a str),
}

impl Request<'_> {
    /// Returns the frame of the request with this number, from a client that calls itself so.
    pub fn frame(self, client: &str, number: u64) -> String {
        let (command, session, payload) = match self {
            Self::Register => (
                "client.register",
                None,
                json!({
                    "clientId": client, "clientType": "ecorelay", "displayName": "EcoRelay",
                    "transport": "native", "capabilities": [],
                }),
            ),
            Self::Sessions => ("session.list", None, json!({"limit": NEWEST})),
            Self::Session(id) => ("session.get", Some(id), json!({"sessionId": id})),
            Self::Run { session, text } => (
                "run.enqueue",
                Some(session),
                json!({"sessionId": session, "prompt": text}),
            ),
            Self::Runs(id) => (
                "run.list",
                Some(id),
                json!({"sessionId": id, "limit": NEWEST}),
            ),
            Self::Waiting(id) => (
                "session.pending_prompts",
                Some(id),
                json!({"sessionId": id}),
            ),
        };
        let mut envelope = json!({
            "version": "v1", "command": command, "requestId": number.to_string(),
            "clientId": client, "payload": payload,
        });
        if let Some(session) = session {
            envelope["sessionId"] = session.into();
        }
        json!({"kind": "command", "envelope": envelope}).to_string()
    }
}

/// Returns the answer to the request with this number, or the hub's words for a refusal;
/// nothing where the frame is about something else.
pub fn answer(frame: &str, number: u64) -> Option<Result<Value, String>> {
    let mut frame: Value = serde_json::from_str(frame).ok()?;
    let kind = frame["kind"].as_str()? == "reply";
    let envelope = &mut frame["envelope"];
    if !kind || envelope["requestId"].as_str()? != number.to_string() {
        return None;
    }
    if envelope["ok"] == true {
        return Some(Ok(envelope["payload"].take()));
    }
    Some(Err(words(&envelope["error"]["message"])))
}

/// Returns words of the hub's in a form that can be shown.
fn words(value: &Value) -> String {
    let words = value.as_str().unwrap_or("it gives no reason");
    ecorelay_protocol::visible(words)
        .chars()
        .take(WHY_CHARS)
        .collect()
}

/// How a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The hub runs it for a terminal. One that its terminal runs itself does not say so, and
    /// what the hub would put into it is lost.
    pub hosted: bool,
    /// A turn runs, perhaps with a question to its user.
    pub busy: bool,
    /// When it began, in milliseconds since 1970.
    pub born_ms: u64,
}

impl Session {
    /// Reads the answer to [`Request::Session`].
    pub fn of(answer: &Value) -> Option<Self> {
        Self::read(&answer["session"])
    }

    /// Reads the answer to [`Request::Sessions`].
    pub fn list(answer: &Value) -> Vec<Self> {
        let sessions = answer["sessions"].as_array().into_iter().flatten();
        sessions.filter_map(Self::read).collect()
    }

    fn read(record: &Value) -> Option<Self> {
        let status = record["status"].as_str()?;
        Some(Self {
            id: record["sessionId"].as_str()?.to_owned(),
            hosted: record["metadata"]["interactive"] == true,
            busy: matches!(status, "running" | "pending"),
            born_ms: record["createdAt"].as_u64()?,
        })
    }
}

/// What became of a run that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Its turn has not come.
    Queued,
    /// Its session has the text: in a turn, or among what waits for the end of one.
    Begun,
    /// It came to nothing.
    Failed(String),
}

impl Run {
    /// Reads the answer to [`Request::Run`]: the run's id.
    pub fn id(answer: &Value) -> Option<&str> {
        answer["runId"].as_str()
    }

    /// Reads the answer to [`Request::Runs`].
    pub fn of(answer: &Value, id: &str) -> Option<Self> {
        let mut runs = answer["runs"].as_array()?.iter();
        let run = runs.find(|run| run["runId"] == id)?;
        Some(match run["state"].as_str()? {
            "queued" => Self::Queued,
            // One that its user broke off had begun.
            "running" | "completed" | "aborted" => Self::Begun,
            _ => Self::Failed(words(&run["error"])),
        })
    }
}

/// Reads the answer to [`Request::Waiting`]: whether a text waits in its session.
pub fn waits(answer: &Value, text: &str) -> bool {
    let mut prompts = answer["prompts"].as_array().into_iter().flatten();
    prompts.any(|one| {
        let prompt = one["prompt"].as_str().unwrap_or_default();
        prompt.contains(text.trim())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn record() -> Value {
        json!({
            "hubId": "hub_1", "pid": 151, "host": "127.0.0.1", "port": 25463,
            "url": "ws://127.0.0.1:25463/hub", "authToken": "a1b2", "capabilities": ["run.enqueue"],
        })
    }

    fn parse(record: &Value) -> Option<Address> {
        Address::parse(record.to_string().as_bytes())
    }

    #[test]
    fn the_file_says_where_the_hub_is() {
        let address = parse(&record()).unwrap();
        assert_eq!(address.process, 151);
        assert_eq!(address.socket, "127.0.0.1:25463".parse().unwrap());
        assert_eq!((&*address.path, &*address.token), ("/hub", "a1b2"));
        assert!(!format!("{address:?}").contains("a1b2"));
    }

    #[test]
    fn a_hub_elsewhere_and_nonsense_are_no_address() {
        for (key, value) in [
            ("pid", json!(0)),
            ("pid", json!(-1)),
            ("pid", json!("151")),
            ("host", json!("192.168.0.7")),
            ("host", json!("127.0.0.1.example.org")),
            ("port", json!(0)),
            ("port", json!(70_000)),
            ("url", json!("wss://example.org/hub")),
            ("url", json!("ws://127.0.0.1:1/hub\r\nX: y")),
            ("authToken", json!("")),
            ("authToken", json!("a\r\nX: y")),
            ("authToken", json!("a".repeat(TOKEN_CHARS + 1))),
            ("authToken", Value::Null),
        ] {
            let mut record = record();
            record[key] = value.clone();
            assert_eq!(parse(&record), None, "{key}: {value}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_or_that_another_has_is_not_trusted() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("production.json");
        let read = |owner: u32| Address::read(&file, owner);
        assert!(matches!(read(0), Err(AddressError::Absent(_))));
        std::fs::write(&file, record().to_string()).unwrap();
        let owner = std::fs::metadata(&file).unwrap().uid();
        let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
        set(0o644).unwrap();
        assert!(matches!(read(owner), Err(AddressError::Foreign)));
        set(0o600).unwrap();
        assert_eq!(read(owner).unwrap().process, 151);
        assert!(matches!(read(owner + 1), Err(AddressError::Foreign)));
        std::fs::write(&file, "x".repeat(100_000)).unwrap();
        assert!(matches!(read(owner), Err(AddressError::Nonsense)));
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(
            Address::read(&link, owner),
            Err(AddressError::Foreign)
        ));
    }

    #[test]
    fn a_request_names_its_session_and_its_number() {
        let run = Request::Run {
            session: "s-1",
            text: "a \"b\"\nc",
        };
        let frame: Value = serde_json::from_str(&run.frame("me", 4)).unwrap();
        let envelope = &frame["envelope"];
        assert_eq!(frame["kind"], "command");
        assert_eq!(envelope["command"], "run.enqueue");
        assert_eq!(
            (&envelope["requestId"], &envelope["sessionId"]),
            (&json!("4"), &json!("s-1"))
        );
        assert_eq!(envelope["payload"]["prompt"], "a \"b\"\nc");
    }

    #[test]
    fn only_the_answer_to_the_own_request_counts() {
        let reply = |envelope: Value| json!({"kind": "reply", "envelope": envelope}).to_string();
        let good = reply(json!({"requestId": "1", "ok": true, "payload": {"a": 2}}));
        assert_eq!(answer(&good, 1), Some(Ok(json!({"a": 2}))));
        assert_eq!(answer(&good, 2), None);
        assert_eq!(answer(&good.replace("reply", "event"), 1), None);
        assert_eq!(answer("nonsense", 1), None);
        let bad = json!({"requestId": "1", "ok": false, "error": {"message": "no\u{1b}[2J"}});
        let why = answer(&reply(bad), 1).unwrap().unwrap_err();
        assert!(why.starts_with("no") && !why.contains('\u{1b}'), "{why:?}");
    }

    #[test]
    fn only_a_session_that_says_so_is_hosted() {
        let of = |interactive: Value, status: &str| {
            Session::of(&json!({"session": {
                "sessionId": "s", "status": status, "createdAt": 7,
                "metadata": {"interactive": interactive},
            }}))
            .unwrap()
        };
        assert!(of(json!(true), "idle").hosted);
        assert!(!of(Value::Null, "idle").hosted);
        assert!(!of(json!("true"), "idle").hosted);
        assert!(of(json!(true), "running").busy && !of(json!(true), "idle").busy);
        let list = json!({"sessions": [{"sessionId": 3}, {"sessionId": "s", "status": "idle", "createdAt": 1}]});
        assert_eq!(
            Session::list(&list).len(),
            1,
            "what cannot be read is left out"
        );
    }

    #[test]
    fn what_became_of_a_run_is_read_from_its_own_line() {
        let answer = |state: &str| json!({"runs": [{"runId": "other", "state": "queued"}, {"runId": "r", "state": state, "error": "why"}]});
        assert_eq!(Run::of(&answer("queued"), "r"), Some(Run::Queued));
        assert_eq!(Run::of(&answer("running"), "r"), Some(Run::Begun));
        assert_eq!(Run::of(&answer("completed"), "r"), Some(Run::Begun));
        let failed = Some(Run::Failed("why".into()));
        assert_eq!(Run::of(&answer("failed"), "r"), failed);
        assert_eq!(Run::of(&answer("interrupted"), "r"), failed);
        assert_eq!(Run::of(&answer("queued"), "x"), None);
        let waiting = json!({"prompts": [{"prompt": "one"}, {"prompt": "two \n three"}]});
        assert!(waits(&waiting, "two \n three\n") && !waits(&waiting, "four"));
    }

    proptest! {
        #[test]
        fn nothing_that_a_hub_says_is_a_panic(text in ".*", number in 0_u64..3) {
            Address::parse(text.as_bytes());
            if let Some(Ok(value)) = answer(&text, number) {
                Session::of(&value);
                Session::list(&value);
                Run::of(&value, "r");
                waits(&value, "m");
            }
        }
    }
}
