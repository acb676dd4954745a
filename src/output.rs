//! Writes to standard output and standard error: text for people, JSON for programs. Colour
//! only on a terminal (and not with `NO_COLOR`); a closed pipe ends the program quietly.

use crate::error::{CliError, ErrorKind};
use crate::view::live::LivePage;
use crate::view::style::{BOLD, FAIL, paint};
use ecorelay_protocol::{HubLine, is_invisible};
use serde_json::{Map, Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// Where the results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Returns an output for programs (`json`) or for people.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Returns whether JSON is wanted.
    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// Prints text for people. A missing newline at the end is added.
    pub(crate) fn text(self, text: &str) -> Result<(), CliError> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Prints one JSON document on one line. Characters that could steer or fool a terminal are
    /// written as escapes, which mean the same to whoever reads JSON.
    pub(crate) fn document(self, document: &Value) -> Result<(), CliError> {
        let mut line = escaped(&document.to_string());
        line.push('\n');
        self.raw(line.as_bytes())
    }

    /// Prints a result: the document for programs, the text for people.
    pub(crate) fn result(
        self,
        document: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.json {
            self.document(&document())
        } else {
            self.text(&text())
        }
    }

    /// Prints text that programs have no use for.
    pub(crate) fn text_for_people(self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.text(text) }
    }

    /// Returns whether a page can be drawn again in place.
    pub(crate) fn can_redraw(self) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.terminal().is_some() && !dumb
    }

    /// Draws the page in place of the last one.
    pub(crate) fn redraw(self, live: &mut LivePage, page: &str) -> Result<(), CliError> {
        let Some(size) = self.terminal() else {
            return self.text(page);
        };
        let colour = anstream::AutoStream::choice(&std::io::stdout());
        // Moving the cursor is no colour: it must reach the terminal even without colours.
        let drawn = match colour {
            anstream::ColorChoice::Never => {
                live.redraw(&anstream::adapter::strip_str(page).to_string(), size)
            }
            _ => live.redraw(page, size),
        };
        self.raw(drawn.as_bytes())
    }

    /// Writes text that moves about on the terminal.
    pub(crate) fn draw(self, text: &str) {
        let colour = anstream::AutoStream::choice(&std::io::stdout());
        let text = match colour {
            anstream::ColorChoice::Never => crate::view::style::without_colour(text),
            _ => text.to_owned(),
        };
        // A terminal that is gone has nobody before it.
        let _ = self.raw(text.as_bytes());
    }

    /// Asks for a line: writes the question on standard error and leaves the cursor behind it.
    pub(crate) fn prompt(self, question: &str) {
        let mut out = anstream::stderr();
        // Standard error may be closed; then there is nobody to ask.
        let _ = write!(out, "{question}");
        let _ = out.flush();
    }

    /// Tells programs on standard error what happens before the result.
    pub(crate) fn event(self, document: &Value) {
        let line = escaped(&document.to_string());
        // Standard error may be closed; then there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Ends the line on which a terminal shows the `^C` that was typed.
    pub(crate) fn after_interrupt(self) -> Result<(), CliError> {
        if self.terminal().is_some() {
            self.text("")
        } else {
            Ok(())
        }
    }

    /// Says something on standard error that is not part of the result.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Reports an error and returns the exit code.
    pub(crate) fn report(self, error: &CliError) -> ExitCode {
        match error.kind {
            _ if error.told => {}
            ErrorKind::ClosedPipe => {}
            _ if self.json => {
                let document =
                    json!({"ok": false, "code": error.code, "message": error.sentence()});
                let _ = self.document(&document);
            }
            _ => {
                let mut text = format!("{} {}", paint(FAIL, "error:"), error.message);
                if let Some(hint) = &error.hint {
                    text.push_str(&format!("\n {} {hint}", paint(BOLD, "hint:")));
                }
                let _ = writeln!(anstream::stderr(), "{text}");
            }
        }
        error.exit_code()
    }

    /// Returns columns and rows of the terminal that standard output is, if it is one.
    pub(crate) fn terminal(self) -> Option<(usize, usize)> {
        if self.json || !std::io::stdout().is_terminal() {
            return None;
        }
        let (width, height) = terminal_size::terminal_size()
            .map_or((80, 24), |(w, h)| (usize::from(w.0), usize::from(h.0)));
        // Some terminals say 0 when they do not know.
        Some((
            if width == 0 { 80 } else { width },
            if height == 0 { 24 } else { height },
        ))
    }
}

/// Returns JSON text with control, bidirectional and zero-width characters as escapes. Outside
/// of its strings JSON has none of them.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let mut units = [0; 2];
        match c {
            c if c.is_control() || is_invisible(c) => {
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Returns an answer of the hub under the keys of the tool result: without what belongs to
/// the local protocol, and with `ok` where the tool has it.
pub(crate) fn tool_result(answer: &HubLine) -> Value {
    let mut object = match serde_json::to_value(answer) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    object.remove("type");
    object.remove("req_id");
    if !matches!(
        answer,
        HubLine::Peers { .. } | HubLine::InboxResult { .. } | HubLine::RoomsList { .. }
    ) {
        object.insert("ok".into(), true.into());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn json_cannot_steer_a_terminal_and_means_the_same() {
        let document =
            json!({"text": "\u{1b}[31m \u{9b}2J \u{7f} \u{202e} \u{200b} \u{e0041} é 😀\n"});
        let line = escaped(&document.to_string());
        assert!(line.contains("é 😀") && line.contains("\\u202e"), "{line}");
        assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), document);
    }
}
