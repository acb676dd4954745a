//! Circuits through a server, libp2p's circuit relay v2: a place at the server, a circuit to a hub
//! that has one, and a circuit that comes in. Source: libp2p specs, relay/circuit-v2.
//!
//! A message is a varint length and a protobuf. What a server says of addresses and limits is not
//! looked at.

use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::swarm::StreamProtocol;
use prost::Message;
use std::io;

/// A hub asks a server.
pub(super) const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");
/// A server brings another hub.
pub(super) const STOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/stop");

/// Longest message, in bytes. Source: the specification.
const MESSAGE_BYTES: usize = 4_096;

const RESERVE: i32 = 0;
const HOP_CONNECT: i32 = 1;
const HOP_STATUS: i32 = 2;
const STOP_CONNECT: i32 = 0;
const STOP_STATUS: i32 = 1;
const OK: i32 = 100;

/// Why there is no circuit, or no place.
#[derive(Debug, thiserror::Error)]
pub(in crate::mesh) enum CircuitError {
    /// The server says no.
    #[error("{}", reason(*.0))]
    Refused(i32),
    /// The server says something else than it should.
    #[error("the server breaks the protocol of circuits")]
    Broken,
    /// The stream has failed.
    #[error("the server does not answer: {0}")]
    Io(#[from] io::Error),
    /// There is no stream.
    #[error("{0}")]
    NoStream(#[from] super::streams::OpenError),
}

/// Returns what a server's refusal means.
fn reason(status: i32) -> String {
    let known = match status {
        200 => "the server gives this hub no place",
        201 => "the server is full",
        202 => "the server does not allow it",
        203 => "the server cannot reach the other hub",
        204 => "the other hub has no place at the server",
        400 | 401 => "the server does not understand this hub",
        other => return format!("the server refuses, with code {other}"),
    };
    known.into()
}

#[derive(Clone, PartialEq, Message)]
struct Hop {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    peer: Option<Peer>,
    #[prost(message, optional, tag = "3")]
    reservation: Option<Reservation>,
    #[prost(int32, optional, tag = "5")]
    status: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Stop {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    peer: Option<Peer>,
    #[prost(int32, optional, tag = "4")]
    status: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(bytes = "vec", optional, tag = "1")]
    id: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Reservation {
    /// In seconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    expire: Option<u64>,
}

/// Asks for a place; returns until when it is good, in seconds since 1970 by the server's clock.
pub(super) async fn reserve<S>(stream: &mut S) -> Result<u64, CircuitError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let question = Hop {
        kind: Some(RESERVE),
        ..Hop::default()
    };
    write(stream, &question).await?;
    let answer: Hop = read(stream).await?;
    let status = hop_status(&answer)?;
    if status != OK {
        return Err(CircuitError::Refused(status));
    }
    let until = answer.reservation.and_then(|place| place.expire);
    until.ok_or(CircuitError::Broken)
}

/// Asks for a circuit to a hub; from then on every byte is that hub's.
pub(super) async fn connect<S>(stream: &mut S, hub: PeerId) -> Result<(), CircuitError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let question = Hop {
        kind: Some(HOP_CONNECT),
        peer: Some(Peer {
            id: Some(hub.to_bytes()),
        }),
        ..Hop::default()
    };
    write(stream, &question).await?;
    let answer: Hop = read(stream).await?;
    match hop_status(&answer)? {
        OK => Ok(()),
        status => Err(CircuitError::Refused(status)),
    }
}

/// Accepts a circuit; from then on every byte is the other hub's. Who that is must be proven
/// there: what the server says of it is nothing.
pub(super) async fn accept<S>(stream: &mut S) -> Result<(), CircuitError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let question: Stop = read(stream).await?;
    if question.kind != Some(STOP_CONNECT) || question.peer.is_none() {
        return Err(CircuitError::Broken);
    }
    let answer = Stop {
        kind: Some(STOP_STATUS),
        status: Some(OK),
        ..Stop::default()
    };
    write(stream, &answer).await?;
    Ok(())
}

fn hop_status(answer: &Hop) -> Result<i32, CircuitError> {
    match (answer.kind, answer.status) {
        (Some(HOP_STATUS), Some(status)) => Ok(status),
        _ => Err(CircuitError::Broken),
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    stream
        .write_all(&message.encode_length_delimited_to_vec())
        .await?;
    stream.flush().await
}

/// Reads one message and no byte more: what follows may be a circuit's.
async fn read<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<M, CircuitError> {
    let mut length = 0;
    for shift in [0, 7] {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        let [byte] = byte;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            if length > MESSAGE_BYTES {
                break;
            }
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await?;
            return M::decode(bytes.as_slice()).map_err(|_| CircuitError::Broken);
        }
    }
    Err(CircuitError::Broken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use futures_util::io::Cursor;
    use proptest::prelude::*;

    /// A server that says this, whatever it is asked.
    fn saying(bytes: &[u8]) -> Duplex {
        Duplex(Cursor::new(bytes.to_vec()))
    }

    struct Duplex(Cursor<Vec<u8>>);

    impl AsyncRead for Duplex {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Duplex {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_circuit_begins_right_behind_the_answer() {
        let answer = Hop {
            kind: Some(HOP_STATUS),
            status: Some(OK),
            reservation: Some(Reservation {
                expire: Some(u64::MAX),
            }),
            ..Hop::default()
        };
        let mut bytes = answer.encode_length_delimited_to_vec();
        bytes.extend_from_slice(b"rest");
        let mut stream = saying(&bytes);
        connect(&mut stream, PeerId::random()).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(reserve(&mut saying(&bytes)).await.unwrap(), u64::MAX);
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let answer = Hop {
            kind: Some(HOP_STATUS),
            status: Some(204),
            ..Hop::default()
        };
        let bytes = answer.encode_length_delimited_to_vec();
        let error = connect(&mut saying(&bytes), PeerId::random())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the other hub has no place at the server"
        );
        let error = reserve(&mut saying(&[0x80, 0x80, 0x80])).await.unwrap_err();
        assert!(matches!(error, CircuitError::Broken));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let _ = reserve(&mut saying(&bytes)).await;
                let _ = connect(&mut saying(&bytes), PeerId::random()).await;
                let _ = accept(&mut saying(&bytes)).await;
            });
        }
    }
}
