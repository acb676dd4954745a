//! Text from elsewhere, made fit for a terminal: nothing in it is obeyed, nothing overflows.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Returns `text` on one line, with everything that cannot be seen made visible.
pub(crate) fn one_line(text: &str) -> String {
    ecorelay_protocol::visible(text)
        .replace('\n', "⏎")
        .replace('\t', " ")
}

/// What the hub calls a tool, and the command that does the same. A name that begins like
/// another one stands before it.
const COMMANDS: [(&str, &str); 13] = [
    ("relay_group_create", "`ecorelay group create`"),
    ("relay_group_history", "`ecorelay group history`"),
    ("relay_group_info", "`ecorelay group info`"),
    ("relay_group_list", "`ecorelay group list`"),
    ("relay_group_send", "`ecorelay group send`"),
    ("relay_broadcast", "`ecorelay broadcast`"),
    ("relay_inbox", "`ecorelay inbox`"),
    ("relay_join", "`ecorelay room join`"),
    ("relay_peers", "`ecorelay peers`"),
    ("relay_reply", "`ecorelay reply`"),
    ("relay_rooms", "`ecorelay room list`"),
    ("relay_room", "`ecorelay room send`"),
    ("relay_send", "`ecorelay send`"),
];

/// Returns a sentence of the hub with the commands a person has in place of an assistant's
/// tools.
pub(crate) fn with_commands(sentence: &str) -> String {
    let mut text = ecorelay_protocol::visible(sentence);
    for (tool, command) in COMMANDS {
        text = text.replace(tool, command);
    }
    text
}

/// Returns the columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the end of `text` that fits into `columns`, with `…` in front where it was cut.
pub(crate) fn keep_end(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut free = columns.saturating_sub(1);
    let mut begin = text.len();
    for (at, c) in text.char_indices().rev() {
        match free.checked_sub(c.width().unwrap_or(0)) {
            Some(rest) => free = rest,
            None => break,
        }
        begin = at;
    }
    format!("…{}", &text[begin..])
}

/// Returns visible `text` as lines of at most `columns`, each behind `margin`; a peer's words
/// thus never stand where this program's own words do.
pub(crate) fn behind_margin(text: &str, margin: &str, columns: Option<usize>) -> String {
    let room = columns.map(|c| c.saturating_sub(width(margin)).max(10));
    let mut out = String::new();
    for line in ecorelay_protocol::visible(text)
        .replace('\t', "    ")
        .lines()
    {
        out.push_str(margin);
        let mut used = 0;
        for c in line.chars() {
            let wide = c.width().unwrap_or(0);
            if room.is_some_and(|room| used + wide > room) {
                out.push('\n');
                out.push_str(margin);
                used = 0;
            }
            out.push(c);
            used += wide;
        }
        out.push('\n');
    }
    out
}

/// Returns a path with the home folder written as `~`.
pub(crate) fn short_path(path: &str, home: Option<&str>) -> String {
    let path = one_line(path);
    let Some(home) = home
        .map(|home| home.trim_end_matches('/'))
        .filter(|home| !home.is_empty())
    else {
        return path;
    };
    match path.strip_prefix(home) {
        Some("") => "~".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("~{rest}"),
        _ => path,
    }
}

/// Returns a system's error without its number, which says nothing to people.
pub(crate) fn without_os_code(error: &str) -> String {
    match error.split_once(" (os error ") {
        Some((words, rest)) => match rest.split_once(')') {
            Some((_, rest)) => format!("{words}{rest}"),
            None => error.to_owned(),
        },
        None => error.to_owned(),
    }
}

/// Returns `1 thing` or `n things`.
pub(crate) fn count(n: usize, thing: &str) -> String {
    let end = if n == 1 {
        ""
    } else if thing.ends_with('x') {
        "es"
    } else {
        "s"
    };
    match thing.strip_suffix("entry") {
        Some(stem) if n != 1 => format!("{n} {stem}entries"),
        _ => format!("{n} {thing}{end}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn escape_sequences_and_line_breaks_never_reach_the_terminal() {
        let bad = "a\x1b[2Jb\nc\x07\td\u{202e}";
        assert_eq!(one_line(bad), "a⟨U+001B⟩[2Jb⏎c⟨U+0007⟩ d⟨U+202E⟩");
        let block = behind_margin(bad, "  ", Some(12));
        assert!(!block.contains('\x1b') && block.lines().all(|line| line.starts_with("  ")));
        assert!(block.lines().all(|line| width(line) <= 12), "{block}");
    }

    #[test]
    fn a_person_is_told_commands_not_tools() {
        let text = with_commands("Use relay_room; relay_rooms lists them.\x1b");
        assert_eq!(
            text,
            "Use `ecorelay room send`; `ecorelay room list` lists them.⟨U+001B⟩"
        );
        for (at, (tool, _)) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..at]
                    .iter()
                    .all(|(before, _)| !tool.starts_with(before)),
                "{tool}"
            );
        }
    }

    #[test]
    fn cutting_counts_columns_not_bytes() {
        assert_eq!(keep_end("/home/a/世界", 6), "…/世界");
        assert_eq!(keep_end("/home/a/世界", 5), "…世界");
        assert_eq!(keep_end("abc", 3), "abc");
        assert_eq!(keep_end("abc", 0), "…");
    }

    #[test]
    fn the_home_folder_is_a_tilde_and_its_neighbour_is_not() {
        assert_eq!(short_path("/home/al/x", Some("/home/al")), "~/x");
        assert_eq!(short_path("/home/al", Some("/home/al/")), "~");
        assert_eq!(short_path("/home/alice", Some("/home/al")), "/home/alice");
        assert_eq!(short_path("/srv", None), "/srv");
    }

    #[test]
    fn an_error_is_told_without_its_number() {
        assert_eq!(
            without_os_code("a: Connection refused (os error 111); b"),
            "a: Connection refused; b"
        );
        assert_eq!(without_os_code("no answer"), "no answer");
    }

    #[test]
    fn things_are_counted_in_english() {
        let counted = [
            count(1, "entry"),
            count(2, "entry"),
            count(0, "session"),
            count(2, "mailbox"),
        ];
        assert_eq!(
            counted,
            ["1 entry", "2 entries", "0 sessions", "2 mailboxes"]
        );
    }
}
