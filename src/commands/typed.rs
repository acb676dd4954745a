//! What a person types while a command goes on.

use ecorelay_protocol::limits;
use std::io::{BufRead as _, Read as _};
use tokio::sync::mpsc;

/// Typed lines that may wait for the command.
const TYPED_LINES: usize = 16;

/// Returns the non-empty lines of standard input. They are read on a thread of their own,
/// because reading a terminal cannot be given up; the thread ends with the program.
pub(super) fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(TYPED_LINES);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            // A longer line comes in parts; each part fits the limit of a text.
            let limit = limits::TEXT_UTF16 as u64;
            match input.by_ref().take(limit).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            if !text.trim().is_empty() && sender.blocking_send(text.to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}
