//! Brings what arrives from the hub into the live session, over the session's one push path,
//! and tells the hub what became of each message: handed, refused or unknown.

use crate::content;
use crate::link::Link;
use crate::remembered::Remembered;
use ecorelay_adapters::claude_code::{SessionFile, inbox_lines};
use ecorelay_adapters::{
    Assistant, Batch, ChannelNotifications, Offer, Parcel, PushChoice, PushItem, PushPath,
    Surroundings,
};
use ecorelay_protocol::{HubLine, PushResult};
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use rmcp::model::{CustomNotification, ServerNotification};
use rmcp::service::{Peer, RoleServer};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The notification a channel client knows.
const METHOD: &str = "notifications/claude/channel";
/// Arrivals that wait for the pusher; more wait with the connection, which is bounded as well.
pub(crate) const ARRIVALS: usize = 16;
/// How long one write to the inbox socket may take. The sender's hub waits 400 ms for a
/// confirmation.
const INBOX_WITHIN: Duration = Duration::from_millis(300);
/// How long a client may take to read a notification from its pipe.
const NOTIFY_WITHIN: Duration = Duration::from_secs(2);

/// Something to bring into the session.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A line of the hub.
    Line(Box<HubLine>),
    /// A notice of this channel.
    Notice(String),
}

/// The client, once it said that it is initialized: nothing may be sent to it before.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) peer: Peer<RoleServer>,
    pub(crate) assistant: &'static Assistant,
}

/// What a push path says, and why.
type Verdict = (PushResult, Option<String>);

/// The task that pushes.
#[derive(Debug)]
pub(crate) struct Pusher {
    link: Link,
    around: Surroundings,
    /// What became of what was shown; what was refused may come again.
    shown: Remembered<Verdict>,
    batch: Batch,
    /// Why there is no path, where there is none.
    no_path: &'static str,
}

impl Pusher {
    pub(crate) fn new(link: Link, around: Surroundings) -> Self {
        Self {
            link,
            around,
            shown: Remembered::default(),
            batch: Batch::default(),
            no_path: "this client takes no notifications; the message is in the inbox",
        }
    }

    /// Pushes for as long as this process lives.
    pub(crate) async fn run(
        mut self,
        choice: PushChoice,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut ready: watch::Receiver<Option<Ready>>,
    ) {
        let Ok(Some(client)) = ready.wait_for(Option::is_some).await.map(|r| r.clone()) else {
            return;
        };
        let path = choice.path(client.assistant, &self.around);
        if choice == PushChoice::Only(PushPath::None) {
            self.no_path = "pushing is switched off here; the message is in the inbox";
        }
        loop {
            let due = self.batch.due(std::time::Instant::now());
            tokio::select! {
                arrival = arrivals.recv() => {
                    let Some(arrival) = arrival else { return };
                    self.on_arrival(arrival, path, &client).await;
                }
                () = sleep_until(due.map_or_else(Instant::now, Instant::from_std)), if due.is_some() => {
                    if let Some(parcel) = self.batch.take(std::time::Instant::now()) {
                        self.write(parcel).await;
                    }
                }
            }
        }
    }

    async fn on_arrival(&mut self, arrival: Arrival, path: PushPath, client: &Ready) {
        let item = match arrival {
            Arrival::Line(line) => content::push_item(*line),
            Arrival::Notice(text) => {
                let id = format!("notice-{}", uuid::Uuid::new_v4());
                Some(content::notice(id, text))
            }
        };
        let Some(item) = item else { return };
        if let Some(verdict) = self.shown.get(&item.id).cloned() {
            // The hub asks again because it did not get the confirmation.
            return self.confirm(&[item.id], path, verdict).await;
        }
        let id = item.id.clone();
        let verdict = match path {
            PushPath::None => (PushResult::Refused, Some(self.no_path.into())),
            PushPath::Channel => notify(item, client).await,
            PushPath::InboxSocket => {
                if self.batch.holds(&id) || self.batch.offer(item) == Offer::Waits {
                    return;
                }
                (PushResult::Refused, Some("batched; in the inbox".into()))
            }
        };
        self.conclude(vec![id], path, verdict).await;
    }

    /// Writes a text to the inbox socket; on failure once more to where the session file says
    /// the socket is now.
    async fn write(&mut self, parcel: Parcel) {
        let lines = inbox_lines(self.around.inbox_token.as_deref(), &parcel.text);
        let first = match &self.around.inbox_socket {
            Some(path) => write_to_inbox(path, &lines).await,
            None => Err("no inbox socket is known".into()),
        };
        let result = match first {
            Ok(()) => Ok(()),
            Err(why) => match SessionFile::read(&self.around).inbox_socket {
                None => Err(why),
                Some(path) => {
                    let second = write_to_inbox(&path, &lines).await;
                    if second.is_ok() {
                        self.around.inbox_socket = Some(path);
                    }
                    second
                }
            },
        };
        let verdict = match result {
            Ok(()) => (PushResult::Handed, None),
            Err(why) => (PushResult::Refused, Some(why)),
        };
        self.conclude(parcel.ids, PushPath::InboxSocket, verdict)
            .await;
    }

    /// Remembers what became of messages and tells the hub.
    async fn conclude(&mut self, ids: Vec<String>, path: PushPath, verdict: Verdict) {
        if verdict.0 != PushResult::Refused {
            for id in &ids {
                self.shown.insert(id, verdict.clone());
            }
        }
        self.confirm(&ids, path, verdict).await;
    }

    async fn confirm(&self, ids: &[String], path: PushPath, (result, detail): Verdict) {
        let mut line = json!({
            "type": "pushed", "msg_ids": ids,
            "result": result.as_str(), "path": path.as_str(),
        });
        if let Some(detail) = detail {
            line["detail"] = detail.into();
        }
        self.link.tell(&line).await;
    }
}

/// Sends a channel notification.
async fn notify(item: PushItem, client: &Ready) -> Verdict {
    let content = item.content();
    let meta: Map<String, Value> = item
        .meta
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let params = json!({"content": content, "meta": meta});
    let notification =
        ServerNotification::CustomNotification(CustomNotification::new(METHOD, Some(params)));
    match timeout(NOTIFY_WITHIN, client.peer.send_notification(notification)).await {
        Err(_) => (
            PushResult::Unknown,
            Some("the client has not read the notification yet".into()),
        ),
        Ok(Err(error)) => (
            PushResult::Refused,
            Some(format!("the client is gone: {error}")),
        ),
        Ok(Ok(())) => match client.assistant.notifications {
            ChannelNotifications::Shown => (PushResult::Handed, None),
            ChannelNotifications::MayBeDropped { detail } => {
                (PushResult::Unknown, Some(detail.into()))
            }
            ChannelNotifications::Ignored => (
                PushResult::Unknown,
                Some("this client is not known to show notifications".into()),
            ),
        },
    }
}

/// Writes lines to an inbox socket, on a connection of their own. There is no answer.
async fn write_to_inbox(path: &Path, lines: &[u8]) -> Result<(), String> {
    let write = async {
        let name = path.to_fs_name::<GenericFilePath>()?;
        let mut stream = interprocess::local_socket::tokio::Stream::connect(name).await?;
        stream.write_all(lines).await
    };
    match timeout(INBOX_WITHIN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the session's inbox socket: {error}")),
        Err(_) => Err("the session's inbox socket takes nothing at the moment".into()),
    }
}
