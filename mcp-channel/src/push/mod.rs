//! The ways into a live session: one small file per path, each with
//! `deliver(&mut self, &Parcel) -> Verdict`.
//!
//! Types to know: [`Verdict`] (what became of a text), [`About`] (what a path may know of its
//! session), [`Paths`] (those that the channel goes by itself) and [`Attachment`] (whoever has
//! come to the channel to take texts). [`pusher::Pusher`] chooses among them.

mod agent_api;
mod attached;
mod cline_hub;
mod codex;
mod inbox_socket;
mod notification;
pub(crate) mod pusher;
mod routes;
mod talk;
mod way;

pub(crate) use attached::{Attachment, Handover};
pub(crate) use codex::read_thread;
pub(crate) use way::Way;

use ecorelay_adapters::{Assistant, Parcel, PushPath, Surroundings};
use ecorelay_config::DataDir;
use ecorelay_protocol::PushResult;
use rmcp::service::{Peer, RoleServer};
use tokio::sync::watch;

/// What became of a text, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) result: PushResult,
    pub(crate) detail: Option<String>,
}

impl Verdict {
    /// It is in the session.
    pub(crate) fn handed() -> Self {
        Self {
            result: PushResult::Handed,
            detail: None,
        }
    }

    /// It is certainly not in the session; another path may be tried.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self {
            result: PushResult::Refused,
            detail: Some(why.into()),
        }
    }

    /// Nobody knows; it is not tried again, so that nothing is shown twice.
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self {
            result: PushResult::Unknown,
            detail: Some(why.into()),
        }
    }
}

/// The client, once it said that it is initialized: nothing may be sent to it before.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) peer: Peer<RoleServer>,
    pub(crate) assistant: &'static Assistant,
}

/// What a path may know of its session.
#[derive(Debug, Clone)]
#[allow(dead_code)] // each path reads its own part
pub(crate) struct About {
    /// What stands around the channel's process.
    pub(crate) around: Surroundings,
    /// The data directory, where there is one.
    pub(crate) dir: Option<DataDir>,
    /// The assistant's own id of the session (Codex: the thread's), once it is known.
    pub(crate) session: watch::Receiver<Option<String>>,
    /// The client.
    pub(crate) client: Ready,
}

/// The paths that the channel goes by itself.
#[derive(Debug)]
pub(crate) struct Paths {
    inbox_socket: inbox_socket::InboxSocket,
    notification: notification::Notification,
    codex: codex::CodexPath,
    cline_hub: cline_hub::ClineHubPath,
    agent_api: agent_api::AgentApiPath,
}

impl Paths {
    pub(crate) fn new(about: &About) -> Self {
        Self {
            inbox_socket: inbox_socket::InboxSocket::new(about.clone()),
            notification: notification::Notification::new(about.client.clone()),
            codex: codex::CodexPath::new(about.clone()),
            cline_hub: cline_hub::ClineHubPath::new(about.clone()),
            agent_api: agent_api::AgentApiPath::new(about.clone()),
        }
    }

    /// Returns why `path` is not there now, as far as that is seen without sending anything.
    pub(crate) fn hindrance(&self, path: PushPath) -> Option<String> {
        match path {
            PushPath::InboxSocket => self.inbox_socket.hindrance(),
            PushPath::AppServer => self.codex.app_server_hindrance(),
            PushPath::Queue => self.codex.queue_hindrance(),
            PushPath::ClineHub => self.cline_hub.hindrance(),
            _ => None,
        }
    }

    /// Brings a text into the session by `path`.
    pub(crate) async fn deliver(&mut self, path: PushPath, parcel: &Parcel) -> Verdict {
        match path {
            PushPath::InboxSocket => self.inbox_socket.deliver(parcel).await,
            PushPath::Channel => self.notification.deliver(parcel).await,
            PushPath::AppServer => self.codex.deliver_to_app_server(parcel).await,
            PushPath::Queue => self.codex.deliver_to_queue(parcel).await,
            PushPath::ClineHub => self.cline_hub.deliver(parcel).await,
            PushPath::AgentApi => self.agent_api.deliver(parcel).await,
            PushPath::Plugin
            | PushPath::Hook
            | PushPath::Wait
            | PushPath::Terminal
            | PushPath::None => Verdict::refused("nothing can be pushed here"),
        }
    }
}

/// A text to push, for the tests of the paths.
#[cfg(test)]
mod test_parcel {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use ecorelay_adapters::{Batch, Parcel, PushItem};
    use ecorelay_protocol::MessageKind;

    pub(super) fn parcel() -> Parcel {
        let mut batch = Batch::default();
        batch.offer(PushItem {
            id: "m-1".into(),
            kind: MessageKind::Message,
            place: None,
            header: "[ecorelay] message from bob".into(),
            body: "hello".into(),
            meta: Vec::new(),
        });
        batch.take(std::time::Instant::now()).unwrap()
    }
}
