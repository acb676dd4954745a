//! The text of a message as it stands on the command line, or on standard input.

use crate::error::CliError;
use ecorelay_protocol::limits::TEXT_BYTES;
use std::io::Read as _;

/// Returns the words as one text; a single `-` stands for standard input, of which one line
/// end is dropped.
pub(crate) fn text(words: &[String]) -> Result<String, CliError> {
    if words != ["-"] {
        return Ok(words.join(" "));
    }
    let mut bytes = Vec::new();
    // One byte over the limit is enough for the hub to refuse it with the right words.
    std::io::stdin()
        .lock()
        .take(TEXT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| CliError::failed(format!("Standard input cannot be read: {e}.")))?;
    from_input(bytes)
}

fn from_input(bytes: Vec<u8>) -> Result<String, CliError> {
    let mut text = String::from_utf8(bytes).map_err(|e| {
        CliError::usage(format!(
            "Standard input is not UTF-8 text at byte {}.",
            e.utf8_error().valid_up_to()
        ))
        .hint("Convert it first, or put it in a file and send the path.")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn one_line_end_is_dropped_and_no_more() {
        assert_eq!(from_input(b"a\n\n".to_vec()).unwrap(), "a\n");
        assert_eq!(from_input(b"a\r\n".to_vec()).unwrap(), "a");
        assert!(
            from_input(b"a\xff".to_vec())
                .unwrap_err()
                .message
                .contains("byte 1")
        );
        assert_eq!(text(&["a".into(), "b".into()]).unwrap(), "a b");
    }
}
