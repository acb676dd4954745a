//! The connection to the hub: the only file that knows the channel's client library.

use crate::error::{CliError, as_sentence};
use ecorelay_config::DataDir;
use ecorelay_mcp_channel::client::{
    ClientError, ConnectError, HubClient, Pushes, StartHub, connect,
};
use ecorelay_protocol::HubLine;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the hub may take to read the last lines of a connection.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// How long a hub that is started lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It ends by itself after the last session.
    WhileNeeded,
    /// It stays until it is stopped.
    ToStay,
}

/// A connection to the hub.
#[derive(Debug)]
pub(crate) struct Hub {
    client: HubClient,
    pushes: Pushes,
}

impl Hub {
    /// Returns a connection to the hub of this data directory, which is started if none runs.
    pub(crate) async fn connect(dir: &DataDir, start: Start) -> Result<Self, CliError> {
        let how = match start {
            Start::WhileNeeded => StartHub::default(),
            Start::ToStay => {
                let args = ["node", "run", "--detached"].map(Into::into).to_vec();
                StartHub {
                    args,
                    ..StartHub::default()
                }
            }
        };
        let (client, pushes) = HubClient::connect_or_start(dir, &how).await?;
        Ok(Self { client, pushes })
    }

    /// Returns a connection to the running hub of this data directory, or `None` when nothing
    /// listens there.
    pub(crate) async fn running(dir: &DataDir) -> Result<Option<Self>, CliError> {
        match connect(dir).await {
            Ok(stream) => {
                let (client, pushes) = HubClient::over(stream);
                Ok(Some(Self { client, pushes }))
            }
            Err(ConnectError::NoHub { .. }) => Ok(None),
            Err(error) => Err(CliError::no_hub(format!(
                "The hub cannot be reached: {error}."
            ))),
        }
    }

    /// Asks the hub and returns its answer; a refusal is an error.
    pub(crate) async fn ask(&mut self, request: Value) -> Result<HubLine, CliError> {
        Ok(self.client.request(&request).await?)
    }

    /// Like [`Hub::ask`]; `None` when the connection ended before the answer came.
    pub(crate) async fn ask_unless_lost(
        &mut self,
        request: &Value,
    ) -> Result<Option<HubLine>, CliError> {
        match self.client.request(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::Lost { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request that is answered step by step, by lines that come by themselves, and
    /// returns what waits for its refusal: `None` when there was none within `within`.
    pub(crate) fn begin(
        &self,
        request: Value,
        within: Duration,
    ) -> impl Future<Output = Option<CliError>> + use<> {
        let client = self.client.clone();
        async move {
            match client.request_within(&request, within).await {
                Ok(_) | Err(ClientError::NoAnswer(_)) => None,
                Err(error) => Some(error.into()),
            }
        }
    }

    /// Closes the connection: the hub ends what was under way on it.
    pub(crate) async fn close(self) {
        self.client.close().await;
        self.client.closed().await;
    }

    /// Sends a line that has no answer.
    pub(crate) async fn tell(&mut self, line: Value) -> Result<(), CliError> {
        Ok(self.client.tell(&line).await?)
    }

    /// Returns the next line that answers no request; `None` when the connection is over.
    pub(crate) async fn next_push(&mut self) -> Option<HubLine> {
        self.pushes.next().await
    }

    /// Returns once the hub has read everything it was told.
    pub(crate) async fn finish(self) {
        let ping = json!({"type": "ping"});
        // A hub that is gone has nothing left to read.
        let _ = self.client.request_within(&ping, LAST_LINES_WITHIN).await;
    }

    /// Returns once the connection has ended.
    pub(crate) async fn closed(&self) {
        self.client.closed().await;
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::Lost { sent: true } => Self::no_hub(error.to_string())
                .hint("It may have been done: look with `ecorelay node status`."),
            ClientError::Lost { sent: false } => {
                Self::no_hub(error.to_string()).hint("Run the command again.")
            }
            ClientError::NoAnswer(_) => {
                Self::no_hub(error.to_string()).hint("`ecorelay doctor` finds out why.")
            }
            ClientError::HubUnreachable(text) | ClientError::HubCannotStart(text) => {
                let text = ecorelay_protocol::visible(&text);
                Self::no_hub(as_sentence(text.trim().trim_end_matches('.')))
            }
        }
    }
}
