//! What a program's screen says: whether a text may be typed now. Plain functions over a
//! screen, tried with screens that programs really showed.

use super::programs::{Program, Prompt};
use ecorelay_mcp_channel::attach::State;
use vt100::Screen;

/// Longest text before the sign of a prompt that nobody knows, in characters.
const SHORT: usize = 60;
/// Rows above the lowest one with text in which a question or a sign of work is looked for:
/// what stands higher is history.
const LOW_ROWS: usize = 16;
/// As much above the cursor of a program that nobody knows: it has no box that stays below.
const NEAR_ROWS: usize = 6;
/// What frames an input box.
const FRAME: &[char] = &['│', '┃', '|', '▌', '▏', '║', ' '];

/// What the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The prompt waits, and nothing stands behind it.
    Ready,
    /// The prompt waits, and a text stands behind it.
    Draft,
    /// Something is asked that Enter would answer.
    Question,
    /// Anything else: the program works, or shows something of its own.
    Busy,
}

impl Look {
    /// Returns why a text has to wait, as words for the sender.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Ready => "waits until the prompt has settled",
            Self::Draft => "waits: the person is writing something",
            Self::Question => "waits: the program asks the person something",
            Self::Busy => "waits: the program is busy",
        }
    }

    /// Returns the state as it is told to a channel.
    pub(crate) fn state(self) -> State {
        match self {
            Self::Ready | Self::Draft => State::Idle,
            Self::Question => State::Dialog,
            Self::Busy => State::Busy,
        }
    }
}

/// Returns what the screen of this program shows. `marked` says whether the program has ever
/// asked for pastes to be marked: such a program asks for it whenever it takes input.
pub(crate) fn look(program: &Program, screen: &Screen, marked: bool) -> Look {
    if marked && !screen.bracketed_paste() {
        return Look::Busy;
    }
    let (_, columns) = screen.size();
    let rows: Vec<String> = screen.rows(0, columns.get()).collect();
    let lowest = rows
        .iter()
        .rposition(|row| !row.trim().is_empty())
        .unwrap_or(0);
    let reach = match program.prompt {
        Prompt::Sign(_) => NEAR_ROWS,
        Prompt::Row(_) | Prompt::Box { .. } => LOW_ROWS,
    };
    let low = &rows[(lowest + 1).saturating_sub(reach)..=lowest];
    let shows = |words: &[&str]| {
        let mut rows = low.iter();
        rows.any(|row| words.iter().any(|word| row.contains(word)))
    };
    match program.prompt {
        Prompt::Row(prompts) => {
            // What is asked stands before the cursor; a question answered before is history.
            let (before, after) = around_cursor(screen, &rows);
            if program.questions.iter().any(|word| before.contains(word)) {
                return Look::Question;
            }
            at_row(prompts, &before, &after)
        }
        Prompt::Box { .. } | Prompt::Sign(_) if shows(program.questions) => Look::Question,
        Prompt::Box { .. } | Prompt::Sign(_) if shows(program.works) => Look::Busy,
        Prompt::Box { marks, invitations } => in_box(marks, invitations, low),
        Prompt::Sign(signs) => {
            if !screen.bracketed_paste() {
                return Look::Busy;
            }
            let (before, after) = around_cursor(screen, &rows);
            behind_sign(signs, &before, &after)
        }
    }
}

/// Returns what stands before the cursor in its row, and everything after it.
fn around_cursor(screen: &Screen, rows: &[String]) -> (String, String) {
    let (row, column) = screen.cursor_position();
    let (_, columns) = screen.size();
    let before = screen.contents_between(row, 0, row, column);
    let mut after = screen.contents_between(row, column, row, columns.get());
    for below in rows.iter().skip(usize::from(row) + 1) {
        after.push_str(below);
    }
    (before, after)
}

fn at_row(prompts: &[&str], before: &str, after: &str) -> Look {
    let alone = before.trim();
    if prompts.contains(&alone) {
        return if after.trim().is_empty() {
            Look::Ready
        } else {
            Look::Draft
        };
    }
    let starts = |prompt: &&str| {
        let rest = alone.strip_prefix(*prompt);
        rest.is_some_and(|rest| rest.starts_with(' '))
    };
    if prompts.iter().any(starts) {
        Look::Draft
    } else {
        Look::Busy
    }
}

fn in_box(marks: &[&str], invitations: &[&str], rows: &[String]) -> Look {
    // The lowest one: what was entered before may stand above with the same mark.
    for row in rows.iter().rev() {
        let inside = row.trim_matches(FRAME);
        let Some(rest) = marks.iter().find_map(|mark| inside.strip_prefix(mark)) else {
            continue;
        };
        if !rest.is_empty() && !rest.starts_with([' ', '\u{a0}']) {
            continue;
        }
        let text = rest.trim();
        let invites = invitations.iter().any(|words| text.starts_with(words));
        return if text.is_empty() || invites {
            Look::Ready
        } else {
            Look::Draft
        };
    }
    Look::Busy
}

fn behind_sign(signs: &[char], before: &str, after: &str) -> Look {
    let before = before.trim_start_matches(FRAME);
    let Some(at) = before.find(signs) else {
        return Look::Busy;
    };
    let (prompt, rest) = before.split_at(at);
    let mut rest = rest.chars();
    let sign = rest.next();
    let rest = rest.as_str();
    // Two signs in a row are the prompt of something that carries out what is typed.
    if prompt.chars().count() > SHORT || rest.chars().next() == sign {
        return Look::Busy;
    }
    if rest.trim().is_empty() && after.trim_matches(FRAME).is_empty() {
        Look::Ready
    } else {
        Look::Draft
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const PASTE_MODE: &str = "\x1b[?2004h";

    /// Returns what a program of this name shows with these bytes.
    fn seen(program: &str, bytes: &str) -> Look {
        let mut parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        parser.process(bytes.as_bytes());
        let marked = bytes.contains(PASTE_MODE);
        look(
            Program::of_path(Path::new(program)),
            parser.screen(),
            marked,
        )
    }

    #[test]
    fn aiders_prompt_is_alone_in_its_row() {
        for (screen, look) in [
            ("> ", Look::Ready),
            ("architect> ", Look::Ready),
            ("> half a thought", Look::Draft),
            ("> half\x1b[2G", Look::Draft),
            ("> quoted by the model, still coming\r\n", Look::Busy),
            ("Waiting for openai/mock-model", Look::Busy),
            ("", Look::Busy),
            ("Run shell command? (Y)es/(N)o [Yes]: ", Look::Question),
            ("Run shell command? (Y)es/(N)o [Yes]: n\r\n> ", Look::Ready),
        ] {
            assert_eq!(
                seen("aider", &format!("{PASTE_MODE}{screen}")),
                look,
                "{screen:?}"
            );
        }
        // It works: it has taken the mark of pastes back.
        assert_eq!(seen("aider", "\x1b[?2004h> x\x1b[?2004l\r\n> "), Look::Busy);
        // Without its fancy input it never sets the mark.
        assert_eq!(seen("aider", "> "), Look::Ready);
    }

    #[test]
    fn the_lowest_box_counts() {
        for (screen, look) in [
            ("│ >   Type your message or @path/to/file │", Look::Ready),
            ("│ > half a thought                       │", Look::Draft),
            (
                " > said before\r\n│ >   Type your message or │",
                Look::Ready,
            ),
            (
                "⠏ Thinking (esc to cancel, 3s)\r\n│ >   Type your message │",
                Look::Busy,
            ),
            ("1. Allow once\r\n│ >   Type your message │", Look::Question),
            ("loading", Look::Busy),
        ] {
            assert_eq!(seen("gemini", screen), look, "{screen:?}");
        }
        assert_eq!(seen("claude", "❯\u{a0}"), Look::Ready);
        assert_eq!(seen("codex", "› Ask Codex to do anything"), Look::Ready);
        assert_eq!(seen("codex", "› mine"), Look::Draft);
    }

    #[test]
    fn an_unknown_program_needs_a_sign_and_the_mark_of_pastes() {
        for (screen, look) in [
            ("> ", Look::Ready),
            ("my agent ❯ ", Look::Ready),
            ("my agent ❯ x", Look::Draft),
            ("user@host:~$ ", Look::Busy),
            ("root# ", Look::Busy),
            (">>> ", Look::Busy),
            ("continue? (y/n) > ", Look::Question),
            ("Password: ", Look::Question),
            ("sudo password > ", Look::Question),
        ] {
            assert_eq!(
                seen("mystery", &format!("{PASTE_MODE}{screen}")),
                look,
                "{screen:?}"
            );
            assert_ne!(seen("mystery", screen), Look::Ready, "{screen:?}");
        }
    }

    proptest! {
        #[test]
        fn no_screen_is_too_odd(bytes in any::<Vec<u8>>(), rows in 1..60_u16, columns in 1..200_u16) {
            let mut parser = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
            parser.process(&bytes);
            for program in ["aider", "gemini", "mystery"] {
                let _ = look(Program::of_path(Path::new(program)), parser.screen(), true);
            }
        }
    }
}
