//! Requests and answers over a WebSocket, one JSON object per text frame: what the ways through
//! other programs' servers have in common.

use futures_util::{SinkExt as _, StreamExt as _};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long a running server may take for one answer; it takes some milliseconds.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of a conversation may take.
pub(super) const END_WITHIN: Duration = Duration::from_secs(2);
/// Most of one frame, in bytes. The answers asked for have some KiB; a list of Cline's sessions,
/// with the system prompt of each, has some hundred.
const FRAME_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TalkError {
    #[error("it cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("its socket: {0}")]
    Socket(Box<tungstenite::Error>),
    #[error("it closed the connection")]
    Closed,
    #[error("it gave no answer in time")]
    Late,
    #[error("it says: {0}")]
    Refused(String),
}

impl From<tungstenite::Error> for TalkError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Waits for a step of a conversation.
pub(super) async fn within<T>(
    time: Duration,
    step: impl Future<Output = Result<T, TalkError>>,
) -> Result<T, TalkError> {
    timeout(time, step).await.unwrap_or(Err(TalkError::Late))
}

/// A WebSocket, with bounds.
#[derive(Debug)]
pub(super) struct WebSocket<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Opens one over a connection that stands.
    pub(super) async fn open(
        request: impl IntoClientRequest + Unpin,
        stream: S,
    ) -> Result<Self, TalkError> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES))
            .max_frame_size(Some(FRAME_BYTES));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self(socket))
    }

    pub(super) async fn send(&mut self, frame: String) -> Result<(), TalkError> {
        Ok(self.0.send(Message::text(frame)).await?)
    }

    /// Returns the next text frame.
    pub(super) async fn next(&mut self) -> Result<String, TalkError> {
        loop {
            match self.0.next().await.ok_or(TalkError::Closed)?? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(_) => return Err(TalkError::Closed),
                _ => {}
            }
        }
    }

    /// Ends it.
    pub(super) async fn close(&mut self) {
        // The other side notices in any case.
        let _ = timeout(END_WITHIN, self.0.close(None)).await;
    }
}
