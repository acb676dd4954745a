//! Cuts what is imported into requests that fit into one local line.

use ecorelay_config::reference::Skipped;
use ecorelay_protocol::limits::{GROUP_HISTORY, GROUP_MEMBERS, LINE_BYTES};
use ecorelay_protocol::{ImportGroup, ImportMailbox, ImportMessage};
use serde::Serialize;
use std::path::Path;

/// Room for the messages of one request; the rest of the line holds names and members.
const CHUNK_BYTES: usize = LINE_BYTES - 256 * 1024;

/// Returns the mailbox in parts, oldest messages first. A message that fits into no line is
/// left out and reported.
pub(crate) fn mailbox_chunks(
    mailbox: ImportMailbox,
    file: &Path,
    skipped: &mut Vec<Skipped>,
) -> Vec<ImportMailbox> {
    let owner = mailbox.owner;
    let parts: Vec<Vec<ImportMessage>> = parts(mailbox.messages, CHUNK_BYTES, file, skipped);
    parts
        .into_iter()
        .map(|messages| ImportMailbox {
            owner: owner.clone(),
            messages,
        })
        .collect()
}

/// Returns the group as it fits into one request, because a hub takes over a group whole or not
/// at all: where it is too large, the oldest entries are left out and reported.
pub(crate) fn one_request(
    mut group: ImportGroup,
    file: &Path,
    skipped: &mut Vec<Skipped>,
) -> ImportGroup {
    let mut room = CHUNK_BYTES;
    let kept = group
        .messages
        .iter()
        .rev()
        .take(GROUP_HISTORY)
        .take_while(|entry| match room.checked_sub(json_bytes(*entry)) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .count();
    let cut = group.messages.len() - kept;
    if cut > 0 {
        group.messages.drain(..cut);
        for (_, read) in &mut group.members {
            *read = read.saturating_sub(cut as u64);
        }
        skipped.push(Skipped {
            file: file.to_owned(),
            reason: format!("Its {cut} oldest entries do not fit into one import."),
        });
    }
    let without: Vec<String> = group
        .members
        .drain(GROUP_MEMBERS.min(group.members.len())..)
        .map(|(name, _)| name)
        .collect();
    if !without.is_empty() {
        skipped.push(Skipped {
            file: file.to_owned(),
            reason: format!(
                "A group has at most {GROUP_MEMBERS} members: without {}.",
                without.join(", ")
            ),
        });
    }
    group
}

fn json_bytes(item: &impl Serialize) -> usize {
    serde_json::to_vec(item).map_or(usize::MAX, |json| json.len() + 1)
}

/// Returns the items in parts of at most `room` bytes of JSON; at least one part, so that an
/// empty mailbox is taken over too.
fn parts<T: Serialize>(
    items: Vec<T>,
    room: usize,
    file: &Path,
    skipped: &mut Vec<Skipped>,
) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut used = 0;
    for (at, item) in items.into_iter().enumerate() {
        let size = json_bytes(&item);
        if size > room {
            skipped.push(Skipped {
                file: file.to_owned(),
                reason: format!("Its message {} is too large.", at + 1),
            });
            continue;
        }
        if used + size > room {
            parts.push(Vec::new());
            used = 0;
        }
        used += size;
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use ecorelay_protocol::ImportText;

    fn text(size: usize) -> ImportText {
        ImportText {
            from: "a".into(),
            text: "x".repeat(size),
            ts: 1,
            system: false,
        }
    }

    fn message(size: usize) -> ImportMessage {
        serde_json::from_value(serde_json::json!({
            "msg_id": "m", "from": "a", "text": "x".repeat(size), "ts": 1,
        }))
        .unwrap()
    }

    #[test]
    fn every_part_of_a_mailbox_fits_into_a_line_and_nothing_is_lost() {
        let messages = (0..20).map(|_| message(1 << 20)).collect();
        let mailbox = ImportMailbox {
            owner: "a".into(),
            messages,
        };
        let mut skipped = Vec::new();
        let chunks = mailbox_chunks(mailbox, Path::new("a.json"), &mut skipped);
        assert!(chunks.len() > 1 && skipped.is_empty());
        for chunk in &chunks {
            assert!(serde_json::to_vec(chunk).unwrap().len() + 100 < LINE_BYTES);
        }
        assert_eq!(chunks.iter().map(|c| c.messages.len()).sum::<usize>(), 20);
    }

    #[test]
    fn a_group_keeps_its_newest_entries_and_its_cursors() {
        let messages: Vec<ImportText> = (0..20).map(|_| text(1 << 20)).collect();
        let members = vec![
            ("a".to_owned(), 20),
            ("b".to_owned(), 18),
            ("c".to_owned(), 5),
        ];
        let group = ImportGroup {
            group: "g".into(),
            admin: "a".into(),
            members,
            messages,
        };
        let mut skipped = Vec::new();
        let group = one_request(group, Path::new("g.json"), &mut skipped);
        assert!(serde_json::to_vec(&group).unwrap().len() + 100 < LINE_BYTES);
        let kept = group.messages.len() as u64;
        assert_eq!((kept, skipped.len()), (3, 1));
        let cursors: Vec<u64> = group.members.iter().map(|(_, read)| *read).collect();
        assert_eq!(cursors, [kept, kept - 2, 0]);
    }

    #[test]
    fn what_fits_into_no_line_is_reported_and_an_empty_mailbox_is_kept() {
        let mut skipped = Vec::new();
        let parts = parts(
            vec![text(10), text(LINE_BYTES), text(10)],
            CHUNK_BYTES,
            Path::new("f"),
            &mut skipped,
        );
        assert_eq!((parts.len(), parts[0].len(), skipped.len()), (1, 2, 1));
        let empty = ImportMailbox {
            owner: "a".into(),
            messages: Vec::new(),
        };
        assert_eq!(mailbox_chunks(empty, Path::new("f"), &mut skipped).len(), 1);
    }
}
