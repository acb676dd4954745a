//! What setting assistants up changes, for people and for programs.

use super::diff::diff;
use super::style::{BOLD, DIM, paint};
use super::text::{one_line, short_path};
use ecorelay_adapters::FileChange;
use serde_json::{Value, json};

/// Returns the changes of one assistant: each file, what for, and the lines.
pub(crate) fn changes(changes: &[FileChange], home: Option<&str>) -> String {
    let mut out = String::new();
    for change in changes {
        let path = one_line(&short_path(&change.file.to_string_lossy(), home));
        let what = match (&change.before, &change.after) {
            (None, _) => " (new)",
            (_, None) => " (removed)",
            _ => "",
        };
        out.push_str(&format!("  {}{}\n", paint(BOLD, path), paint(DIM, what)));
        for why in &change.whys {
            out.push_str(&format!(
                "    {}\n",
                paint(DIM, format!("so that {}", one_line(why)))
            ));
        }
        let (before, after) = texts(change);
        out.push_str(&diff(&before, &after, "    "));
    }
    out
}

/// Returns the changes of one assistant for programs.
pub(crate) fn document(changes: &[FileChange]) -> Value {
    changes
        .iter()
        .map(|change| {
            let (before, after) = texts(change);
            let lines = super::style::without_colour(&diff(&before, &after, ""));
            json!({
                "file": change.file.to_string_lossy(),
                "created": change.before.is_none(),
                "removed": change.after.is_none(),
                "why": change.whys,
                "diff": lines,
            })
        })
        .collect()
}

fn texts(change: &FileChange) -> (String, String) {
    let text = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    (text(&change.before), text(&change.after))
}
