//! Hub to client: one JSON object per line.
//!
//! Version "5" lines have exactly the reference's keys; version "6" adds keys to the same
//! lines and some lines of its own. Clients in Rust decode with [`HubLine`].

use crate::{DeliveryState, ErrorCode, GroupEntry, MessageKind, MessageTrace, SendStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything a hub writes to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // each variant stands in docs/protocol.md with its keys
pub enum HubLine {
    Pong {
        req_id: String,
    },
    /// The hub's probe: answer with `pong` and the same id.
    Ping {
        req_id: String,
    },
    Ack {
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        me: Option<Me>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    Err {
        code: ErrorCode,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ask_id: Option<String>,
    },
    Peers {
        peers: Vec<PeerInfo>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    RoomsList {
        rooms: Vec<RoomSummary>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    SendAck {
        msg_id: String,
        status: SendStatus,
        /// Version "6".
        #[serde(skip_serializing_if = "Option::is_none", default)]
        state: Option<DeliveryState>,
        /// Version "6": a sentence where the state needs one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        detail: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    InboxResult {
        messages: Vec<InboxEntry>,
        remaining: usize,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    BroadcastAck {
        broadcast_id: String,
        peer_count: usize,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    RoomAck {
        room: String,
        members: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    RoomSendAck {
        room: String,
        delivered_count: usize,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    GroupCreated {
        group: String,
        members: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    GroupAck {
        /// Version "6", on a group send.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        msg_id: Option<String>,
        /// Version "6": live members it was handed to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        delivered_count: Option<usize>,
        /// Version "6": members who find it in the history.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        queued_count: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    GroupMessages {
        group: String,
        messages: Vec<GroupEntry>,
        unread_remaining: usize,
        /// Version "6": how many unread entries had left the history before they were read.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        gap: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    GroupListResult {
        groups: Vec<GroupSummary>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    GroupInfoResult {
        group: String,
        admin: String,
        members: Vec<GroupMemberInfo>,
        unread_count: usize,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    InviteResult {
        /// The text of the ticket: a secret.
        ticket: String,
        /// When it ends, in ms since 1970.
        expires: u64,
        /// This invitation made the mesh.
        created: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    JoinResult {
        /// The inviting hub.
        hub_id: String,
        /// Its PeerId.
        peer_id: String,
        /// This hub is on the roster already.
        admitted: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    /// A hub was revoked.
    HubResult {
        /// The hub that was revoked.
        hub_id: String,
        /// Its PeerId.
        peer_id: String,
        /// How many hubs of the mesh have the new key by now, this one included.
        have: usize,
        /// How many hubs the mesh has.
        hubs: usize,
        /// Those that do not have it yet: they get it when they are back.
        missing: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    /// A step of pairing.
    Pair {
        #[serde(flatten)]
        step: crate::PairStep,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    /// A direct message.
    IncomingMessage {
        #[serde(flatten)]
        received: Received,
        reply_to: Option<String>,
    },
    /// A broadcast question.
    IncomingAsk {
        from: String,
        question: String,
        ask_id: String,
        broadcast_id: String,
        thread_id: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        origin_hub: Option<String>,
        #[serde(flatten)]
        push: Push,
    },
    /// The answer to an ask.
    IncomingReply {
        #[serde(flatten)]
        received: Received,
        ask_id: String,
        broadcast_id: String,
        thread_id: String,
    },
    /// A room message.
    IncomingRoomMsg {
        room: String,
        from: String,
        text: String,
        msg_id: String,
        #[serde(flatten)]
        push: Push,
    },
    /// A group message or a group's system line.
    IncomingGroupMsg {
        group: String,
        #[serde(flatten)]
        received: Received,
    },
    /// Version "6": a notice of the hub itself (for example: unread mail waits).
    Notice {
        msg_id: String,
        text: String,
    },
    /// Version "6": the session's name was taken over because it did not answer a probe.
    Evicted {
        message: String,
    },
    /// Version "6", command line: the answer to `status`.
    StatusResult {
        status: Value,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    /// Version "6", command line: something a status shows has changed.
    StatusChanged,
    /// Version "6", command line: a copy of what came for a watched name.
    Watched {
        name: String,
        kind: MessageKind,
        from: String,
        text: String,
        msg_id: String,
        ts: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ask_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        room: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        group: Option<String>,
    },
    /// Version "6", command line: the answer to `why`.
    WhyResult {
        trace: MessageTrace,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
    /// Version "6", command line: the answer to an import.
    ImportResult {
        taken: usize,
        known: usize,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        req_id: Option<String>,
    },
}

impl HubLine {
    /// Returns the line as bytes, with its newline.
    pub fn encode(&self) -> Vec<u8> {
        // Serialising these plain types into memory cannot fail.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Returns the id of the request this line answers.
    pub fn req_id(&self) -> Option<&str> {
        match self {
            Self::Pong { req_id } => Some(req_id),
            Self::Ack { req_id, .. }
            | Self::Err { req_id, .. }
            | Self::Peers { req_id, .. }
            | Self::RoomsList { req_id, .. }
            | Self::SendAck { req_id, .. }
            | Self::InboxResult { req_id, .. }
            | Self::BroadcastAck { req_id, .. }
            | Self::RoomAck { req_id, .. }
            | Self::RoomSendAck { req_id, .. }
            | Self::GroupCreated { req_id, .. }
            | Self::GroupAck { req_id, .. }
            | Self::GroupMessages { req_id, .. }
            | Self::GroupListResult { req_id, .. }
            | Self::GroupInfoResult { req_id, .. }
            | Self::StatusResult { req_id, .. }
            | Self::WhyResult { req_id, .. }
            | Self::InviteResult { req_id, .. }
            | Self::JoinResult { req_id, .. }
            | Self::HubResult { req_id, .. }
            | Self::Pair { req_id, .. }
            | Self::ImportResult { req_id, .. } => req_id.as_deref(),
            _ => None,
        }
    }
}

/// Version "6": what a registration learns about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The hub's human name.
    pub hub_id: String,
    /// Unread messages in the mailbox.
    pub unread: usize,
}

/// A message as a live session gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The message.
    pub msg_id: String,
    /// The sender, written by the hub.
    pub from: String,
    /// The text, as it was sent.
    pub text: String,
    /// ISO 8601, UTC, milliseconds.
    pub ts: String,
    /// Asks for attention.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub urgent: Option<bool>,
    /// The sender's hub, where that is another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin_hub: Option<String>,
    /// Version "6" keys.
    #[serde(flatten)]
    pub push: Push,
}

/// Version "6": what every push carries besides its reference keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Push {
    /// The line the receiving hub writes about the sender (see [`crate::header_line`]).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub header: Option<String>,
    /// What kind of message it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<MessageKind>,
}

/// One message of an inbox page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// The message.
    pub msg_id: String,
    /// The sender.
    pub from: String,
    /// The text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// ISO 8601, UTC, milliseconds.
    pub ts: String,
    /// Asks for attention.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub urgent: Option<bool>,
    /// Version "6": it was pushed into the session before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pushed: Option<bool>,
    /// Version "6": what it is, unless a plain message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<MessageKind>,
    /// Version "6": the ask it answers or is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ask_id: Option<String>,
    /// Version "6": the group a notice is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
}

/// A peer as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// `name`, or `name@hub`.
    pub name: String,
    /// Its working directory.
    pub cwd: String,
    /// Its git branch.
    pub git_branch: String,
    /// Milliseconds since 1970.
    pub last_seen: u64,
    /// Version "6": which assistant it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// Version "6": its hub's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hub: Option<String>,
    /// Version "6": `idle`, `busy`, `live`, `unresponsive` …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// Version "6": by which push path messages reach it now, `none` where by none; only of
    /// sessions of this hub that say so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub push: Option<String>,
}

/// A room as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room.
    pub name: String,
    /// Who is in it.
    pub members: Vec<String>,
}

/// A group as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// The group.
    pub name: String,
    /// Entries of others past the caller's cursor.
    pub unread_count: usize,
}

/// A group member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemberInfo {
    /// `name`, or `name@hub`.
    pub name: String,
    /// It has a live session.
    pub online: bool,
    /// The caller's own cursor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_read: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_pong_is_exact_to_the_byte() {
        let line = HubLine::Pong {
            req_id: "bootstrap".into(),
        }
        .encode();
        assert_eq!(line, b"{\"type\":\"pong\",\"req_id\":\"bootstrap\"}\n");
    }

    #[test]
    fn a_version_5_message_has_the_reference_keys_only() {
        let line = HubLine::IncomingMessage {
            received: Received {
                msg_id: "m-1".into(),
                from: "a".into(),
                text: "hi".into(),
                ts: "2026-11-22T10:00:00.000Z".into(),
                urgent: None,
                origin_hub: None,
                push: Push::default(),
            },
            reply_to: None,
        };
        let text = String::from_utf8(line.encode()).unwrap();
        assert_eq!(
            text,
            "{\"type\":\"incoming_message\",\"msg_id\":\"m-1\",\"from\":\"a\",\"text\":\"hi\",\"ts\":\"2026-11-22T10:00:00.000Z\",\"reply_to\":null}\n"
        );
        assert_eq!(serde_json::from_str::<HubLine>(&text).unwrap(), line);
    }

    #[test]
    fn a_plain_ack_has_no_other_key() {
        let line = HubLine::Ack {
            me: None,
            name: None,
            req_id: None,
        };
        assert_eq!(line.encode(), b"{\"type\":\"ack\"}\n");
        let back: HubLine = serde_json::from_slice(
            b"{\"type\":\"ack\",\"hub_id\":\"h\",\"unread\":3,\"name\":\"a\",\"req_id\":\"1\"}",
        )
        .unwrap();
        assert!(matches!(
            back,
            HubLine::Ack {
                me: Some(Me { unread: 3, .. }),
                ..
            }
        ));
    }
}
