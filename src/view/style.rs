//! The colours, one name each.

use anstyle::{AnsiColor, Style};

/// Headings and names that matter.
pub(crate) const BOLD: Style = Style::new().bold();
/// What may be overlooked.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Works.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Wants a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Does not work.
pub(crate) const FAIL: Style = AnsiColor::Red.on_default().bold();
/// As it is.
pub(crate) const PLAIN: Style = Style::new();

/// Returns `text` in this style.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns `text` without colours; what moves the cursor stays.
pub(crate) fn without_colour(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        out.push_str(&rest[..at]);
        let code = &rest[at..];
        let end = code
            .char_indices()
            .skip(2)
            .find(|(_, c)| c.is_ascii_alphabetic())
            .map_or(code.len(), |(end, _)| end + 1);
        if !code[..end].ends_with('m') {
            out.push_str(&code[..end]);
        }
        rest = &code[end..];
    }
    out.push_str(rest);
    out
}

/// Returns `text` without colour codes.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_movements_stay() {
        let text = format!("\x1b7\x1b[3A{}\x1b[K\x1b8", paint(GOOD, "x"));
        assert_eq!(without_colour(&text), "\x1b7\x1b[3Ax\x1b[K\x1b8");
    }
}
