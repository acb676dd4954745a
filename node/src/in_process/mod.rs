//! Sessions of the program that embeds the node. They speak the same lines as all others, so
//! the same rules hold for them; only the socket is left out.

mod link;
pub(crate) mod mesh;
mod presence;

pub use mesh::{Invitation, InviteOptions, Joined};
pub use presence::{Presence, PresenceEvent, Watch};

use crate::events::HubHandle;
use ecorelay_protocol::{
    DeliveryState, GroupEntry, GroupMemberInfo, GroupSummary, HubLine, InboxEntry, PROTOCOL_V6,
    PeerInfo, Refusal, RoomSummary, SendStatus,
};
use link::Link;
use serde_json::{Value, json};

/// What the hub is told of the way a push took.
const PATH: &str = "library";

/// Why a call of a [`Session`] failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The hub refused it and says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node has ended, or another session took the name over.
    #[error("the hub has ended the session. Register again")]
    Ended,
    /// No answer came in time.
    #[error("the hub did not answer within 30 seconds. Try again")]
    TimedOut,
    /// The answer does not fit the question: a bug.
    #[error("the hub gave an answer that does not fit the question")]
    WrongAnswer,
}

/// How a session is to be. Made by [`crate::Node::session`].
#[derive(Debug)]
pub struct SessionBuilder {
    hub: HubHandle,
    name: String,
    agent: Option<String>,
    cwd: String,
    git_branch: String,
    suffix: bool,
}

impl SessionBuilder {
    pub(crate) fn new(hub: HubHandle, name: String) -> Self {
        Self {
            hub,
            name,
            agent: None,
            cwd: String::new(),
            git_branch: String::new(),
            suffix: false,
        }
    }

    /// Says which assistant or program the session is.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Says in which folder the session works.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<String>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Says on which git branch the session works.
    #[must_use]
    pub fn git_branch(mut self, branch: impl Into<String>) -> Self {
        self.git_branch = branch.into();
        self
    }

    /// Takes `name-2`, `name-3` … when a live session has the name.
    #[must_use]
    pub fn or_next_free(mut self) -> Self {
        self.suffix = true;
        self
    }

    /// Registers the session.
    ///
    /// # Errors
    /// `name_taken` and the other refusals of a registration, or [`SessionError::Ended`].
    pub async fn register(self) -> Result<Session, SessionError> {
        let link = Link::open(self.hub).await?;
        let answer = link
            .ask(json!({
                "type": "register",
                "protocol_version": PROTOCOL_V6,
                "name": self.name,
                "cwd": self.cwd,
                "git_branch": self.git_branch,
                "agent": self.agent,
                "suffix": self.suffix,
            }))
            .await?;
        match answer {
            HubLine::Ack { name, .. } => Ok(Session {
                name: name.unwrap_or_else(|| self.name.trim().to_owned()),
                link,
            }),
            _ => Err(SessionError::WrongAnswer),
        }
    }
}

/// What became of a message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub msg_id: String,
    /// Handed over, or waiting.
    pub status: SendStatus,
    /// Where it is.
    pub state: Option<DeliveryState>,
    /// A sentence, where the state needs one.
    pub detail: Option<String>,
}

/// A page of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// Oldest first; they count as read now.
    pub messages: Vec<InboxEntry>,
    /// Unread messages after these.
    pub remaining: usize,
}

/// A page of a group's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Oldest first; they count as read now.
    pub messages: Vec<GroupEntry>,
    /// Unread entries after these.
    pub remaining: usize,
    /// Unread entries that had left the history before.
    pub gap: Option<u64>,
}

/// A group's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// The admin.
    pub admin: String,
    /// The members.
    pub members: Vec<GroupMemberInfo>,
    /// Entries of others that the caller has not read.
    pub unread: usize,
}

/// A registered session of this program. It leaves the hub when it is dropped; its mail stays.
#[derive(Debug)]
pub struct Session {
    name: String,
    link: Link,
}

/// Asks, and takes the answer apart if it is the one that fits.
macro_rules! ask {
    ($self:ident, $request:tt, $answer:pat => $value:expr) => {
        match $self.link.ask(json!($request)).await? {
            $answer => Ok($value),
            _ => Err(SessionError::WrongAnswer),
        }
    };
}

/// Every call waits for the hub's answer and fails with the hub's refusal.
#[allow(clippy::missing_errors_doc)] // said once, above
impl Session {
    /// Returns the session's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a message. When this returns, it is on the disk and will not be lost.
    pub async fn send(&self, to: &str, text: &str) -> Result<Sent, SessionError> {
        self.sent(json!({ "type": "send", "to": to, "text": text }))
            .await
    }

    /// Answers an ask or a message.
    pub async fn reply(&self, id: &str, text: &str) -> Result<Sent, SessionError> {
        self.sent(json!({ "type": "reply", "ask_id": id, "text": text }))
            .await
    }

    async fn sent(&self, request: Value) -> Result<Sent, SessionError> {
        match self.link.ask(request).await? {
            HubLine::SendAck {
                msg_id,
                status,
                state,
                detail,
                ..
            } => Ok(Sent {
                msg_id,
                status,
                state,
                detail,
            }),
            _ => Err(SessionError::WrongAnswer),
        }
    }

    /// Fetches the oldest unread mail, 1 to 100 messages, and marks it as read.
    pub async fn inbox(&self, limit: usize) -> Result<Inbox, SessionError> {
        let page = ask!(self, { "type": "inbox", "limit": limit },
            HubLine::InboxResult { messages, remaining, .. } => Inbox { messages, remaining })?;
        if !page.messages.is_empty() {
            let ids: Vec<&str> = page.messages.iter().map(|m| m.msg_id.as_str()).collect();
            ask!(self, { "type": "read", "msg_ids": ids }, HubLine::Ack { .. } => ())?;
        }
        Ok(page)
    }

    /// Asks every other session; returns the ask's id and how many were asked.
    pub async fn broadcast(&self, question: &str) -> Result<(String, usize), SessionError> {
        ask!(self, { "type": "broadcast", "question": question },
            HubLine::BroadcastAck { broadcast_id, peer_count, .. } => (broadcast_id, peer_count))
    }

    /// Lists the other sessions.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, SessionError> {
        ask!(self, { "type": "list_peers" }, HubLine::Peers { peers, .. } => peers)
    }

    /// Changes the session's name; mail, rooms and groups move along.
    pub async fn rename(&mut self, new_name: &str) -> Result<(), SessionError> {
        let name = ask!(self, { "type": "rename", "new_name": new_name },
            HubLine::Ack { name, .. } => name)?;
        self.name = name.unwrap_or_else(|| new_name.trim().to_owned());
        Ok(())
    }

    /// Joins a room; returns who is in it.
    pub async fn join(&self, room: &str) -> Result<Vec<String>, SessionError> {
        ask!(self, { "type": "join_room", "room": room },
            HubLine::RoomAck { members, .. } => members)
    }

    /// Leaves a room.
    pub async fn leave(&self, room: &str) -> Result<(), SessionError> {
        ask!(self, { "type": "leave_room", "room": room }, HubLine::Ack { .. } => ())
    }

    /// Says something in a room; returns to how many it went.
    pub async fn room(&self, room: &str, text: &str) -> Result<usize, SessionError> {
        ask!(self, { "type": "room_msg", "room": room, "text": text },
            HubLine::RoomSendAck { delivered_count, .. } => delivered_count)
    }

    /// Lists the rooms.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>, SessionError> {
        ask!(self, { "type": "list_rooms" }, HubLine::RoomsList { rooms, .. } => rooms)
    }

    /// Creates a group, with this session as its admin; returns its members.
    pub async fn group_create(
        &self,
        group: &str,
        members: &[&str],
    ) -> Result<Vec<String>, SessionError> {
        ask!(self, { "type": "group_create", "name": group, "members": members },
            HubLine::GroupCreated { members, .. } => members)
    }

    /// Invites a peer into a group.
    pub async fn group_invite(&self, group: &str, peer: &str) -> Result<(), SessionError> {
        ask!(self, { "type": "group_invite", "group": group, "peer": peer },
            HubLine::GroupAck { .. } => ())
    }

    /// Removes a peer from a group; the reason goes into the history.
    pub async fn group_remove(
        &self,
        group: &str,
        peer: &str,
        reason: &str,
    ) -> Result<(), SessionError> {
        ask!(self, { "type": "group_remove", "group": group, "peer": peer, "reason": reason },
            HubLine::GroupAck { .. } => ())
    }

    /// Leaves a group.
    pub async fn group_leave(&self, group: &str) -> Result<(), SessionError> {
        ask!(self, { "type": "group_leave", "group": group }, HubLine::GroupAck { .. } => ())
    }

    /// Writes to a group; returns the message's id.
    pub async fn group_send(&self, group: &str, text: &str) -> Result<String, SessionError> {
        ask!(self, { "type": "group_send", "group": group, "text": text },
            HubLine::GroupAck { msg_id: Some(msg_id), .. } => msg_id)
    }

    /// Reads on in a group's history, at most `limit` entries (1 to 500).
    pub async fn group_history(&self, group: &str, limit: usize) -> Result<History, SessionError> {
        ask!(self, { "type": "group_history", "group": group, "limit": limit },
        HubLine::GroupMessages { messages, unread_remaining, gap, .. } => History {
            messages,
            remaining: unread_remaining,
            gap,
        })
    }

    /// Lists the session's groups.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, SessionError> {
        ask!(self, { "type": "group_list" }, HubLine::GroupListResult { groups, .. } => groups)
    }

    /// Returns who is in a group.
    pub async fn group_info(&self, group: &str) -> Result<GroupInfo, SessionError> {
        ask!(self, { "type": "group_info", "group": group },
        HubLine::GroupInfoResult { admin, members, unread_count, .. } => GroupInfo {
            admin,
            members,
            unread: unread_count,
        })
    }

    /// Deletes a group.
    pub async fn group_delete(&self, group: &str) -> Result<(), SessionError> {
        ask!(self, { "type": "group_delete", "group": group }, HubLine::GroupAck { .. } => ())
    }

    /// Waits for the next push (a message, an ask, a room or group message …) and confirms it:
    /// its sender is told `delivered`. Returns `None` when the session has ended.
    ///
    /// At most 1,024 pushes wait; what comes on top stays in the mailbox, for [`Session::inbox`].
    pub async fn next_push(&self) -> Option<HubLine> {
        let push = self.link.next_push().await?;
        if let Some(id) = push_id(&push) {
            let confirmation = json!({
                "type": "pushed", "msg_ids": [id], "result": "handed", "path": PATH,
            });
            let _ = self.link.tell(confirmation).await;
        }
        Some(push)
    }
}

/// Returns the id under which a push is confirmed.
fn push_id(push: &HubLine) -> Option<&str> {
    match push {
        HubLine::IncomingMessage { received, .. }
        | HubLine::IncomingReply { received, .. }
        | HubLine::IncomingGroupMsg { received, .. } => Some(&received.msg_id),
        HubLine::IncomingRoomMsg { msg_id, .. } | HubLine::Notice { msg_id, .. } => Some(msg_id),
        HubLine::IncomingAsk { ask_id, .. } => Some(ask_id),
        _ => None,
    }
}

/// Returns the status document of a hub.
pub(crate) async fn status(hub: HubHandle) -> Result<Value, SessionError> {
    match Link::open(hub)
        .await?
        .ask(json!({ "type": "status" }))
        .await?
    {
        HubLine::StatusResult { status, .. } => Ok(status),
        _ => Err(SessionError::WrongAnswer),
    }
}
