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
    /// One of them asks for attention.
    pub urgent: bool,
    /// What it was made of, to be put back.
    parts: Vec<Part>,
    left_out: LeftOut,
}

/// One message in a text.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    id: String,
    text: String,
    /// Of its body.
    bytes: usize,
    group: Option<String>,
    urgent: bool,
}

/// Messages that wait to be written as one text.
#[derive(Debug, Default)]
pub struct Batch {
    last_write: Option<Instant>,
    parts: Vec<Part>,
    left_out: LeftOut,
}

/// How many messages are only counted, by where they can be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct LeftOut {
    inbox: usize,
    rooms: usize,
    groups: BTreeMap<String, usize>,
    other_groups: usize,
}

impl Batch {
    /// Takes a message into the next text.
    pub fn offer(&mut self, item: PushItem) -> Offer {
        let part = Part::of(&item);
        let bytes: usize = self.parts.iter().map(|part| part.bytes).sum();
        let full = self.parts.len() >= ITEMS || bytes + part.bytes > BODY_BYTES;
        if full && !self.parts.is_empty() {
            self.left_out.add(&item);
            return Offer::Counted;
        }
        self.parts.push(part);
        Offer::Waits
    }

    /// Returns whether the message stands in the next text.
    pub fn holds(&self, id: &str) -> bool {
        self.parts.iter().any(|part| part.id == id)
    }

    /// Returns the messages that stand in the next text.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.id.as_str())
    }

    /// Returns when the next text is to be written, `None` when nothing waits.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.parts.is_empty() {
            return None;
        }
        Some(self.last_write.map_or(now, |last| (last + GATHER).max(now)))
    }

    /// Returns the next text if it is to be written now.
    pub fn take(&mut self, now: Instant) -> Option<Parcel> {
        if self.due(now)? > now {
            return None;
        }
        self.take_all(now)
    }

    /// Returns the next text, whenever the last one was written; `None` when nothing waits.
    pub fn take_all(&mut self, now: Instant) -> Option<Parcel> {
        if self.parts.is_empty() {
            return None;
        }
        self.last_write = Some(now);
        let parts = std::mem::take(&mut self.parts);
        let left_out = std::mem::take(&mut self.left_out);
        let texts = parts.iter().map(|part| part.text.clone());
        Some(Parcel {
            text: texts
                .chain(left_out.line())
                .collect::<Vec<_>>()
                .join("\n\n"),
            ids: parts.iter().map(|part| part.id.clone()).collect(),
            urgent: parts.iter().any(|part| part.urgent),
            parts,
            left_out,
        })
    }

    /// Puts back a text that was not taken, before what has come since; of all of it only as
    /// much as one text holds stays, the rest is counted. Returns the messages that are only
    /// counted now.
    pub fn put_back(&mut self, parcel: Parcel) -> Vec<String> {
        let since = std::mem::replace(&mut self.parts, parcel.parts);
        self.left_out.add_all(parcel.left_out);
        let mut counted = Vec::new();
        let mut bytes: usize = self.parts.iter().map(|part| part.bytes).sum();
        for part in since {
            if self.parts.len() < ITEMS && bytes + part.bytes <= BODY_BYTES {
                bytes += part.bytes;
                self.parts.push(part);
            } else {
                self.left_out.add_at(part.group.as_deref());
                counted.push(part.id);
            }
        }
        counted
    }

    /// Forgets messages that were read in the inbox, which holds `remaining` more.
    pub fn read(&mut self, ids: &[String], remaining: usize) {
        self.parts.retain(|part| !ids.contains(&part.id));
        self.left_out.inbox = self.left_out.inbox.min(remaining);
    }

    /// Forgets the messages of a group whose history was read.
    pub fn read_group(&mut self, group: &str) {
        self.parts
            .retain(|part| part.group.as_deref() != Some(group));
        self.left_out.groups.remove(group);
    }
}

impl Part {
    fn of(item: &PushItem) -> Self {
        let (text, bytes) = part(item);
        Self {
            id: item.id.clone(),
            text,
            bytes,
            group: item
                .place
                .clone()
                .filter(|_| item.kind == MessageKind::Group),
            urgent: item.meta.iter().any(|(key, _)| *key == "urgent"),
        }
    }
}

impl LeftOut {
    fn add(&mut self, item: &PushItem) {
        match (item.kind, &item.place) {
            (MessageKind::Room, _) => self.rooms += 1,
            (MessageKind::Group, Some(group)) => self.add_to_group(group, 1),
            _ => self.inbox += 1,
        }
    }

    /// Counts a message that stood in a text before.
    fn add_at(&mut self, group: Option<&str>) {
        match group {
            Some(group) => self.add_to_group(group, 1),
            None => self.inbox += 1,
        }
    }

    fn add_to_group(&mut self, group: &str, count: usize) {
        if self.groups.len() < PLACES || self.groups.contains_key(group) {
            *self.groups.entry(group.to_owned()).or_default() += count;
        } else {
            self.other_groups += count;
        }
    }

    fn add_all(&mut self, other: Self) {
        self.inbox += other.inbox;
        self.rooms += other.rooms;
        self.other_groups += other.other_groups;
        for (group, count) in other.groups {
            self.add_to_group(&group, count);
        }
    }

    /// Returns the line that says what is not shown and where it is.
    fn line(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.inbox > 0 {
            words.push(format!(
                "{} more in your inbox: call relay_inbox",
                self.inbox
            ));
        }
        for (group, count) in &self.groups {
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
        assert!(!second.urgent);
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
    fn a_text_that_was_not_taken_comes_again_with_what_came_since() {
        let (mut batch, now) = (Batch::default(), Instant::now());
        for n in 0..ITEMS + 2 {
            batch.offer(item(n, "x"));
        }
        let parcel = batch.take(now).unwrap();
        let text = parcel.text.clone();
        assert!(text.ends_with("and 2 more in your inbox: call relay_inbox"));
        batch.offer(item(50, "y"));
        assert_eq!(batch.put_back(parcel), ["m-50"]);
        let again = batch.take_all(now).unwrap();
        assert_eq!(again.ids.len(), ITEMS);
        assert!(
            again
                .text
                .ends_with("and 3 more in your inbox: call relay_inbox")
        );
    }

    #[test]
    fn what_was_read_is_not_shown_any_more() {
        let (mut batch, now) = (Batch::default(), Instant::now());
        for n in 0..ITEMS + 2 {
            batch.offer(item(n, "x"));
        }
        let ids: Vec<String> = (0..ITEMS - 1).map(|n| format!("m-{n}")).collect();
        batch.read(&ids, 1);
        let parcel = batch.take(now).unwrap();
        assert_eq!(parcel.ids, [format!("m-{}", ITEMS - 1)]);
        assert!(
            parcel
                .text
                .ends_with("and 1 more in your inbox: call relay_inbox")
        );

        let of_group = |n| PushItem {
            kind: MessageKind::Group,
            place: Some("ops".into()),
            ..item(n, "x")
        };
        for n in 0..ITEMS + 2 {
            batch.offer(of_group(n));
        }
        batch.read_group("ops");
        assert_eq!(batch.due(now), None);
        assert_eq!(batch.left_out, LeftOut::default());
    }

    #[test]
    fn a_text_with_an_urgent_message_is_urgent() {
        let (mut batch, now) = (Batch::default(), Instant::now());
        batch.offer(item(1, "x"));
        batch.offer(PushItem {
            meta: vec![("urgent", "true".into())],
            ..item(2, "x")
        });
        assert!(batch.take(now).unwrap().urgent);
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
