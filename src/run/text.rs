//! A text as it is typed into a program: nothing in it but what can be shown, as one paste or
//! as one line.

/// Begins and ends a marked paste.
const PASTE: (&str, &str) = ("\x1b[200~", "\x1b[201~");
/// Longest text typed as one line, in bytes: a terminal that gathers lines drops what is over
/// 4,095.
const LINE_BYTES: usize = 3_500;
/// Stands for a line's end in a text that is typed as one line.
const LINE_END: &str = " ⏎ ";
/// How much of a text is looked for on the screen, in characters: a row may be narrow.
const SOUGHT: usize = 24;

/// A text that is ready to be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What is written to the program, without Enter.
    pub(crate) bytes: Vec<u8>,
    /// Its first and its last characters, without spaces, to be looked for on the screen.
    pub(crate) ends: [String; 2],
}

/// Returns a text as a marked paste.
pub(crate) fn paste(text: &str) -> Typed {
    let text = clean(text);
    Typed {
        // Enter's own byte: that is how terminals paste a line's end.
        bytes: format!("{}{}{}", PASTE.0, text.replace('\n', "\r"), PASTE.1).into_bytes(),
        ends: ends(&text),
    }
}

/// Returns a text as one line; a long one is cut.
pub(crate) fn line(text: &str) -> Typed {
    let mut text = clean(text).replace('\n', LINE_END);
    if text.len() > LINE_BYTES {
        let cut = (0..=LINE_BYTES).rfind(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or_default());
        text.push_str(" [ecorelay] … cut here; the inbox has the whole text");
    }
    Typed {
        ends: ends(&text),
        bytes: text.into_bytes(),
    }
}

/// Returns the text without anything that could steer a terminal or end a paste.
fn clean(text: &str) -> String {
    let text = text.trim_end().replace("\r\n", "\n");
    text.chars()
        .map(|c| if c == '\t' || c == '\r' { ' ' } else { c })
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

fn ends(text: &str) -> [String; 2] {
    let text = squeezed(text);
    let count = text.chars().count();
    let first = text.chars().take(SOUGHT).collect();
    let last = text.chars().skip(count.saturating_sub(SOUGHT)).collect();
    [first, last]
}

/// Returns the text without spaces, line ends and frames: where a row ends does not matter.
pub(crate) fn squeezed(text: &str) -> String {
    let frame = |c: char| matches!(c, '│' | '┃' | '║');
    text.chars()
        .filter(|c| !c.is_whitespace() && !frame(*c))
        .collect()
}

/// Returns whether what the person's terminal sent is only its own word: a report it was asked
/// for, the focus, the mouse. Everything else is somebody typing.
pub(crate) fn is_report(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match report_length(rest) {
            Some(length) => rest = &rest[length..],
            None => return false,
        }
    }
    !bytes.is_empty()
}

/// Returns how long the report is with which the bytes begin.
fn report_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // The mouse in its oldest form: three bytes follow.
        [0x1b, b'[', b'M', _, _, _, ..] => Some(6),
        [0x1b, b'[', b'I' | b'O', ..] => Some(3),
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|b| (0x40..=0x7e).contains(b))?;
            let params = &rest[..end];
            let number = params.first().is_some_and(u8::is_ascii_digit);
            let private = matches!(params.first(), Some(b'?' | b'>' | b'<'));
            let report = match rest[end] {
                // The cursor's place has two numbers; with modifiers F3 has the same form.
                b'R' => number && params.contains(&b';') && !params.starts_with(b"1;"),
                b'c' | b'y' | b'u' => private,
                b'n' | b't' => number || private,
                b'M' | b'm' => params.first() == Some(&b'<'),
                _ => false,
            };
            report.then_some(end + 3)
        }
        // An answer about colours, the clipboard, the terminal's name.
        [0x1b, b']' | b'P' | b'_', rest @ ..] => {
            let bell = rest.iter().position(|b| *b == 7).map(|at| at + 3);
            let st = rest.windows(2).position(|two| two == b"\x1b\\");
            let st = st.map(|at| at + 4);
            match (bell, st) {
                (Some(bell), Some(st)) => Some(bell.min(st)),
                (bell, st) => bell.or(st),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_paste_cannot_be_ended_from_inside() {
        let typed = paste("a\x1b[201~\rrm -rf\u{9b}201~\r\nb\tc\x03\n");
        assert_eq!(
            typed.bytes,
            "\x1b[200~a[201~ rm -rf201~\rb c\x1b[201~".as_bytes()
        );
    }

    #[test]
    fn a_line_has_no_line_end_and_is_cut() {
        assert_eq!(line("a\nb").bytes, "a ⏎ b".as_bytes());
        let long = line(&"é".repeat(LINE_BYTES));
        assert!(long.bytes.len() < LINE_BYTES + 100);
        assert!(
            String::from_utf8(long.bytes)
                .unwrap()
                .ends_with("whole text")
        );
    }

    #[test]
    fn reports_are_told_from_typing() {
        for report in [
            "\x1b[24;80R",
            "\x1b[?1;2c",
            "\x1b[I",
            "\x1b[<0;3;4M",
            "\x1b]11;rgb:0000/0000/0000\x1b\\",
            "\x1b]11;rgb:0000/0000/0000\x07\x1b[O",
            "\x1b[0n",
        ] {
            assert!(is_report(report.as_bytes()), "{report:?}");
        }
        for typed in [
            "",
            "a",
            "\r",
            "\x1b",
            "\x1b[A",
            "\x1b[1;2R",
            "\x1b[24;80Rx",
            "\x03",
        ] {
            assert!(!is_report(typed.as_bytes()), "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_only_the_marks_of_the_paste_steer(text in any::<String>()) {
            let bytes = String::from_utf8(paste(&text).bytes).unwrap();
            let inside = &bytes[PASTE.0.len()..bytes.len() - PASTE.1.len()];
            prop_assert!(inside.chars().all(|c| c == '\r' || !c.is_control()));
            let flat = String::from_utf8(line(&text).bytes).unwrap();
            prop_assert!(!flat.chars().any(char::is_control));
        }

        #[test]
        fn no_bytes_confuse_the_look_for_reports(bytes in any::<Vec<u8>>()) {
            let _ = is_report(&bytes);
        }
    }
}
