//! Messages on a stream of bytes: u32 big-endian length, then CBOR. Every length is bounded before
//! a byte of the message is read, and memory grows only with what came.

use ecorelay_protocol::CborError;
use ecorelay_protocol::pairing::{Clear, PairingRefuse};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Anything a conversation can be held over.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Why a conversation is over before it was sealed, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TalkError {
    /// The stream failed, or ended within a message.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The stream ended between two messages.
    #[error("the other side hung up")]
    HungUp,
    /// A step took too long.
    #[error("the other side did not answer in time")]
    TimedOut,
    /// A message is longer than it may be.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// Bytes that are no message.
    #[error("a message that is {0}")]
    Invalid(#[from] CborError),
    /// A message that may not be said now.
    #[error("a message out of its place")]
    OutOfPlace,
    /// What was said cannot be opened: it was changed, repeated, or in another order.
    #[error("a sealed message that was tampered with")]
    Tampered,
    /// The secrets differ.
    #[error("the other side has another secret")]
    WrongSecret,
    /// The signature is not that of the key that was named.
    #[error("the other side did not prove its key")]
    Unproven,
    /// Another hub than the one that should be there.
    #[error("another hub is there")]
    WrongPeer,
    /// This hub talks to itself.
    #[error("that is this hub itself")]
    Own,
    /// The other side said no. Its message is foreign text.
    #[error("refused: {:?}", .0.code)]
    Refused(PairingRefuse),
    /// This side said no.
    #[error("refused here: {:?}", .0.code)]
    RefusedHere(PairingRefuse),
}

/// Returns the bytes of the next message.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> Result<Vec<u8>, TalkError> {
    let mut head = [0; 4];
    let first = stream.read(&mut head).await?;
    if first == 0 {
        return Err(TalkError::HungUp);
    }
    stream.read_exact(&mut head[first..]).await?;
    let length = u32::from_be_bytes(head);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > most {
        return Err(TalkError::TooLong(bytes));
    }
    let mut message = Vec::new();
    stream
        .take(u64::from(length))
        .read_to_end(&mut message)
        .await?;
    if message.len() < bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(message)
}

/// Adds a message with its length.
pub(super) fn frame_to(buffer: &mut Vec<u8>, message: &[u8]) {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(message);
}

/// Writes messages, all of them in one go.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    messages: &[Clear],
) -> Result<(), TalkError> {
    let mut bytes = Vec::new();
    for message in messages {
        frame_to(&mut bytes, &ecorelay_protocol::to_cbor(message));
    }
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn read_all(mut bytes: &[u8], most: usize) -> Result<Vec<u8>, TalkError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(read(&mut bytes, most))
    }

    #[test]
    fn an_absurd_length_is_refused_before_its_bytes_come() {
        for greeting in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01",
            b"\x13/multi",
        ] {
            let error = read_all(greeting, 4096).unwrap_err();
            assert!(matches!(error, TalkError::TooLong(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = read_all(&bytes, 32) {
                prop_assert!(message.len() <= 32);
                prop_assert_eq!(&bytes[4..4 + message.len()], &message[..]);
                let _ = ecorelay_protocol::from_cbor::<Clear>(&message);
            }
        }

        #[test]
        fn a_message_comes_back_whole(message in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = Vec::new();
            frame_to(&mut bytes, &message);
            prop_assert_eq!(read_all(&bytes, 64).unwrap(), message);
        }
    }
}
