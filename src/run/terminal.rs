//! The person's terminal: raw while the program runs, and as it was before on every end.

use super::pty::Size;
use std::io::Read as _;
use std::num::NonZeroU16;
use tokio::sync::mpsc;

/// One read of what the person types, in bytes.
const READ_BYTES: usize = 4 * 1024;
/// Pieces of it that may wait.
const PIECES: usize = 64;
/// A terminal that does not say its size.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The terminal in raw mode; dropping it puts the old mode back.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    #[cfg(unix)]
    before: rustix::termios::Termios,
    #[cfg(unix)]
    raw: rustix::termios::Termios,
}

impl RawTerminal {
    /// Makes the terminal of standard input raw: every key goes to the program, Ctrl-C too.
    ///
    /// # Errors
    /// When standard input is no terminal.
    #[cfg(unix)]
    pub(crate) fn enter() -> std::io::Result<Self> {
        use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before, raw })
    }

    /// Makes the terminal raw once more: whoever had it meanwhile has changed it.
    #[cfg(unix)]
    pub(crate) fn again(&self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // Without a terminal the program's end is near.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.raw);
    }

    /// There is no raw mode here.
    #[cfg(not(unix))]
    pub(crate) fn again(&self) {}

    /// There is no raw mode here.
    ///
    /// # Errors
    /// Never.
    #[cfg(not(unix))]
    pub(crate) fn enter() -> std::io::Result<Self> {
        Ok(Self {})
    }
}

#[cfg(unix)]
impl Drop for RawTerminal {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // A terminal that is gone has no mode.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Returns columns and rows.
pub(crate) fn size() -> Size {
    let told = terminal_size::terminal_size().map(|(columns, rows)| (columns.0, rows.0));
    let (columns, rows) = told.unwrap_or(USUAL_SIZE);
    let or = |number, usual| {
        NonZeroU16::new(number)
            .or(NonZeroU16::new(usual))
            .unwrap_or(NonZeroU16::MIN)
    };
    (or(columns, USUAL_SIZE.0), or(rows, USUAL_SIZE.1))
}

/// Returns what the person types, as it comes.
pub(crate) fn keys() -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (pieces, keys) = mpsc::channel(PIECES);
    // The thread ends with the process: nothing interrupts its read.
    std::thread::Builder::new()
        .name("run-keys".into())
        .spawn(move || {
            let mut input = unbuffered_input();
            let mut bytes = vec![0; READ_BYTES];
            loop {
                match input.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(count) => {
                        if pieces.blocking_send(bytes[..count].to_vec()).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        })?;
    Ok(keys)
}

fn unbuffered_input() -> Box<dyn std::io::Read> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        if let Ok(own) = std::io::stdin().as_fd().try_clone_to_owned() {
            return Box::new(std::fs::File::from(own));
        }
    }
    Box::new(std::io::stdin())
}

/// Returns where the program's output goes, without waiting for the ends of lines.
pub(crate) fn screen() -> Box<dyn std::io::Write + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        if let Ok(own) = std::io::stdout().as_fd().try_clone_to_owned() {
            return Box::new(std::fs::File::from(own));
        }
    }
    Box::new(std::io::stdout())
}

/// Returns what takes a terminal out of the modes that a program has left it in, because it was
/// killed: the second screen, marked pastes, the mouse, a hidden cursor.
pub(crate) fn farewell(screen: &vt100::Screen) -> String {
    let mut out = String::new();
    if screen.bracketed_paste() {
        out.push_str("\x1b[?2004l");
    }
    if screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None {
        out.push_str("\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l");
    }
    if screen.alternate_screen() {
        out.push_str("\x1b[?1049l");
    }
    if screen.hide_cursor() {
        out.push_str("\x1b[?25h");
    }
    out
}
