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

/// Returns `text` without colour codes.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
