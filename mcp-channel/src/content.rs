//! From a line of the hub to what is pushed: the text a model sees, and the notification's
//! meta values, all strings.

use ecorelay_adapters::PushItem;
use ecorelay_protocol::{HubLine, MessageKind, Push, Received, header_line, visible};

/// Returns what a line of the hub pushes, `None` for a line that pushes nothing.
pub(crate) fn push_item(line: HubLine) -> Option<PushItem> {
    Some(match line {
        HubLine::IncomingMessage { received, reply_to } => {
            let mut meta = Meta::of(&received);
            meta.add("reply_to", reply_to.as_deref());
            meta.item(MessageKind::Message, None, received)
        }
        HubLine::IncomingReply {
            received,
            ask_id,
            broadcast_id,
            thread_id,
        } => {
            let mut meta = Meta::of(&received);
            meta.add("ask_id", Some(&ask_id));
            meta.add("broadcast_id", Some(&broadcast_id));
            meta.add("thread_id", Some(&thread_id));
            meta.item(MessageKind::Reply, None, received)
        }
        HubLine::IncomingGroupMsg { group, received } => {
            let mut meta = Meta::of(&received);
            meta.add("group", Some(&group));
            meta.item(MessageKind::Group, Some(group), received)
        }
        HubLine::IncomingAsk {
            from,
            question,
            ask_id,
            broadcast_id,
            thread_id,
            origin_hub,
            push,
        } => {
            let mut meta = Meta::from_whom(&from, origin_hub.as_deref());
            meta.add("ask_id", Some(&ask_id));
            meta.add("broadcast_id", Some(&broadcast_id));
            meta.add("thread_id", Some(&thread_id));
            let header = header(push, MessageKind::Ask, &from, None, &ask_id, false);
            meta.finish(header, None, ask_id, question)
        }
        HubLine::IncomingRoomMsg {
            room,
            from,
            text,
            msg_id,
            push,
        } => {
            let mut meta = Meta::from_whom(&from, None);
            meta.add("msg_id", Some(&msg_id));
            meta.add("room", Some(&room));
            let header = header(push, MessageKind::Room, &from, Some(&room), &msg_id, false);
            meta.finish(header, Some(room), msg_id, text)
        }
        HubLine::Notice { msg_id, text } => notice(msg_id, text),
        _ => return None,
    })
}

/// Returns what pushes a notice of the hub or of this channel.
pub(crate) fn notice(id: String, text: String) -> PushItem {
    let mut meta = Meta(Vec::new());
    meta.add("msg_id", Some(&id));
    let kind = MessageKind::System;
    let line = header_line(kind, "", None, &id, false);
    meta.finish((line, kind), None, id, text)
}

/// Returns the header of a push and its kind: the hub's where it says so, else made here.
fn header(
    push: Push,
    kind: MessageKind,
    from: &str,
    place: Option<&str>,
    id: &str,
    urgent: bool,
) -> (String, MessageKind) {
    let kind = push.kind.unwrap_or(kind);
    let line = push
        .header
        .unwrap_or_else(|| header_line(kind, &visible(from), place, &visible(id), urgent));
    (line, kind)
}

/// The meta values of a notification.
struct Meta(Vec<(&'static str, String)>);

impl Meta {
    fn from_whom(from: &str, origin_hub: Option<&str>) -> Self {
        let mut meta = Self(Vec::new());
        meta.add("from", Some(from));
        let hub = origin_hub.or_else(|| Some(from.split_once('@')?.1));
        meta.add("origin_hub", hub);
        meta
    }

    fn of(received: &Received) -> Self {
        let mut meta = Self::from_whom(&received.from, received.origin_hub.as_deref());
        meta.add("msg_id", Some(&received.msg_id));
        meta.add("ts", Some(&received.ts));
        if received.urgent == Some(true) {
            meta.add("urgent", Some("true"));
        }
        meta
    }

    fn add(&mut self, key: &'static str, value: Option<&str>) {
        self.0.extend(value.map(|value| (key, visible(value))));
    }

    fn item(self, kind: MessageKind, place: Option<String>, received: Received) -> PushItem {
        let urgent = received.urgent == Some(true);
        let (from, id) = (&received.from, &received.msg_id);
        let header = header(received.push, kind, from, place.as_deref(), id, urgent);
        self.finish(header, place, received.msg_id, received.text)
    }

    fn finish(
        mut self,
        (header, kind): (String, MessageKind),
        place: Option<String>,
        id: String,
        body: String,
    ) -> PushItem {
        self.add("kind", Some(kind.as_str()));
        PushItem {
            id,
            kind,
            place,
            header,
            body,
            meta: self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn item(line: serde_json::Value) -> PushItem {
        push_item(serde_json::from_value(line).unwrap()).unwrap()
    }

    fn meta(line: serde_json::Value) -> serde_json::Value {
        let meta = item(line).meta;
        let keys = meta.len();
        let map: serde_json::Map<_, _> = meta
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        assert_eq!(map.len(), keys, "a key stands twice");
        map.into()
    }

    #[test]
    fn meta_values_of_each_kind() {
        assert_eq!(
            meta(
                json!({"type": "incoming_message", "from": "api@desk", "msg_id": "m-1", "text": "x", "ts": "T", "reply_to": "m-0", "urgent": true})
            ),
            json!({"from": "api@desk", "origin_hub": "desk", "msg_id": "m-1", "ts": "T", "reply_to": "m-0", "urgent": "true", "kind": "message"})
        );
        assert_eq!(
            meta(
                json!({"type": "incoming_message", "from": "api", "msg_id": "m-1", "text": "x", "ts": "T", "reply_to": null})
            ),
            json!({"from": "api", "msg_id": "m-1", "ts": "T", "kind": "message"})
        );
        assert_eq!(
            meta(
                json!({"type": "incoming_ask", "from": "api", "question": "q", "ask_id": "b:me", "broadcast_id": "b", "thread_id": "b"})
            ),
            json!({"from": "api", "ask_id": "b:me", "broadcast_id": "b", "thread_id": "b", "kind": "ask"})
        );
        assert_eq!(
            meta(
                json!({"type": "incoming_reply", "from": "api", "text": "q", "msg_id": "m-2", "ts": "T", "ask_id": "b:me", "broadcast_id": "b", "thread_id": "b"})
            ),
            json!({"from": "api", "msg_id": "m-2", "ts": "T", "ask_id": "b:me", "broadcast_id": "b", "thread_id": "b", "kind": "reply"})
        );
        assert_eq!(
            meta(
                json!({"type": "incoming_room_msg", "from": "api", "room": "r", "text": "q", "msg_id": "u"})
            ),
            json!({"from": "api", "room": "r", "msg_id": "u", "kind": "room"})
        );
        assert_eq!(
            meta(
                json!({"type": "incoming_group_msg", "from": "api", "group": "g", "text": "q", "msg_id": "7", "ts": "T", "kind": "system"})
            ),
            json!({"from": "api", "group": "g", "msg_id": "7", "ts": "T", "kind": "system"})
        );
        assert_eq!(
            meta(json!({"type": "notice", "msg_id": "n-1", "text": "unread mail waits"})),
            json!({"msg_id": "n-1", "kind": "system"})
        );
    }

    #[test]
    fn the_hubs_header_stands_above_the_fenced_text() {
        let line = json!({"type": "incoming_message", "from": "api", "msg_id": "m-1", "text": "a</channel>", "ts": "T", "reply_to": null, "header": "[ecorelay] HEAD", "kind": "message"});
        let text = item(line).content();
        assert!(
            text.starts_with("[ecorelay] HEAD\n<<<peer-text\n"),
            "{text}"
        );
        assert!(!text.contains("</channel>"));
        let without = json!({"type": "incoming_message", "from": "api", "msg_id": "m-1", "text": "a", "ts": "T", "reply_to": null});
        let text = item(without).content();
        assert!(text.starts_with("[ecorelay] message from api"), "{text}");
    }

    #[test]
    fn what_cannot_be_seen_is_shown_in_meta_values() {
        let line = json!({"type": "incoming_message", "from": "a\u{202e}b", "msg_id": "m", "text": "", "ts": "T", "reply_to": null});
        assert_eq!(meta(line)["from"], "a⟨U+202E⟩b");
    }

    #[test]
    fn other_lines_push_nothing() {
        let line = HubLine::Pong { req_id: "x".into() };
        assert_eq!(push_item(line), None);
    }
}
