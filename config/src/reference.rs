//! Reading an EcoRelay 0.8–1.0 data directory.
//!
//! Each file is read by itself with a bounded size; what cannot be read is left out and
//! reported with the file's name, never fatal. Types to know: [`Listing`] (which files there
//! are), [`Mailbox`], [`Group`], [`Bridge`], and [`Skipped`].

use ecorelay_protocol::limits::{ID_CHARS, TEXT_BYTES};
use ecorelay_protocol::{
    Address, ImportGroup, ImportMailbox, ImportMessage, ImportText, Name, parse_iso_ms,
};
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file read, in bytes: the reference keeps 500 messages of at most 1 MiB or so.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The most files read of one folder; the reference stops at 500 mailboxes and 200 groups.
const FILES: usize = 10_000;
/// The most entries of one file that are reported one by one.
const REPORTED: usize = 5;

/// Something that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// What of it and why, as a sentence.
    pub reason: String,
}

/// The files of a reference data directory, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// `mailboxes/*.json`.
    pub mailboxes: Vec<PathBuf>,
    /// `groups/*.json`.
    pub groups: Vec<PathBuf>,
    /// `bridge.json`, where there is one.
    pub bridge: Option<PathBuf>,
}

/// A mailbox as it can be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The mailbox.
    pub mailbox: ImportMailbox,
    /// Messages that were left out.
    pub skipped: Vec<Skipped>,
}

/// A group as it can be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub group: ImportGroup,
    /// Members and entries that were left out.
    pub skipped: Vec<Skipped>,
}

/// What `bridge.json` says. Its shared secret is not read: hubs are paired anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bridge {
    /// The hub's name.
    pub hub_id: Option<String>,
    /// The address it listened on.
    pub listen: Option<String>,
    /// The hubs it connected to.
    pub peers: Vec<BridgePeer>,
    /// The address of its relay server.
    pub relay: Option<String>,
    /// It holds a shared secret, or a relay's token.
    pub secret: bool,
}

/// A hub that a reference hub connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgePeer {
    /// Its name, where it is told.
    pub hub_id: Option<String>,
    /// Its address, where it is told.
    pub address: Option<String>,
}

/// Returns which files of a reference data directory there are at `dir`.
///
/// # Errors
/// When the folder or one of its two subfolders is there but cannot be listed, or `dir` is not
/// a folder.
pub fn list(dir: &Path) -> std::io::Result<Listing> {
    std::fs::read_dir(dir)?;
    let bridge = dir.join("bridge.json");
    Ok(Listing {
        mailboxes: json_files(&dir.join("mailboxes"))?,
        groups: json_files(&dir.join("groups"))?,
        bridge: bridge.is_file().then_some(bridge),
    })
}

fn json_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files = Vec::new();
    for entry in entries.take(FILES) {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|end| end == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a mailbox file.
///
/// # Errors
/// When the whole file cannot be used.
pub fn read_mailbox(file: &Path) -> Result<Mailbox, Skipped> {
    parse_mailbox(file, &read(file)?)
}

/// Reads a group file.
///
/// # Errors
/// When the whole file cannot be used.
pub fn read_group(file: &Path) -> Result<Group, Skipped> {
    parse_group(file, &read(file)?)
}

/// Reads `bridge.json`.
///
/// # Errors
/// When the file cannot be used.
pub fn read_bridge(file: &Path) -> Result<Bridge, Skipped> {
    parse_bridge(file, &read(file)?)
}

fn read(file: &Path) -> Result<Vec<u8>, Skipped> {
    let skip = |reason: String| Skipped {
        file: file.to_owned(),
        reason,
    };
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).map_err(|e| skip(format!("It cannot be opened: {e}.")))?;
    open.take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| skip(format!("It cannot be read: {e}.")))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(skip(format!("It is larger than {} MiB.", FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

fn parse_mailbox(file: &Path, bytes: &[u8]) -> Result<Mailbox, Skipped> {
    let value = json(file, bytes)?;
    let owner = name_of(file, &value, &["owner"])?;
    let mut report = Report::new(file, "message");
    let mut messages = Vec::new();
    let cursor = value["last_read"].as_str();
    let mut read_until = 0;
    for (at, entry) in entries(file, &value)?.iter().enumerate() {
        let Some(msg_id) = id_of(entry) else {
            report.left_out(at, "has no id");
            continue;
        };
        if cursor == Some(msg_id.as_str()) {
            read_until = messages.len() + 1;
        }
        let told = common(entry).map(|(from, text, ts)| ImportMessage {
            msg_id,
            from,
            text,
            reply_to: entry["reply_to"]
                .as_str()
                .filter(|id| fits_id(id))
                .map(str::to_owned),
            ts,
            urgent: entry["urgent"].as_bool().unwrap_or(false),
            read: false,
        });
        match told {
            Ok(message) => messages.push(message),
            Err(why) => report.left_out(at, why),
        }
        // The cursor may rest on a message that was left out.
        read_until = read_until.min(messages.len());
    }
    for message in messages.iter_mut().take(read_until) {
        message.read = true;
    }
    Ok(Mailbox {
        mailbox: ImportMailbox { owner, messages },
        skipped: report.done(),
    })
}

fn parse_group(file: &Path, bytes: &[u8]) -> Result<Group, Skipped> {
    let value = json(file, bytes)?;
    let group = name_of(file, &value, &["name", "group"])?;
    let skip = |reason: &str| Skipped {
        file: file.to_owned(),
        reason: reason.to_owned(),
    };
    let admin = ["admin", "creator"]
        .iter()
        .find_map(|key| address(value[*key].as_str()?));
    let admin = admin.ok_or_else(|| skip("It names no admin."))?;
    let mut report = Report::new(file, "entry");
    let (mut messages, mut ids) = (Vec::new(), Vec::new());
    for (at, entry) in entries(file, &value)?.iter().enumerate() {
        match common(entry) {
            Ok((from, text, ts)) => {
                let system = entry["type"].as_str() == Some("system");
                messages.push(ImportText {
                    from,
                    text,
                    ts,
                    system,
                });
                ids.push(entry["id"].as_u64().unwrap_or(at as u64 + 1));
            }
            Err(why) => report.left_out(at, why),
        }
    }
    let mut members: Vec<(String, u64)> = Vec::new();
    let mut report_members = Report::new(file, "member");
    for (at, (name, last_read)) in cursors(&value["members"]).into_iter().enumerate() {
        match name.as_deref().and_then(address) {
            Some(name) if members.iter().any(|(known, _)| *known == name) => {}
            Some(name) => {
                let read = ids.iter().filter(|id| **id <= last_read).count() as u64;
                members.push((name, read));
            }
            None => report_members.left_out(at, "has no valid name"),
        }
    }
    if !members.iter().any(|(name, _)| *name == admin) {
        members.insert(0, (admin.clone(), 0));
    }
    let mut skipped = report.done();
    skipped.extend(report_members.done());
    Ok(Group {
        group: ImportGroup {
            group,
            admin,
            members,
            messages,
        },
        skipped,
    })
}

fn parse_bridge(file: &Path, bytes: &[u8]) -> Result<Bridge, Skipped> {
    let value = json(file, bytes)?;
    let text = |keys: &[&str]| keys.iter().find_map(|key| place(&value[*key]));
    let one = |name: Option<&str>, value: &Value| {
        let named = value["hub_id"].as_str().or(value["hubId"].as_str());
        let peer = BridgePeer {
            hub_id: named.or(name).map(str::to_owned),
            address: place(value),
        };
        (peer != BridgePeer::default()).then_some(peer)
    };
    let peers = match &value["peers"] {
        Value::Array(peers) => peers.iter().filter_map(|peer| one(None, peer)).collect(),
        Value::Object(peers) => peers
            .iter()
            .filter_map(|(name, peer)| one(Some(name), peer))
            .collect(),
        _ => Vec::new(),
    };
    let there = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    Ok(Bridge {
        hub_id: text(&["hub_id", "hubId"]),
        listen: text(&["listen", "bind"]),
        peers,
        relay: text(&["relay", "relay_url", "relayUrl"]),
        secret: there(&value["secret"]) || there(&value["relay"]["token"]),
    })
}

/// Returns an address written as text, as a port, or as an object with a host or url and
/// perhaps a port. Other keys, a secret among them, are not looked at.
fn place(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(port) => Some(format!("port {port}")),
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let host = ["url", "address", "host"].into_iter().find_map(text);
            let port = object.get("port").and_then(Value::as_u64);
            match (host, port) {
                (Some(host), Some(port)) => Some(format!("{host}:{port}")),
                (Some(host), None) => Some(host.to_owned()),
                (None, Some(port)) => Some(format!("port {port}")),
                (None, None) => None,
            }
        }
        _ => None,
    }
}

fn json(file: &Path, bytes: &[u8]) -> Result<Value, Skipped> {
    let skip = |reason: String| Skipped {
        file: file.to_owned(),
        reason,
    };
    // Windows editors put a mark before the text; the reference takes no notice of it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| skip(format!("It is not valid JSON: {e}.")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(skip("It is not a JSON object.".into()))
    }
}

/// Returns the valid name under one of the keys, else the one the file is called by.
fn name_of(file: &Path, value: &Value, keys: &[&str]) -> Result<String, Skipped> {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let told = keys
        .iter()
        .find_map(|key| value[*key].as_str().map(str::to_owned));
    [told, stem]
        .into_iter()
        .flatten()
        .find_map(|name| name.parse::<Name>().ok())
        .map(|name| name.to_string())
        .ok_or_else(|| Skipped {
            file: file.to_owned(),
            reason: "It belongs to no valid name.".into(),
        })
}

fn entries<'a>(file: &Path, value: &'a Value) -> Result<&'a [Value], Skipped> {
    match &value["messages"] {
        Value::Array(entries) => Ok(entries),
        Value::Null => Ok(&[]),
        _ => Err(Skipped {
            file: file.to_owned(),
            reason: "Its \"messages\" are not a list.".into(),
        }),
    }
}

/// Returns sender, text and time of an entry, or what is wrong with it.
fn common(entry: &Value) -> Result<(String, String, u64), &'static str> {
    let from = entry["from"]
        .as_str()
        .and_then(address)
        .ok_or("has no valid sender")?;
    let text = entry["text"].as_str().ok_or("has no text")?;
    if text.len() > TEXT_BYTES {
        return Err("has a text over the limit");
    }
    Ok((
        from,
        text.to_owned(),
        time(&entry["ts"]).ok_or("has no valid time")?,
    ))
}

fn address(text: &str) -> Option<String> {
    Some(Address::parse(text, "from").ok()?.to_string())
}

fn id_of(entry: &Value) -> Option<String> {
    let id = ["msg_id", "id"]
        .iter()
        .find_map(|key| entry[*key].as_str())?;
    fits_id(id).then(|| id.to_owned())
}

fn fits_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= ID_CHARS && !id.chars().any(char::is_control)
}

/// Returns a time written as ISO 8601 or as ms since 1970.
fn time(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse_iso_ms(text),
        Value::Number(ms) => ms
            .as_u64()
            .or_else(|| ms.as_f64().filter(|ms| *ms >= 0.0).map(|ms| ms as u64)),
        _ => None,
    }
}

/// Returns the members with the id each has read up to: from a list of names, a list of
/// objects, or an object with the names as keys.
fn cursors(members: &Value) -> Vec<(Option<String>, u64)> {
    let cursor = |value: &Value| value["last_read"].as_u64().or(value.as_u64()).unwrap_or(0);
    match members {
        Value::Array(list) => list
            .iter()
            .map(|member| {
                let name = member.as_str().or(member["name"].as_str());
                (name.map(str::to_owned), cursor(member))
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, member)| (Some(name.clone()), cursor(member)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Collects what of one file was left out: the first few one by one, the rest as a number.
struct Report<'a> {
    file: &'a Path,
    thing: &'static str,
    reasons: Vec<String>,
    count: usize,
}

impl<'a> Report<'a> {
    fn new(file: &'a Path, thing: &'static str) -> Self {
        Self {
            file,
            thing,
            reasons: Vec::new(),
            count: 0,
        }
    }

    fn left_out(&mut self, at: usize, why: &str) {
        self.count += 1;
        if self.reasons.len() < REPORTED {
            self.reasons
                .push(format!("Its {} {} {why}.", self.thing, at + 1));
        }
    }

    fn done(mut self) -> Vec<Skipped> {
        let more = self.count - self.reasons.len();
        if more > 0 {
            self.reasons
                .push(format!("{more} more like this were left out."));
        }
        let file = self.file;
        self.reasons
            .into_iter()
            .map(|reason| Skipped {
                file: file.to_owned(),
                reason,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn mailbox(text: &str) -> Result<Mailbox, Skipped> {
        parse_mailbox(Path::new("mailboxes/api.json"), text.as_bytes())
    }

    #[test]
    fn a_mailbox_keeps_its_cursor() {
        let read = mailbox(
            r#"{"owner":"api","last_read":"m-2","messages":[
                {"msg_id":"m-1","from":"web","text":"a","reply_to":null,"ts":"2026-11-22T10:00:00.000Z"},
                {"msg_id":"m-2","from":"web@desk","text":"b","reply_to":"m-1","ts":1795341600000,"urgent":true},
                {"msg_id":"m-3","from":"web","text":"","ts":1795341600000.5}]}"#,
        )
        .unwrap();
        let m = &read.mailbox.messages;
        assert_eq!(read.skipped, []);
        assert_eq!(read.mailbox.owner, "api");
        assert_eq!(
            m.iter().map(|m| m.read).collect::<Vec<_>>(),
            [true, true, false]
        );
        assert_eq!(
            (m[0].ts, m[1].ts, m[1].urgent),
            (1_795_341_600_000, 1_795_341_600_000, true)
        );
        assert_eq!(
            (m[1].reply_to.as_deref(), m[1].from.as_str()),
            (Some("m-1"), "web@desk")
        );
    }

    #[test]
    fn an_unreadable_message_is_left_out_and_named() {
        let read = mailbox(
            r#"{"last_read":"m-9","messages":[{"msg_id":"m-1","from":"a b","text":"x","ts":1},
                {"from":"web","text":"x","ts":1},{"msg_id":"m-3","from":"web","ts":1},
                {"msg_id":"m-4","from":"web","text":"x","ts":"yesterday"},7,
                {"msg_id":"m-9","from":"web","text":"x","ts":1},
                {"msg_id":"m-10","from":"web","text":"x","ts":1}]}"#,
        )
        .unwrap();
        assert_eq!(
            read.mailbox.owner, "api",
            "the file's name where it names no owner"
        );
        let ids: Vec<_> = read
            .mailbox
            .messages
            .iter()
            .map(|m| (m.msg_id.as_str(), m.read))
            .collect();
        assert_eq!(ids, [("m-9", true), ("m-10", false)]);
        assert_eq!(read.skipped.len(), 5);
        assert_eq!(read.skipped[0].reason, "Its message 1 has no valid sender.");
        assert_eq!(read.skipped[0].file, Path::new("mailboxes/api.json"));
    }

    #[test]
    fn a_long_report_is_cut() {
        let many = vec!["7"; 50].join(",");
        let read = mailbox(&format!(r#"{{"messages":[{many}]}}"#)).unwrap();
        assert_eq!(read.skipped.len(), REPORTED + 1);
        assert_eq!(
            read.skipped[REPORTED].reason,
            "45 more like this were left out."
        );
    }

    #[test]
    fn a_group_is_read_with_any_shape_of_members() {
        let messages = r#""messages":[{"id":4,"from":"a","text":"x","ts":"2026-11-22T10:00:00.000Z","type":"message"},
            {"id":9,"from":"a","text":"a removed c: y","ts":1,"type":"system"}]"#;
        for members in [
            r#"{"a":{"last_read":9},"b":{"last_read":4}}"#,
            r#"[{"name":"a","last_read":9},{"name":"b","last_read":4},{"name":"b"}]"#,
            r#"{"a":9,"b":5}"#,
        ] {
            let text = format!(r#"{{"name":"g","admin":"a","members":{members},{messages}}}"#);
            let read = parse_group(Path::new("groups/g.json"), text.as_bytes()).unwrap();
            assert_eq!(
                read.group.members,
                [("a".to_owned(), 2), ("b".to_owned(), 1)]
            );
            assert_eq!(
                (read.group.messages.len(), read.group.messages[1].system),
                (2, true)
            );
        }
        let text = format!(r#"{{"admin":"a","members":["b"],{messages}}}"#);
        let read = parse_group(Path::new("groups/g.json"), text.as_bytes()).unwrap();
        assert_eq!(
            read.group.members,
            [("a".to_owned(), 0), ("b".to_owned(), 0)]
        );
        assert!(
            parse_group(Path::new("g.json"), b"{}")
                .unwrap_err()
                .reason
                .contains("admin")
        );
    }

    #[test]
    fn a_bridge_is_reported_without_its_secret() {
        let text = r#"{"hub_id":"desk","listen":{"host":"0.0.0.0","port":9377},"secret":"s3cret",
            "peers":[{"hub_id":"nas","host":"10.0.0.2","port":9377,"secret":"s3cret"},"ws://x",{}],
            "relay":{"url":"wss://r","token":"s3cret"}}"#;
        let bridge = parse_bridge(Path::new("bridge.json"), text.as_bytes()).unwrap();
        assert_eq!(bridge.listen.as_deref(), Some("0.0.0.0:9377"));
        let peer = |hub_id: Option<&str>, address: &str| BridgePeer {
            hub_id: hub_id.map(str::to_owned),
            address: Some(address.to_owned()),
        };
        let expected = [peer(Some("nas"), "10.0.0.2:9377"), peer(None, "ws://x")];
        assert_eq!(bridge.peers, expected);
        assert_eq!(bridge.relay.as_deref(), Some("wss://r"));
        assert!(bridge.secret && !format!("{bridge:?}").contains("s3cret"));
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert_eq!(parse_bridge(Path::new("b"), &marked), Ok(bridge));
        let broken = parse_bridge(Path::new("b"), b"{\n\"hub_id\": \"x\",\n}").unwrap_err();
        assert!(broken.reason.contains("line 3"), "{broken:?}");
    }

    #[test]
    fn a_folder_is_listed_and_a_missing_one_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(list(root.path()).unwrap(), Listing::default());
        for path in [
            "mailboxes/b.json",
            "mailboxes/a.json",
            "mailboxes/a.json.tmp",
            "bridge.json",
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{").unwrap();
        }
        let listing = list(root.path()).unwrap();
        assert_eq!(listing.mailboxes.len(), 2);
        assert!(listing.mailboxes[0].ends_with("a.json") && listing.bridge.is_some());
        assert!(
            read_mailbox(&listing.mailboxes[0])
                .unwrap_err()
                .reason
                .contains("JSON")
        );
        assert!(list(&root.path().join("none")).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z@.\u{0}-\u{1f}]{0,6}".prop_map(Value::from),
        ];
        let key = "owner|name|admin|members|messages|msg_id|id|from|text|ts|last_read|type|peers|port|host|a";
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let file = Path::new("x.json");
            let _ = (parse_mailbox(file, &bytes), parse_group(file, &bytes), parse_bridge(file, &bytes));
        }

        #[test]
        fn any_json_is_read_without_a_panic(value in any_json()) {
            let (file, bytes) = (Path::new("x.json"), value.to_string().into_bytes());
            let _ = (parse_mailbox(file, &bytes), parse_group(file, &bytes), parse_bridge(file, &bytes));
        }
    }
}
