//! A page that is drawn again in place.

use super::text::width;

/// The page on a terminal; remembers how many lines it has drawn.
#[derive(Debug, Default)]
pub(crate) struct LivePage {
    drawn: usize,
}

impl LivePage {
    /// Returns what to write so that `page` stands where the last one stood, cut to the
    /// terminal's `size` (columns, rows).
    pub(crate) fn redraw(&mut self, page: &str, size: (usize, usize)) -> String {
        let (columns, rows) = size;
        let mut lines: Vec<String> = page.lines().map(|line| cut(line, columns)).collect();
        // The cursor rests on the line below the page.
        let room = rows.saturating_sub(1).max(1);
        if lines.len() > room {
            let hidden = lines.len() - (room - 1);
            lines.truncate(room - 1);
            let more = format!("… {hidden} more lines: `ecorelay node status` shows all");
            lines.push(cut(&more, columns));
        }
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A", self.drawn));
        }
        out.push_str("\r\x1b[J");
        for line in &lines {
            out.push_str(line);
            out.push('\n');
        }
        self.drawn = lines.len();
        out
    }
}

/// Returns whether so many lines fit on a terminal of this size.
pub(crate) fn fits(size: Option<(usize, usize)>, lines: usize) -> bool {
    size.is_some_and(|(_, rows)| lines <= rows)
}

/// Returns the beginning of a painted line that fits into `columns`; colour codes take none.
pub(super) fn cut(line: &str, columns: usize) -> String {
    if width(&anstream::adapter::strip_str(line).to_string()) <= columns {
        return line.to_owned();
    }
    let (mut out, mut used, mut in_code) = (String::new(), 0, false);
    for c in line.chars() {
        if c == '\x1b' {
            in_code = true;
        }
        if in_code {
            out.push(c);
            in_code = c != 'm';
            continue;
        }
        let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + wide > columns.saturating_sub(1) {
            break;
        }
        used += wide;
        out.push(c);
    }
    out.push('…');
    if line.contains('\x1b') {
        out.push_str("\x1b[0m");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::{BOLD, paint, plain};

    #[test]
    fn the_second_page_replaces_the_first() {
        let mut live = LivePage::default();
        assert_eq!(live.redraw("a\nb\n", (80, 24)), "\r\x1b[Ja\nb\n");
        assert_eq!(live.redraw("c\n", (80, 24)), "\x1b[2A\r\x1b[Jc\n");
        assert_eq!(live.redraw("d\n", (80, 24)), "\x1b[1A\r\x1b[Jd\n");
    }

    #[test]
    fn a_page_never_scrolls_or_wraps() {
        let page: String = (0..50)
            .map(|n| format!("line {n} {}\n", "x".repeat(100)))
            .collect();
        let drawn = LivePage::default().redraw(&page, (20, 10));
        assert_eq!(drawn.lines().count(), 9);
        assert!(
            plain(&drawn)
                .trim_start_matches('\r')
                .lines()
                .all(|line| width(line) <= 20)
        );
        assert_eq!(plain(&cut(&paint(BOLD, "世界世界"), 5)), "世界…");
    }
}
