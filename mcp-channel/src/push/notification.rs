//! `notifications/claude/channel`: each message by itself, with its meta values.

use super::{Ready, Verdict};
use ecorelay_adapters::{ChannelNotifications, Parcel, PushItem};
use rmcp::model::{CustomNotification, ServerNotification};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// The notification a channel client knows.
const METHOD: &str = "notifications/claude/channel";
/// How long a client may take to read a notification from its pipe.
const WITHIN: Duration = Duration::from_secs(2);

/// The way over the client's own connection.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    client: Ready,
}

impl Notification {
    pub(crate) fn new(client: Ready) -> Self {
        Self { client }
    }

    /// Sends one message.
    pub(crate) async fn send(&self, item: PushItem) -> Verdict {
        let content = item.content();
        let meta = item.meta.into_iter();
        let meta = meta.map(|(key, value)| (key.to_owned(), value.into()));
        self.notify(content, meta.collect()).await
    }

    /// Sends a text of several messages, which waited for another path in vain.
    pub(crate) async fn deliver(&self, parcel: &Parcel) -> Verdict {
        let meta = json!({"msg_id": parcel.ids.join(" "), "kind": "message"});
        let meta = meta.as_object().cloned().unwrap_or_default();
        self.notify(parcel.text.clone(), meta).await
    }

    async fn notify(&self, content: String, meta: Map<String, Value>) -> Verdict {
        let params = json!({"content": content, "meta": meta});
        let notification =
            ServerNotification::CustomNotification(CustomNotification::new(METHOD, Some(params)));
        match timeout(WITHIN, self.client.peer.send_notification(notification)).await {
            Err(_) => Verdict::unknown("the client has not read the notification yet"),
            Ok(Err(error)) => Verdict::refused(format!("the client is gone: {error}")),
            Ok(Ok(())) => match self.client.assistant.notifications {
                ChannelNotifications::Shown => Verdict::handed(),
                ChannelNotifications::MayBeDropped { detail } => Verdict::unknown(detail),
                ChannelNotifications::Ignored => {
                    Verdict::unknown("this client is not known to show notifications")
                }
            },
        }
    }
}
