//! Messages on a stream.

use super::soon;
use ecorelay_protocol::{from_cbor, to_cbor};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// Writes a message.
pub async fn say(stream: &mut Stream, message: &impl Serialize) -> io::Result<()> {
    let message = to_cbor(message);
    let length = u32::try_from(message.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&message).await?;
    stream.flush().await
}

/// Reads a message.
pub async fn hear<T: DeserializeOwned>(stream: &mut Stream) -> io::Result<T> {
    soon("a message", async {
        let mut length = [0; 4];
        stream.read_exact(&mut length).await?;
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut message).await?;
        from_cbor(&message).map_err(io::Error::other)
    })
    .await
}

/// Waits for the end of a stream.
pub async fn end(stream: &mut Stream) {
    soon("the end of a stream", async {
        let mut buffer = [0; 1024];
        while stream
            .read(&mut buffer)
            .await
            .is_ok_and(|length| length > 0)
        {}
    })
    .await;
}
