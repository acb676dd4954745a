//! The sessions of this hub: what each is and does, and by which path messages get in. People
//! look here when a message did not wake a session.

use super::document::Doc;
use super::status::{Surroundings, state_cell, title};
use super::style::{BOLD, DIM, PLAIN, WARN, paint};
use super::table::{Cell, Table, cell};
use super::text::{short_path, without_os_code};
use super::time::{ago, lasting};
use ecorelay_adapters::{Assistant, setup_of};
use ecorelay_protocol::NO_PATH;

/// Sessions that are explained below the table; the rest is counted.
const EXPLAINED: usize = 5;

/// Returns the section.
pub(crate) fn sessions(doc: Doc<'_>, around: Surroundings<'_>) -> String {
    let sessions = doc.list("sessions");
    if sessions.is_empty() {
        return format!(
            "{}\n  Set up your assistants:  {} install\n",
            paint(BOLD, "No session is connected"),
            around.program
        );
    }
    let mut table = Table::new(
        &[
            "NAME",
            "AGENT",
            "STATE",
            "PUSH",
            "FOR",
            "FOLDER",
            "BRANCH",
            "LAST SEEN",
            "UNREAD",
        ],
        &["UNREAD"],
        "FOLDER",
    )
    .without_in_need(&["FOR", "LAST SEEN", "BRANCH"]);
    for session in &sessions {
        let unread = session.number("unread");
        let seen = session.moment("last_seen").map(|t| ago(around.now, t));
        table.row(vec![
            cell(BOLD, session.text("name")),
            cell(PLAIN, session.text("agent")),
            state_cell(&session.text("state"), around.now),
            push_cell(*session),
            cell(PLAIN, how_long(*session, around.now).unwrap_or_default()),
            cell(PLAIN, short_path(&session.text("cwd"), around.home)),
            cell(PLAIN, session.text("git_branch")),
            cell(PLAIN, seen.unwrap_or_default()),
            if unread == 0 {
                cell(DIM, "0")
            } else {
                cell(WARN, unread.to_string())
            },
        ]);
    }
    format!(
        "{}\n{}{}",
        title("Sessions", sessions.len()),
        table.render(around.columns),
        explained(&sessions)
    )
}

/// How surely a message that is pushed gets into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There is a path.
    Yes,
    /// There is one that may fail without a word.
    Perhaps,
    /// There is none.
    No,
    /// The session does not say.
    Unsaid,
}

impl Reached {
    /// Returns what is known of a session.
    pub(crate) fn of(session: Doc<'_>) -> Self {
        let doubt = !session.text("push_detail").is_empty();
        match session.text("push").as_str() {
            "" => Self::Unsaid,
            NO_PATH => Self::No,
            _ if doubt => Self::Perhaps,
            _ => Self::Yes,
        }
    }
}

/// Returns for how long a session has had its push path.
pub(crate) fn how_long(session: Doc<'_>, now: u64) -> Option<String> {
    let since = session.moment("push_since")?;
    Some(lasting(now.saturating_sub(since) / 1_000))
}

/// Returns why nothing can be pushed, or may be pushed in vain; empty where all is well.
pub(crate) fn why_not(session: Doc<'_>) -> String {
    without_os_code(&session.text("push_detail"))
}

/// Returns in words what became of the last message that was to be pushed into a session.
pub(crate) fn last_push(session: Doc<'_>, now: u64) -> Option<String> {
    let last = Doc(&session.0["last_push"]);
    let when = ago(now, last.moment("ts")?);
    let by = last.text("path");
    let fate = match last.text("result").as_str() {
        "handed" => format!("handed over {when}, by {by}"),
        "refused" => format!("not handed over {when}"),
        _ => format!("written {when}, by {by}, and nothing tells whether it arrived"),
    };
    let why = match without_os_code(&last.text("detail")) {
        why if why.is_empty() => why,
        why => format!(" ({why})"),
    };
    Some(format!("the last message was {fate}{why}"))
}

fn push_cell(session: Doc<'_>) -> Cell {
    let style = match Reached::of(session) {
        Reached::Yes | Reached::Unsaid => PLAIN,
        Reached::Perhaps | Reached::No => WARN,
    };
    cell(style, session.text("push"))
}

/// Returns why some sessions are not woken, each with the command that says what to do.
fn explained(sessions: &[Doc<'_>]) -> String {
    let doubtful = sessions.iter().filter_map(|session| {
        let verb = match Reached::of(*session) {
            Reached::No => "is not",
            Reached::Perhaps => "may not be",
            Reached::Yes | Reached::Unsaid => return None,
        };
        Some((session, verb))
    });
    let doubtful: Vec<_> = doubtful.collect();
    let mut out = String::new();
    for (session, verb) in doubtful.iter().take(EXPLAINED) {
        let name = session.text("name");
        let why = match why_not(**session) {
            why if why.is_empty() => why,
            why => format!(": {why}"),
        };
        out.push_str(&format!(
            "  {} {name} {verb} woken{why}.\n    {} {}\n",
            paint(WARN, "!"),
            paint(DIM, "→"),
            remedy(&session.text("agent"))
        ));
    }
    match doubtful.len().saturating_sub(EXPLAINED) {
        0 => {}
        more => out.push_str(&format!("  {} {more} more\n", paint(WARN, "!"))),
    }
    out
}

/// Returns the command that looks at an assistant; of one that has none, what to do.
fn remedy(agent: &str) -> String {
    let known = setup_of(agent).and_then(|setup| setup.names().first());
    match known {
        Some(name) => format!("ecorelay doctor {name}"),
        None => Assistant::of_id(agent).remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use crate::view::text::width;
    use serde_json::{Value, json};

    const NOW: u64 = 1_795_345_096_789;

    fn page(document: &Value, columns: Option<usize>) -> String {
        let around = Surroundings {
            now: NOW,
            home: Some("/home/al"),
            columns,
            program: "/usr/bin/ecorelay",
        };
        plain(&sessions(Doc(document), around))
    }

    fn three() -> Value {
        let session = |name: &str, agent: &str, push: Value, detail: Value| {
            json!({"name": name, "agent": agent, "state": "idle", "cwd": "/home/al/src/shop",
                "git_branch": "main", "last_seen": NOW, "unread": 0, "push": push,
                "push_detail": detail, "push_since": NOW - 300_000})
        };
        json!({"sessions": [
            session("backend", "claude-code", json!("inbox-socket"), Value::Null),
            session("docs", "gemini-cli", json!("none"), json!("no waiter at this moment")),
            session("web", "claude-code", json!("channel"), json!("version 2.1.100 has no inbox socket")),
        ]})
    }

    #[test]
    fn who_is_not_woken_is_said_with_the_reason_and_what_to_do() {
        assert_eq!(
            page(&three(), None),
            "\
Sessions (3)
  NAME     AGENT        STATE  PUSH          FOR    FOLDER      BRANCH  LAST SEEN  UNREAD
  backend  claude-code  idle   inbox-socket  5 min  ~/src/shop  main    just now        0
  docs     gemini-cli   idle   none          5 min  ~/src/shop  main    just now        0
  web      claude-code  idle   channel       5 min  ~/src/shop  main    just now        0
  ! docs is not woken: no waiter at this moment.
    → ecorelay doctor gemini
  ! web may not be woken: version 2.1.100 has no inbox socket.
    → ecorelay doctor claude
"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_the_columns_that_matter() {
        let text = page(&three(), Some(80));
        let table: Vec<&str> = text.lines().take(5).collect();
        assert!(table.iter().all(|line| width(line) <= 80), "{text}");
        assert!(
            table[1].contains("PUSH") && !table[1].contains("FOR "),
            "{text}"
        );
        assert!(table[1].contains("UNREAD"), "{text}");
    }

    #[test]
    fn many_that_are_not_woken_are_counted() {
        let many: Vec<Value> = (0..EXPLAINED + 3)
            .map(|n| json!({"name": format!("s{n}"), "agent": "odd", "push": "none"}))
            .collect();
        let text = page(&json!({ "sessions": many }), None);
        assert!(text.ends_with("  ! 3 more\n"), "{text}");
        assert!(text.contains("ecorelay run"), "{text}");
    }

    #[test]
    fn the_last_push_in_words() {
        let told = |last: Value| last_push(Doc(&json!({ "last_push": last })), NOW);
        let handed = json!({"ts": NOW, "result": "handed", "path": "plugin", "detail": null});
        assert_eq!(
            told(handed).unwrap(),
            "the last message was handed over just now, by plugin"
        );
        let refused = json!({"ts": NOW - 60_000, "result": "refused", "path": "wait",
            "detail": "no waiter\u{1b}[2J"});
        assert_eq!(
            told(refused).unwrap(),
            "the last message was not handed over 1 min ago (no waiter⟨U+001B⟩[2J)"
        );
        for nothing in [Value::Null, json!(5), json!({})] {
            assert_eq!(told(nothing), None);
        }
    }
}
