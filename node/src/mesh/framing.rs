//! Cuts a stream of bytes into frames: u32 big endian length, then CBOR.

use ecorelay_protocol::limits::FRAME_BYTES;
use ecorelay_protocol::link::{Frame, FrameError};

/// The length before each frame.
const HEAD: usize = 4;
/// Memory that is kept between frames; what a large frame needed beyond that is given back.
const KEEP: usize = 64 * 1024;

/// A frame and its bytes on the wire.
pub(super) type Framed = (Result<Frame, FrameError>, usize);

/// What came of a stream and is no whole frame yet. It grows as bytes come, whatever length was
/// announced, and never beyond one frame and what was pushed last.
#[derive(Debug, Default)]
pub(super) struct Framing {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Framing {
    /// Adds bytes that came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next frame, if it is whole. After an error nothing more can be read.
    pub(super) fn next(&mut self) -> Option<Framed> {
        let rest = self.bytes.get(self.at..)?;
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else {
            self.tidy();
            return None;
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES {
            return Some((Err(FrameError::TooLong(length)), HEAD));
        }
        let frame = Frame::decode(rest.get(..length)?);
        self.at += HEAD + length;
        Some((frame, HEAD + length))
    }

    /// Gives memory back that a large frame needed.
    fn tidy(&mut self) {
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
            self.bytes.shrink_to(KEEP);
        }
    }
}

/// Adds a frame with its length. The brain makes no frame longer than [`FRAME_BYTES`].
pub(super) fn frame_to(buffer: &mut Vec<u8>, frame: &[u8]) {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn all(framing: &mut Framing) -> Vec<Result<Frame, FrameError>> {
        std::iter::from_fn(|| framing.next())
            .map(|(frame, _)| frame)
            .take_while(|frame| !matches!(frame, Err(FrameError::TooLong(_))))
            .collect()
    }

    #[test]
    fn an_absurd_length_is_refused_before_its_bytes_come() {
        let mut framing = Framing::default();
        framing.push(&(1_u32 << 30).to_be_bytes());
        let (frame, _) = framing.next().unwrap();
        assert_eq!(frame, Err(FrameError::TooLong(1 << 30)));
        assert!(framing.bytes.capacity() < 1024);
    }

    #[test]
    fn memory_grows_with_what_came_and_is_given_back() {
        let body = Frame::Want(vec![crate::mesh::tests::some_peer(); 70_000]).encode();
        let mut wire = Vec::new();
        frame_to(&mut wire, &body);
        assert!(wire.len() > 3_000_000);
        let mut framing = Framing::default();
        framing.push(&wire[..1000]);
        assert!(framing.next().is_none());
        assert!(framing.bytes.capacity() < 10_000);
        framing.push(&wire[1000..]);
        assert!(framing.next().unwrap().0.is_ok());
        assert!(framing.next().is_none());
        assert!(framing.bytes.capacity() <= KEEP);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            values in proptest::collection::vec(any::<u64>(), 1..40),
            cuts in proptest::collection::vec(1_usize..50, 1..60),
        ) {
            let mut wire = Vec::new();
            for value in &values {
                frame_to(&mut wire, &Frame::Ping(*value).encode());
            }
            let mut framing = Framing::default();
            let mut came = Vec::new();
            let mut rest = wire.as_slice();
            for cut in cuts.iter().cycle() {
                let (chunk, later) = rest.split_at((*cut).min(rest.len()));
                framing.push(chunk);
                came.extend(all(&mut framing));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> = values.iter().map(|value| Ok(Frame::Ping(*value))).collect();
            prop_assert_eq!(came, expected);
        }

        #[test]
        fn any_bytes_in_any_pieces_give_the_same(
            wire in proptest::collection::vec(
                prop_oneof![3 => Just(0_u8), 1 => any::<u8>(), 1 => 0_u8..20], 0..300),
            cut in 1_usize..40,
        ) {
            let mut whole = Framing::default();
            whole.push(&wire);
            let expected = all(&mut whole);
            let mut pieces = Framing::default();
            let mut came = Vec::new();
            for piece in wire.chunks(cut) {
                pieces.push(piece);
                came.extend(all(&mut pieces));
                if matches!(pieces.next(), Some((Err(FrameError::TooLong(_)), _))) {
                    break;
                }
            }
            prop_assert_eq!(came, expected);
        }
    }
}
