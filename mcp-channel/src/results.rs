//! What a tool call gives back: one text with compact JSON, keys in the product's order.

use ecorelay_protocol::{
    DeliveryState, GroupEntry, GroupMemberInfo, GroupSummary, HubLine, InboxEntry, PeerInfo,
    Refusal, RoomSummary, SendStatus,
};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;

/// Every shape of a success.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Success {
    Peers {
        me: String,
        peers: Vec<PeerInfo>,
    },
    Sent {
        ok: bool,
        msg_id: String,
        status: SendStatus,
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<DeliveryState>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Inbox {
        messages: Vec<InboxEntry>,
        remaining: usize,
    },
    Broadcast {
        ok: bool,
        broadcast_id: String,
        peer_count: usize,
    },
    Renamed {
        ok: bool,
        name: String,
    },
    Room {
        ok: bool,
        room: String,
        members: Vec<String>,
    },
    RoomSent {
        ok: bool,
        room: String,
        delivered_count: usize,
    },
    Rooms {
        rooms: Vec<RoomSummary>,
    },
    GroupCreated {
        ok: bool,
        group: String,
        members: Vec<String>,
    },
    GroupDone {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        msg_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        delivered_count: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        queued_count: Option<usize>,
    },
    History {
        ok: bool,
        group: String,
        messages: Vec<GroupEntry>,
        unread_remaining: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        gap: Option<u64>,
    },
    Groups {
        ok: bool,
        groups: Vec<GroupSummary>,
    },
    GroupInfo {
        ok: bool,
        group: String,
        admin: String,
        members: Vec<GroupMemberInfo>,
        unread_count: usize,
    },
    Done {
        ok: bool,
    },
}

impl Success {
    /// Returns the success a hub's answer stands for; `me` is the caller's name. `None` for a
    /// line that answers no tool.
    pub(crate) fn of(line: HubLine, me: &str) -> Option<Self> {
        let ok = true;
        Some(match line {
            HubLine::Peers { peers, .. } => Self::Peers {
                me: me.to_owned(),
                peers,
            },
            HubLine::SendAck {
                msg_id,
                status,
                state,
                detail,
                ..
            } => Self::Sent {
                ok,
                msg_id,
                status,
                state,
                detail,
            },
            HubLine::InboxResult {
                messages,
                remaining,
                ..
            } => Self::Inbox {
                messages,
                remaining,
            },
            HubLine::BroadcastAck {
                broadcast_id,
                peer_count,
                ..
            } => Self::Broadcast {
                ok,
                broadcast_id,
                peer_count,
            },
            HubLine::RoomAck { room, members, .. } => Self::Room { ok, room, members },
            HubLine::RoomSendAck {
                room,
                delivered_count,
                ..
            } => Self::RoomSent {
                ok,
                room,
                delivered_count,
            },
            HubLine::RoomsList { rooms, .. } => Self::Rooms { rooms },
            HubLine::GroupCreated { group, members, .. } => {
                Self::GroupCreated { ok, group, members }
            }
            HubLine::GroupAck {
                msg_id,
                delivered_count,
                queued_count,
                ..
            } => Self::GroupDone {
                ok,
                msg_id,
                delivered_count,
                queued_count,
            },
            HubLine::GroupMessages {
                group,
                messages,
                unread_remaining,
                gap,
                ..
            } => Self::History {
                ok,
                group,
                messages,
                unread_remaining,
                gap,
            },
            HubLine::GroupListResult { groups, .. } => Self::Groups { ok, groups },
            HubLine::GroupInfoResult {
                group,
                admin,
                members,
                unread_count,
                ..
            } => Self::GroupInfo {
                ok,
                group,
                admin,
                members,
                unread_count,
            },
            HubLine::Ack { .. } => Self::Done { ok },
            _ => return None,
        })
    }

    /// Returns the success as MCP carries it.
    pub(crate) fn into_result(self) -> CallToolResult {
        let mut result = CallToolResult::success(vec![content(&self)]);
        // The key stands in failures only.
        result.is_error = None;
        result
    }
}

/// Returns a refusal as MCP carries it.
pub(crate) fn failure(refusal: &Refusal) -> CallToolResult {
    #[derive(Serialize)]
    struct Failure<'a> {
        ok: bool,
        code: &'a str,
        message: &'a str,
    }
    CallToolResult::error(vec![content(&Failure {
        ok: false,
        code: refusal.code.as_str(),
        message: &refusal.message,
    })])
}

fn content(value: &impl Serialize) -> ContentBlock {
    // Serialising these plain types into memory cannot fail.
    ContentBlock::text(serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn text(line: serde_json::Value) -> String {
        let line: HubLine = serde_json::from_value(line).unwrap();
        serde_json::to_string(&Success::of(line, "me-1").unwrap()).unwrap()
    }

    #[test]
    fn keys_stand_in_the_products_order() {
        assert_eq!(
            text(
                json!({"type": "peers", "peers": [{"name": "a", "cwd": "/w", "git_branch": "main", "last_seen": 5, "agent": "codex", "hub": "h", "state": "idle"}]})
            ),
            r#"{"me":"me-1","peers":[{"name":"a","cwd":"/w","git_branch":"main","last_seen":5,"agent":"codex","hub":"h","state":"idle"}]}"#
        );
        assert_eq!(
            text(
                json!({"type": "send_ack", "msg_id": "m-1", "status": "queued", "state": "stored", "detail": "away", "req_id": "c1"})
            ),
            r#"{"ok":true,"msg_id":"m-1","status":"queued","state":"stored","detail":"away"}"#
        );
        assert_eq!(
            text(
                json!({"type": "inbox_result", "messages": [{"msg_id": "m-1", "from": "a", "text": "hi", "reply_to": null, "ts": "t"}], "remaining": 2})
            ),
            r#"{"messages":[{"msg_id":"m-1","from":"a","text":"hi","reply_to":null,"ts":"t"}],"remaining":2}"#
        );
        assert_eq!(text(json!({"type": "group_ack"})), r#"{"ok":true}"#);
        assert_eq!(
            text(
                json!({"type": "group_messages", "group": "g", "messages": [{"id": 1, "from": "a", "text": "t", "ts": "t", "type": "system"}], "unread_remaining": 0})
            ),
            r#"{"ok":true,"group":"g","messages":[{"id":1,"from":"a","text":"t","ts":"t","type":"system"}],"unread_remaining":0}"#
        );
    }

    #[test]
    fn success_has_no_error_key_and_failure_has() {
        let done = serde_json::to_value(Success::Done { ok: true }.into_result()).unwrap();
        assert!(done.get("isError").is_none());
        assert_eq!(done["content"][0]["text"], r#"{"ok":true}"#);
        let failed = serde_json::to_value(failure(&Refusal::bad_args("Say \"who\"."))).unwrap();
        assert_eq!(failed["isError"], true);
        assert_eq!(
            failed["content"][0]["text"],
            r#"{"ok":false,"code":"bad_args","message":"Say \"who\"."}"#
        );
    }
}
