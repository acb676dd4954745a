//! Cuts a stream of bytes into messages: u32 big endian length, then CBOR.

use ecorelay_protocol::{from_cbor, to_cbor};
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// The length before each message.
const HEAD: usize = 4;
/// Longest message a hub has reason to send: four tokens and a version.
const LONGEST: usize = 1_024;

/// What came of a stream and is no whole message yet.
#[derive(Debug, Default)]
pub(crate) struct Framing(Vec<u8>);

/// The bytes are no message.
#[derive(Debug, thiserror::Error)]
#[error("not a message")]
pub(crate) struct BadMessage;

impl Framing {
    /// Adds bytes that came.
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the next message, if it is whole.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BadMessage> {
        let Some((head, rest)) = self.0.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(BadMessage);
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = from_cbor(message).map_err(|_| BadMessage)?;
        self.0.drain(..HEAD + length);
        Ok(Some(message))
    }

    /// Returns what came behind the last message.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        self.0
    }

    /// Reads more from a stream; returns whether anything came before its end. Nothing is lost
    /// when this is given up. It is to be called when [`Framing::next`] has nothing more.
    pub(crate) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        let mut buffer = [0; LONGEST];
        let length = stream.read(&mut buffer).await?;
        self.push(buffer.get(..length).unwrap_or_default());
        Ok(length > 0)
    }
}

/// Writes a message.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    let message = to_cbor(message);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    stream
        .write_all(&[&length.to_be_bytes(), message.as_slice()].concat())
        .await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use ecorelay_protocol::rendezvous::ToServer;

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let mut framing = Framing::default();
        let mut came = Vec::new();
        let wire: Vec<u8> = (0..5_u64)
            .flat_map(|n| {
                let message = to_cbor(&ToServer::Ping(n));
                let mut wire = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
                wire.extend(message);
                wire
            })
            .collect();
        for byte in wire {
            framing.push(&[byte]);
            came.extend(framing.next::<ToServer>().unwrap());
        }
        assert_eq!(came, [0, 1, 2, 3, 4].map(ToServer::Ping));
    }

    #[test]
    fn nonsense_and_absurd_lengths_are_no_messages() {
        let mut framing = Framing::default();
        framing.push(b"GET / HTTP/1.1\r\n\r\n");
        assert!(framing.next::<ToServer>().is_err());
        let mut framing = Framing::default();
        framing.push(&[0, 0, 0, 3, 1, 2, 3]);
        assert!(framing.next::<ToServer>().is_err());
    }
}
