//! Reading an assistant's settings file, to see what in it hinders. Nothing here writes.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::CstRootNode;
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// Largest settings file that is read, in bytes; real ones have a few KiB.
const SETTINGS_BYTES: u64 = 4 * 1024 * 1024;

/// Returns what a JSON file with or without comments says; nothing where there is none, or it
/// is not what it should be. Whoever changes the file says what is wrong with it.
pub(crate) fn read(file: &Path) -> Option<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(file).ok()?;
    file.take(SETTINGS_BYTES).read_to_string(&mut text).ok()?;
    parse(&text)
}

fn parse(text: &str) -> Option<Value> {
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    root.value()?.to_serde_value()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_are_no_hindrance_and_nonsense_is_nothing() {
        let value = parse("{ // one\n \"a\": [1, /* two */ 2,],\n}");
        assert_eq!(value, Some(json!({"a": [1, 2]})));
        for text in ["", "{", "\"", "{\"a\":}", "\0"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(read(Path::new("/nowhere/settings.json")), None);
    }
}
