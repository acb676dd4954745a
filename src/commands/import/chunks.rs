//! Cuts what is imported into requests that fit into one local line.

use ecorelay_config::reference::Skipped;
use ecorelay_protocol::limits::LINE_BYTES;
use ecorelay_protocol::{ImportGroup, ImportMailbox, ImportMessage, ImportText};
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

/// Returns the group in parts, oldest entries first; in each part the members' cursors count
/// the entries of that part.
pub(crate) fn group_chunks(
    group: ImportGroup,
    file: &Path,
    skipped: &mut Vec<Skipped>,
) -> Vec<ImportGroup> {
    let ImportGroup {
        group,
        admin,
        members,
        messages,
    } = group;
    let mut before = 0_u64;
    parts::<ImportText>(messages, CHUNK_BYTES, file, skipped)
        .into_iter()
        .map(|messages| {
            let here = messages.len() as u64;
            let members = members
                .iter()
                .map(|(name, read)| (name.clone(), read.saturating_sub(before).min(here)))
                .collect();
            before += here;
            ImportGroup {
                group: group.clone(),
                admin: admin.clone(),
                members,
                messages,
            }
        })
        .collect()
}

/// Returns the items in parts of at most `room` bytes of JSON; at least one part, so that an
/// empty mailbox or group is taken over too.
fn parts<T: Serialize>(
    items: Vec<T>,
    room: usize,
    file: &Path,
    skipped: &mut Vec<Skipped>,
) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut used = 0;
    for (at, item) in items.into_iter().enumerate() {
        let size = serde_json::to_vec(&item).map_or(usize::MAX, |json| json.len() + 1);
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

    fn text(size: usize) -> ImportText {
        ImportText {
            from: "a".into(),
            text: "x".repeat(size),
            ts: 1,
            system: false,
        }
    }

    #[test]
    fn every_part_fits_into_a_line_and_nothing_is_lost() {
        let messages: Vec<ImportText> = (0..20).map(|_| text(1 << 20)).collect();
        let members = vec![
            ("a".to_owned(), 20),
            ("b".to_owned(), 5),
            ("c".to_owned(), 0),
        ];
        let group = ImportGroup {
            group: "g".into(),
            admin: "a".into(),
            members,
            messages,
        };
        let mut skipped = Vec::new();
        let chunks = group_chunks(group, Path::new("g.json"), &mut skipped);
        assert!(chunks.len() > 1 && skipped.is_empty());
        for chunk in &chunks {
            assert!(serde_json::to_vec(chunk).unwrap().len() + 100 < LINE_BYTES);
        }
        let sum = |member: usize| chunks.iter().map(|c| c.members[member].1).sum::<u64>();
        assert_eq!((sum(0), sum(1), sum(2)), (20, 5, 0));
        assert_eq!(chunks.iter().map(|c| c.messages.len()).sum::<usize>(), 20);
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
