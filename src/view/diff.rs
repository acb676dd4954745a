//! What changes in a file, as lines for people.

use super::style::{DIM, FAIL, GOOD, paint};
use super::text::one_line;

/// Lines shown around a change.
const AROUND: usize = 2;
/// Longest line shown, in characters: a file may be one long line.
const LINE_CHARS: usize = 160;
/// Lines compared pairwise at most; of larger changes all old lines are shown, then all new ones.
const COMPARED: usize = 1_000_000;
/// Lines shown of a whole file that comes or goes.
const WHOLE_FILE: usize = 12;

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// Returns the difference between two texts behind `margin`, control characters made visible.
pub(crate) fn diff(before: &str, after: &str, margin: &str) -> String {
    let lines = compare(before, after);
    let changed = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let near = |at: usize| {
        let begin = at.saturating_sub(AROUND);
        lines
            .iter()
            .skip(begin)
            .take(at + AROUND + 1 - begin)
            .any(changed)
    };
    let whole = before.is_empty() || after.is_empty();
    let mut out = String::new();
    let mut number = 0;
    let mut shown = 0;
    let mut gap = true;
    for (at, line) in lines.iter().enumerate() {
        if !matches!(line, Line::New(_)) {
            number += 1;
        }
        if !near(at) {
            gap = true;
            continue;
        }
        if whole && shown == WHOLE_FILE {
            let more = format!("… {} lines in all", lines.len());
            out.push_str(&format!("{margin}{}\n", paint(DIM, more)));
            break;
        }
        if gap && !whole {
            let place = format!("line {}", number.max(1));
            out.push_str(&format!("{margin}{}\n", paint(DIM, place)));
        }
        gap = false;
        shown += 1;
        let painted = match line {
            Line::Same(text) => format!("  {}", clipped(text)),
            Line::Gone(text) => paint(FAIL, format!("- {}", clipped(text))),
            Line::New(text) => paint(GOOD, format!("+ {}", clipped(text))),
        };
        out.push_str(&format!("{margin}{painted}\n"));
    }
    out
}

fn clipped(line: &str) -> String {
    let line = one_line(line.trim_end_matches('\n').trim_end_matches('\r'));
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn compare<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tails = old.iter().rev().zip(new.iter().rev());
    let tail = tails.take(most).take_while(|(a, b)| a == b).count();
    let (gone, came) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<Line<'a>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    if gone.len().saturating_mul(came.len()) > COMPARED {
        lines.extend(gone.iter().map(|line| Line::Gone(line)));
        lines.extend(came.iter().map(|line| Line::New(line)));
    } else {
        walk(gone, came, &mut lines);
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    lines
}

/// Adds the shortest way from one list of lines to the other.
fn walk<'a>(gone: &[&'a str], came: &[&'a str], lines: &mut Vec<Line<'a>>) {
    // `common[i][j]`: how many lines gone[i..] and came[j..] have in common.
    let mut common = vec![vec![0_u32; came.len() + 1]; gone.len() + 1];
    for i in (0..gone.len()).rev() {
        for j in (0..came.len()).rev() {
            common[i][j] = match gone[i] == came[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < gone.len() || j < came.len() {
        if i < gone.len() && j < came.len() && gone[i] == came[j] {
            lines.push(Line::Same(gone[i]));
            i += 1;
            j += 1;
        } else if j == came.len() || (i < gone.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Gone(gone[i]));
            i += 1;
        } else {
            lines.push(Line::New(came[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let before = "a\nb\nc\nd\ne\nf\n";
        let after = "a\nb\nc\nx\x1b[2J\ne\nf\n";
        assert_eq!(
            plain(&diff(before, after, "  ")),
            format!(
                "  line 2\n    b\n    c\n  - d\n  + {}\n    e\n    f\n",
                one_line("x\x1b[2J")
            )
        );
        assert_eq!(diff(before, before, ""), "");
        assert_eq!(plain(&diff("", "a\nb\n", "")), "+ a\n+ b\n");
    }

    #[test]
    fn long_files_and_lines_are_cut() {
        let file = "line\n".repeat(40);
        let text = plain(&diff("", &file, ""));
        assert_eq!(text.lines().count(), WHOLE_FILE + 1);
        assert!(text.ends_with("… 40 lines in all\n"), "{text}");
        let text = plain(&diff("", &"é".repeat(500), ""));
        assert_eq!(text.chars().count(), LINE_CHARS + 4);
    }
}
