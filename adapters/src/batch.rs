//! Many messages in one text.
//!
//! An inbox socket gives no answer and loses messages in a burst (measured: 10 of 40), so the
//! first message of a burst goes at once and the rest is gathered. [`Batch`] keeps no clock:
//! the caller says what time it is.

use crate::PushItem;
use ecorelay_protocol::{MessageKind, fence};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long messages are gathered after a write.
const GATHER: Duration = Duration::from_millis(250);
/// Messages in one text.
const ITEMS: usize = 10;
/// Peer text in one text, in bytes.
const BODY_BYTES: usize = 16 * 1024;
/// Characters shown of a text over [`BODY_BYTES`].
const HEAD_CHARS: usize = 2_000;
/// Groups named one by one among what was left out.
const PLACES: usize = 8;

/// What became of a message that was offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// It will stand in the next text.
    Waits,
    /// There is no room: the next text only counts it.
    Counted,
}

/// One text to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What the model will see.
    pub text: String,
    /// The messages that stand in it.
    pub ids: Vec<String>,
}

/// Messages that wait to be written as one text.
#[derive(Debug, Default)]
pub struct Batch {
    last_write: Option<Instant>,
    parts: Vec<String>,
    ids: Vec<String>,
    bytes: usize,
    left_out: LeftOut,
}

/// How many messages are only counted, by where they can be read.
#[derive(Debug, Default)]
struct LeftOut {
    inbox: usize,
    rooms: usize,
    groups: BTreeMap<String, usize>,
    other_groups: usize,
}

impl Batch {
    /// Takes a message into the next text.
    pub fn offer(&mut self, item: PushItem) -> Offer {
        let (part, bytes) = part(&item);
        if self.ids.len() >= ITEMS || (!self.ids.is_empty() && self.bytes + bytes > BODY_BYTES) {
            self.left_out.add(&item);
            return Offer::Counted;
        }
        self.bytes += bytes;
        self.parts.push(part);
        self.ids.push(item.id);
        Offer::Waits
    }

    /// Returns whether the message stands in the next text.
    pub fn holds(&self, id: &str) -> bool {
        self.ids.iter().any(|held| held == id)
    }

    /// Returns when the next text is to be written, `None` when nothing waits.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.ids.is_empty() {
            return None;
        }
        Some(self.last_write.map_or(now, |last| (last + GATHER).max(now)))
    }

    /// Returns the next text if it is to be written now.
    pub fn take(&mut self, now: Instant) -> Option<Parcel> {
        if self.due(now)? > now {
            return None;
        }
        let mut parts = std::mem::take(&mut self.parts);
        parts.extend(std::mem::take(&mut self.left_out).line());
        self.last_write = Some(now);
        self.bytes = 0;
        Some(Parcel {
            text: parts.join("\n\n"),
            ids: std::mem::take(&mut self.ids),
        })
    }
}

impl LeftOut {
    fn add(&mut self, item: &PushItem) {
        match (item.kind, &item.place) {
            (MessageKind::Room, _) => self.rooms += 1,
            (MessageKind::Group, Some(group)) => {
                if self.groups.len() < PLACES || self.groups.contains_key(group) {
                    *self.groups.entry(group.clone()).or_default() += 1;
                } else {
                    self.other_groups += 1;
                }
            }
            _ => self.inbox += 1,
        }
    }

    /// Returns the line that says what is not shown and where it is.
    fn line(self) -> Option<String> {
        let mut words = Vec::new();
        if self.inbox > 0 {
            words.push(format!(
                "{} more in your inbox: call relay_inbox",
                self.inbox
            ));
        }
        for (group, count) in self.groups {
            words.push(format!(
                "{count} more in group {group}: call relay_group_history"
            ));
        }
        if self.other_groups > 0 {
            words.push(format!(
                "{} more in other groups: call relay_group_list",
                self.other_groups
            ));
        }
        if self.rooms > 0 {
            words.push(format!(
                "{} more room messages that came too fast to be shown",
                self.rooms
            ));
        }
        (!words.is_empty()).then(|| format!("[ecorelay] and {}", words.join("; ")))
    }
}

/// Returns how a message stands in a text, and how much room its body takes there.
fn part(item: &PushItem) -> (String, usize) {
    if item.body.len() <= BODY_BYTES {
        return (item.content(), item.body.len());
    }
    let end = item
        .body
        .char_indices()
        .nth(HEAD_CHARS)
        .map_or(item.body.len(), |(at, _)| at);
    let (head, rest) = item.body.split_at(end);
    let where_to = match item.kind {
        MessageKind::Room => "ask the sender for the rest",
        MessageKind::Group => "relay_group_history has the whole text",
        _ => "relay_inbox has the whole text",
    };
    let text = format!(
        "{}\n{}\n[ecorelay] … {} more characters; {where_to}",
        item.header,
        fence(head),
        rest.chars().count()
    );
    (text, head.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn item(n: usize, body: &str) -> PushItem {
        PushItem {
            id: format!("m-{n}"),
            kind: MessageKind::Message,
            place: None,
            header: format!("[ecorelay] message {n}"),
            body: body.into(),
            meta: Vec::new(),
        }
    }

    #[test]
    fn the_first_message_goes_at_once_and_the_next_ones_together() {
        let (mut batch, start) = (Batch::default(), Instant::now());
        assert_eq!(batch.due(start), None);
        assert_eq!(batch.offer(item(1, "a")), Offer::Waits);
        let first = batch.take(start).unwrap();
        assert_eq!(first.ids, ["m-1"]);
        assert_eq!(first.text, item(1, "a").content());

        batch.offer(item(2, "b"));
        batch.offer(item(3, "c"));
        assert!(batch.holds("m-2") && !batch.holds("m-1"));
        let soon = start + Duration::from_millis(10);
        assert_eq!(batch.take(soon), None);
        assert_eq!(batch.due(soon), Some(start + GATHER));
        let second = batch.take(start + GATHER).unwrap();
        assert_eq!(second.ids, ["m-2", "m-3"]);
        assert!(second.text.contains("[ecorelay] message 2\n<<<peer-text"));

        batch.offer(item(4, "d"));
        assert!(batch.take(start + GATHER * 3).is_some());
    }

    #[test]
    fn what_does_not_fit_is_counted_with_the_place_where_it_is() {
        let (mut batch, now) = (Batch::default(), Instant::now());
        for n in 0..ITEMS {
            assert_eq!(batch.offer(item(n, "x")), Offer::Waits);
        }
        for n in 0..3 {
            assert_eq!(batch.offer(item(100 + n, "x")), Offer::Counted);
        }
        let group = PushItem {
            kind: MessageKind::Group,
            place: Some("ops".into()),
            ..item(200, "x")
        };
        assert_eq!(batch.offer(group), Offer::Counted);
        let parcel = batch.take(now).unwrap();
        assert_eq!(parcel.ids.len(), ITEMS);
        assert!(parcel.text.ends_with(
            "[ecorelay] and 3 more in your inbox: call relay_inbox; 1 more in group ops: call relay_group_history"
        ));
        batch.offer(item(300, "y"));
        let next = batch.take(now + GATHER).unwrap();
        assert!(!next.text.contains("more in"), "{}", next.text);
    }

    #[test]
    fn bodies_are_bounded_and_a_long_one_is_cut_with_the_count_of_the_rest() {
        let (mut batch, now) = (Batch::default(), Instant::now());
        let half = "y".repeat(BODY_BYTES / 2 + 1);
        assert_eq!(batch.offer(item(1, &half)), Offer::Waits);
        assert_eq!(batch.offer(item(2, &half)), Offer::Counted);
        batch.take(now).unwrap();

        let long = "é".repeat(BODY_BYTES);
        assert_eq!(batch.offer(item(3, &long)), Offer::Waits);
        let parcel = batch.take(now + GATHER).unwrap();
        assert_eq!(parcel.ids, ["m-3"]);
        assert_eq!(parcel.text.matches('é').count(), HEAD_CHARS);
        let rest = BODY_BYTES - HEAD_CHARS;
        assert!(parcel.text.ends_with(&format!(
            "… {rest} more characters; relay_inbox has the whole text"
        )));
    }

    #[test]
    fn many_groups_are_not_named_one_by_one() {
        let mut left = LeftOut::default();
        for n in 0..50 {
            left.add(&PushItem {
                kind: MessageKind::Group,
                place: Some(format!("g{n}")),
                ..item(n, "x")
            });
        }
        let line = left.line().unwrap();
        assert!(line.ends_with("42 more in other groups: call relay_group_list"));
    }
}
