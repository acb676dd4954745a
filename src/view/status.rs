//! The status document of a hub as a page for people. The document is read key by key, so
//! that a hub of another version is still shown as far as it goes.

use super::document::Doc;
use super::hubs;
use super::servers;
use super::sessions;
use super::style::{BOLD, DIM, FAIL, GOOD, PLAIN, WARN, paint};
use super::table::{Cell, Table, cell};
use super::text::{count, one_line, short_path};
use super::time::{ago, lasting};
use serde_json::Value;

/// What the page depends on besides the document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// In ms since 1970.
    pub(crate) now: u64,
    /// The home folder, written as `~`.
    pub(crate) home: Option<&'a str>,
    /// The terminal's width, if it is one.
    pub(crate) columns: Option<usize>,
    /// The command that an assistant starts.
    pub(crate) program: &'a str,
}

/// Returns the page.
pub(crate) fn page(status: &Value, around: Surroundings<'_>) -> String {
    let doc = Doc(status);
    let mut out = head(doc, around);
    let sections = [
        sessions::sessions(doc, around),
        hubs::hubs(doc, around),
        hubs::sessions(doc, around),
        hubs::revoked(doc, around),
        servers::servers(doc),
        rooms(doc),
        groups(doc),
        waiting(doc, around),
        hubs::nearby(doc, around),
        hubs::dials(doc, around),
        warnings(doc),
    ];
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        out.push('\n');
        out.push_str(&section);
    }
    out
}

/// Returns the document without what changes by itself, to tell whether anything happened.
pub(crate) fn without_clocks(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(object) = status.as_object_mut() {
        object.remove("uptime_s");
    }
    for (list, clock) in [
        ("sessions", "last_seen"),
        ("hubs", "rtt_ms"),
        ("dials", "ts"),
    ] {
        let items = status.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            if let Some(item) = item.as_object_mut() {
                item.remove(clock);
            }
        }
    }
    status
}

fn head(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let mut out = format!(
        "{} {} {}\n",
        paint(GOOD, "●"),
        paint(BOLD, format!("hub {}", doc.text("hub_id"))),
        paint(
            DIM,
            format!(
                "· version {} · up {} · pid {}",
                doc.text("version"),
                lasting(doc.number("uptime_s")),
                doc.number("pid")
            )
        ),
    );
    let mut lines = vec![
        ("peer id", doc.text("peer_id")),
        ("data", short_path(&doc.text("data_dir"), around.home)),
        ("socket", short_path(&doc.text("socket"), around.home)),
        ("websocket", doc.text("ws")),
    ];
    lines.extend(hubs::own_lines(doc));
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        out.push_str(&format!(
            "  {}  {value}\n",
            paint(DIM, format!("{name:<9}"))
        ));
    }
    out
}

/// Returns a session's state in the colour it has everywhere. One whose hub is gone says for
/// how long.
pub(crate) fn state_cell(state: &str, now: u64) -> Cell {
    if let Some(since) = state.strip_prefix("offline-since") {
        let since = since.trim_start_matches([' ', ':']);
        let since = ecorelay_protocol::parse_iso_ms(since).or_else(|| since.parse().ok());
        let text = since.map_or("offline".to_owned(), |since| {
            format!("offline for {}", lasting(now.saturating_sub(since) / 1_000))
        });
        return cell(DIM, text);
    }
    let style = match state {
        "idle" | "live" => GOOD,
        "unresponsive" => FAIL,
        _ => PLAIN,
    };
    cell(style, one_line(state))
}

fn rooms(doc: Doc<'_>) -> String {
    let rooms = doc.list("rooms");
    if rooms.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["NAME", "MEMBERS"], &[], "MEMBERS");
    for room in &rooms {
        table.row(vec![
            cell(BOLD, room.text("name")),
            cell(PLAIN, room.names("members")),
        ]);
    }
    format!("{}\n{}", title("Rooms", rooms.len()), table.render(None))
}

fn groups(doc: Doc<'_>) -> String {
    let groups = doc.list("groups");
    if groups.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        &["NAME", "ADMIN", "MEMBERS", "ENTRIES"],
        &["ENTRIES"],
        "MEMBERS",
    );
    for group in &groups {
        table.row(vec![
            cell(BOLD, group.text("name")),
            cell(PLAIN, group.text("admin")),
            cell(PLAIN, group.names("members")),
            cell(PLAIN, group.size("entries").to_string()),
        ]);
    }
    format!("{}\n{}", title("Groups", groups.len()), table.render(None))
}

fn waiting(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let mailboxes = doc.list("mailboxes");
    if mailboxes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["NAME", "UNREAD", "OLDEST", ""], &["UNREAD"], "");
    for mailbox in &mailboxes {
        let known = mailbox.0["known"].as_bool() != Some(false);
        table.row(vec![
            cell(BOLD, mailbox.text("name")),
            cell(WARN, mailbox.number("unread").to_string()),
            cell(
                PLAIN,
                mailbox
                    .moment("oldest_unread")
                    .map_or(String::new(), |t| ago(around.now, t)),
            ),
            if known {
                cell(PLAIN, "")
            } else {
                cell(DIM, "no session of this name was ever here")
            },
        ]);
    }
    format!(
        "{}\n{}",
        title("Mail for names not here", mailboxes.len()),
        table.render(None)
    )
}

fn warnings(doc: Doc<'_>) -> String {
    let warnings = doc.list("warnings");
    if warnings.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", title("Warnings", warnings.len()));
    for warning in &warnings {
        out.push_str(&format!(
            "  {} {}\n",
            paint(WARN, "!"),
            warning.text("message")
        ));
        let remedy = warning.text("remedy");
        if !remedy.is_empty() {
            out.push_str(&format!("    {} {remedy}\n", paint(DIM, "→")));
        }
    }
    out
}

pub(crate) fn title(name: &str, n: usize) -> String {
    format!("{} {}", paint(BOLD, name), paint(DIM, format!("({n})")))
}

/// Returns in one sentence who is connected.
pub(crate) fn who_is_connected(status: &Value) -> String {
    let sessions = Doc(status).list("sessions");
    if sessions.is_empty() {
        return "No session is connected yet.".to_owned();
    }
    let names: Vec<String> = sessions.iter().take(10).map(|s| s.text("name")).collect();
    let more = match sessions.len() - names.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let verb = if sessions.len() == 1 { "is" } else { "are" };
    let what = count(sessions.len(), "session");
    format!("{what} {verb} connected: {}{more}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use serde_json::json;

    const NOW: u64 = 1_795_345_096_789;

    fn around() -> Surroundings<'static> {
        Surroundings {
            now: NOW,
            home: Some("/home/al"),
            columns: None,
            program: "/usr/bin/ecorelay",
        }
    }

    fn full() -> Value {
        json!({
            "hub_id": "laptop-3f2a", "peer_id": "12D3KooWexample", "version": "0.1.0",
            "uptime_s": 7_500, "data_dir": "/home/al/.eco-relay", "pid": 4242,
            "socket": "/home/al/.eco-relay/hub.sock", "ws": "ws://127.0.0.1:19736",
            "sessions": [
                {"name": "backend", "agent": "claude-code", "state": "idle",
                 "cwd": "/home/al/src/shop", "git_branch": "main", "last_seen": NOW - 1_000,
                 "unread": 0, "since": NOW - 60_000},
                {"name": "web", "agent": "claude-code", "state": "busy",
                 "cwd": "/home/al/src/shop/web\u{1b}[2J", "git_branch": "feat/x",
                 "last_seen": NOW - 180_000, "unread": 12, "since": NOW - 600_000},
            ],
            "hubs": [],
            "rooms": [{"name": "build", "members": ["backend", "web"]}],
            "groups": [{"name": "release", "admin": "backend",
                        "members": ["backend", "web", "qa"], "entries": 12}],
            "mailboxes": [
                {"name": "qa", "unread": 3, "oldest_unread": NOW - 10_800_000, "known": true},
                {"name": "bakend", "unread": 1, "oldest_unread": NOW - 60_000, "known": false},
            ],
            "nearby": [],
            "warnings": [{"code": "disk_low", "message": "The disk has 12 MB left.",
                          "remedy": "Free some space in /home."}],
        })
    }

    const FULL: &str = "\
● hub laptop-3f2a · version 0.1.0 · up 2 h 5 min · pid 4242
  peer id    12D3KooWexample
  data       ~/.eco-relay
  socket     ~/.eco-relay/hub.sock
  websocket  ws://127.0.0.1:19736

Sessions (2)
  NAME     AGENT        STATE  FOLDER                     BRANCH  LAST SEEN  UNREAD
  backend  claude-code  idle   ~/src/shop                 main    just now        0
  web      claude-code  busy   ~/src/shop/web⟨U+001B⟩[2J  feat/x  3 min ago      12

Rooms (1)
  NAME   MEMBERS
  build  backend, web

Groups (1)
  NAME     ADMIN    MEMBERS           ENTRIES
  release  backend  backend, web, qa       12

Mail for names not here (2)
  NAME    UNREAD  OLDEST
  qa           3  3 h ago
  bakend       1  1 min ago  no session of this name was ever here

Warnings (1)
  ! The disk has 12 MB left.
    → Free some space in /home.
";

    #[test]
    fn a_full_page() {
        assert_eq!(plain(&page(&full(), around())), FULL);
    }

    #[test]
    fn an_empty_hub_says_what_to_do() {
        let text = plain(&page(&json!({"hub_id": "h", "sessions": []}), around()));
        assert_eq!(
            text,
            "● hub h · version  · up 0 s · pid 0\n\nNo session is connected\n  Set up your assistants:  /usr/bin/ecorelay install\n"
        );
    }

    #[test]
    fn clocks_are_no_change_and_mail_is() {
        let mut later = full();
        later["uptime_s"] = json!(7_501);
        later["sessions"][0]["last_seen"] = json!(NOW);
        later["hubs"] = json!([{"hub_id": "desk", "rtt_ms": 0.5}]);
        let mut before = full();
        before["hubs"] = json!([{"hub_id": "desk", "rtt_ms": 0.4}]);
        assert_eq!(without_clocks(&before), without_clocks(&later));
        later["sessions"][0]["unread"] = json!(1);
        assert_ne!(without_clocks(&before), without_clocks(&later));
    }

    #[test]
    fn a_document_of_any_shape_is_shown() {
        for odd in [
            json!(null),
            json!([1]),
            json!({"sessions": 5, "ws": [], "warnings": [1]}),
        ] {
            assert!(!page(&odd, around()).is_empty());
        }
    }

    #[test]
    fn names_of_the_connected_are_bounded() {
        let sessions: Vec<Value> = (0..13).map(|n| json!({"name": format!("s{n}")})).collect();
        let text = who_is_connected(&json!({"sessions": sessions}));
        assert!(
            text.starts_with("13 sessions are connected: s0, s1,"),
            "{text}"
        );
        assert!(text.ends_with("s9 and 3 more."), "{text}");
    }
}
