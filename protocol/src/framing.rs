//! Splits a byte stream into lines. Works on bytes, so a character that is cut
//! between two reads survives; bounded, so an endless line cannot grow.

use crate::limits::{LINE_BYTES, SKIP_BYTES};

/// How much of the head and of the tail of an overlong line is searched for a `req_id`.
const EDGE_BYTES: usize = 4_096;

/// What came out of the byte stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    /// One line, without its line end; never empty.
    Line(Vec<u8>),
    /// A line over [`LINE_BYTES`] was skipped; its `req_id`, where one could be seen.
    TooLong(Option<String>),
    /// A line went on past [`SKIP_BYTES`]: the connection is to be closed.
    Hopeless,
}

/// A line splitter. Feed it what was read with [`LineFramer::push`], take lines with
/// [`LineFramer::next_line`].
#[derive(Debug, Default)]
pub struct LineFramer {
    buffer: Vec<u8>,
    /// Where the search for the next newline goes on.
    searched: usize,
    skipping: Option<Skip>,
}

#[derive(Debug, Default)]
struct Skip {
    req_id: Option<String>,
    tail: Vec<u8>,
    skipped: usize,
}

impl LineFramer {
    /// Takes in bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole line, or `None` until more bytes come.
    pub fn next_line(&mut self) -> Option<Framed> {
        loop {
            let newline = self.buffer[self.searched..]
                .iter()
                .position(|&b| b == b'\n')
                .map(|at| at + self.searched);
            if let Some(mut skip) = self.skipping.take() {
                let end = newline.map_or(self.buffer.len(), |at| at + 1);
                skip.take(&self.buffer[..end]);
                self.consume(end);
                if newline.is_some() {
                    let req_id = skip.req_id.or_else(|| find_req_id(&skip.tail));
                    return Some(Framed::TooLong(req_id));
                }
                if end == 0 {
                    self.skipping = Some(skip);
                    return None;
                }
                let hopeless = skip.skipped > SKIP_BYTES;
                self.skipping = Some(skip);
                return hopeless.then_some(Framed::Hopeless);
            }
            match newline {
                Some(at) if at <= LINE_BYTES => {
                    let mut line = self.buffer[..at].to_vec();
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    self.consume(at + 1);
                    if !line.iter().all(u8::is_ascii_whitespace) {
                        return Some(Framed::Line(line));
                    }
                }
                None if self.buffer.len() <= LINE_BYTES => {
                    self.searched = self.buffer.len();
                    return None;
                }
                _ => {
                    let head = &self.buffer[..EDGE_BYTES.min(self.buffer.len())];
                    self.skipping = Some(Skip {
                        req_id: find_req_id(head),
                        ..Skip::default()
                    });
                    self.searched = 0;
                }
            }
        }
    }

    /// Returns how many bytes wait for the end of their line.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    fn consume(&mut self, end: usize) {
        self.buffer.drain(..end);
        self.searched = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > 64 * 1024 {
            self.buffer = Vec::new();
        }
    }
}

impl Skip {
    fn take(&mut self, bytes: &[u8]) {
        self.skipped += bytes.len();
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(EDGE_BYTES);
        self.tail.drain(..excess);
    }
}

/// Returns the value of a `"req_id":"…"` in a piece of a JSON line. A text could hold the
/// same bytes only with escaped quotes, so a match is a key.
fn find_req_id(piece: &[u8]) -> Option<String> {
    let piece = String::from_utf8_lossy(piece);
    let after = piece.rsplit_once("\"req_id\"")?.1.trim_start();
    let value = after.strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let end = value.find('"')?;
    let id = &value[..end];
    (!id.contains('\\') && id.chars().count() <= crate::limits::ID_CHARS).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(framer: &mut LineFramer) -> Vec<Framed> {
        std::iter::from_fn(|| framer.next_line()).collect()
    }

    #[test]
    fn a_character_cut_between_reads_survives() {
        let mut framer = LineFramer::default();
        let bytes = "{\"t\":\"é世\"}\r\n".as_bytes();
        let mut lines = Vec::new();
        for byte in bytes {
            framer.push(&[*byte]);
            lines.extend(drain(&mut framer));
        }
        assert_eq!(lines, [Framed::Line("{\"t\":\"é世\"}".into())]);
    }

    #[test]
    fn an_overlong_line_is_named_by_its_req_id_and_the_next_line_is_read() {
        for (head, tail) in [
            ("{\"req_id\":\"r7\",\"text\":\"", "\"}\n"),
            ("{\"text\":\"", "\",\"req_id\":\"r7\"}\n"),
        ] {
            let mut framer = LineFramer::default();
            framer.push(head.as_bytes());
            let mut out = Vec::new();
            for _ in 0..80 {
                framer.push(&[b'x'; 65_536]);
                out.extend(drain(&mut framer));
            }
            framer.push(tail.as_bytes());
            framer.push(b"{}\n");
            out.extend(drain(&mut framer));
            assert_eq!(
                out,
                [
                    Framed::TooLong(Some("r7".into())),
                    Framed::Line(b"{}".to_vec())
                ]
            );
            assert!(framer.pending() < LINE_BYTES);
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut framer = LineFramer::default();
        let chunk = vec![b'['; 1 << 20];
        let mut hopeless = false;
        for _ in 0..80 {
            framer.push(&chunk);
            hopeless |= drain(&mut framer).contains(&Framed::Hopeless);
            assert!(framer.pending() <= LINE_BYTES + chunk.len());
            if hopeless {
                break;
            }
        }
        assert!(hopeless);
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_same_lines(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), cuts in proptest::collection::vec(1usize..20, 0..60)) {
            let mut whole = LineFramer::default();
            whole.push(&bytes);
            let expected = drain(&mut whole);
            let mut chopped = LineFramer::default();
            let (mut got, mut rest) = (Vec::new(), &bytes[..]);
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chopped.push(head);
                got.extend(drain(&mut chopped));
                rest = tail;
            }
            chopped.push(rest);
            got.extend(drain(&mut chopped));
            prop_assert_eq!(got, expected);
        }
    }
}
