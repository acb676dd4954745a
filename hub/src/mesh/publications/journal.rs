//! What this hub has published: numbered from 1, kept for a while so that others can fill gaps.

use ecorelay_protocol::limits;
use ecorelay_protocol::link::{Fill, Publication, PublicationKind, Publications};
use ecorelay_protocol::{Name, to_cbor};
use std::collections::VecDeque;
use std::sync::Arc;

/// Texts one answer to a [`Fill`] carries, in bytes; one text is always sent. Far below what a
/// link queues, and one round trip for each is little beside sending it.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Another hub is told how far this one has published so long after the last publication, in
/// ms: by then gossip has brought it everywhere if it works.
const ANNOUNCE_MS: u64 = 500;
/// It is told at least this often while publications follow one another, in ms.
const ANNOUNCE_MOST_MS: u64 = 2_000;

/// This hub's publications of this start.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: u64,
    /// The last ones, without a hole between them.
    kept: VecDeque<Publication>,
    bytes: usize,
    /// When others are told of the last number, and when that would have been first.
    announce: Option<(u64, u64)>,
}

impl Journal {
    /// Returns the number of the last publication; 0 for none.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Numbers a publication, keeps it, and returns what goes over gossip.
    pub(crate) fn publish(
        &mut self,
        now: u64,
        epoch: u64,
        from: &Name,
        id: &str,
        kind: PublicationKind,
        text: &str,
    ) -> Arc<[u8]> {
        self.last += 1;
        let mut publication = Publication {
            epoch,
            seq: self.last,
            ts: now,
            from: from.clone(),
            id: id.to_owned(),
            kind,
            text: Some(text.to_owned()),
        };
        let bytes = match text.len() {
            0..=limits::GOSSIP_BYTES => to_cbor(&publication),
            _ => Vec::new(),
        };
        let bytes = if (1..=limits::GOSSIP_BYTES).contains(&bytes.len()) {
            bytes
        } else {
            publication.text = None;
            let bytes = to_cbor(&publication);
            publication.text = Some(text.to_owned());
            bytes
        };
        self.bytes += text.len();
        self.kept.push_back(publication);
        self.forget_old(now);
        let first = self.announce.map_or(now, |(_, first)| first);
        let due = (now + ANNOUNCE_MS).min(first + ANNOUNCE_MOST_MS);
        self.announce = Some((due, first));
        bytes.into()
    }

    /// Returns whether others are to be told of the last number now.
    pub(crate) fn announce(&mut self, now: u64) -> bool {
        self.announce.take_if(|(due, _)| *due <= now).is_some()
    }

    /// Forgets what is no longer kept.
    pub(crate) fn forget_old(&mut self, now: u64) {
        while let Some(first) = self.kept.front() {
            let surplus = self.kept.len() > limits::PUBLICATIONS
                || (self.bytes > limits::PUBLICATION_BYTES && self.kept.len() > 1)
                || first.ts + limits::PUBLICATION_MS <= now;
            if !surplus {
                break;
            }
            if let Some(first) = self.kept.pop_front() {
                self.bytes -= first.text.map_or(0, |text| text.len());
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let old = self.kept.front().map(|p| p.ts + limits::PUBLICATION_MS);
        let announce = self.announce.map(|(due, _)| due);
        [old, announce].into_iter().flatten().min()
    }

    /// Returns the answer to another hub that asks for some of them.
    pub(crate) fn answer(&self, epoch: u64, fill: &Fill) -> Publications {
        let mut answer = Publications {
            epoch: fill.epoch,
            items: Vec::new(),
            gone: Vec::new(),
        };
        let mut seqs: Vec<u64> = fill.seqs.iter().take(limits::FILL_SEQS).copied().collect();
        seqs.sort_unstable();
        seqs.dedup();
        let mut room = ANSWER_BYTES;
        for seq in seqs {
            let kept = self.get(seq).filter(|_| fill.epoch == epoch);
            let Some(publication) = kept else {
                answer.gone.push(seq);
                continue;
            };
            let size = publication.text.as_ref().map_or(0, String::len);
            if size > room && !answer.items.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            answer.items.push(publication.clone());
        }
        answer
    }

    fn get(&self, seq: u64) -> Option<&Publication> {
        let first = self.kept.front()?.seq;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.kept.get(at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ecorelay_protocol::from_cbor;

    fn say(journal: &mut Journal, now: u64, text: &str) -> Publication {
        let room = PublicationKind::Room("r".parse().unwrap());
        let bytes = journal.publish(now, 7, &"a".parse().unwrap(), "m-1", room, text);
        assert!(bytes.len() <= limits::GOSSIP_BYTES);
        from_cbor(&bytes).unwrap()
    }

    fn seqs(answer: &Publications) -> Vec<u64> {
        answer.items.iter().map(|p| p.seq).collect()
    }

    fn ask(journal: &Journal, seqs: impl IntoIterator<Item = u64>) -> Publications {
        let seqs = seqs.into_iter().collect();
        journal.answer(7, &Fill { epoch: 7, seqs })
    }

    #[test]
    fn a_large_text_stays_behind_and_is_had_for_the_asking() {
        let mut journal = Journal::default();
        assert_eq!(say(&mut journal, 0, "hi").text.as_deref(), Some("hi"));
        for size in [limits::GOSSIP_BYTES, limits::GOSSIP_BYTES + 1, 300_000] {
            assert_eq!(say(&mut journal, 0, &"x".repeat(size)).text, None);
        }
        let answer = ask(&journal, [4]);
        assert_eq!(answer.items[0].text.as_ref().unwrap().len(), 300_000);
    }

    #[test]
    fn an_answer_is_one_frame_and_names_what_is_gone() {
        let mut journal = Journal::default();
        for _ in 0..6 {
            say(&mut journal, 0, &"x".repeat(400_000));
        }
        assert_eq!(seqs(&ask(&journal, [6, 2, 2, 3, 4, 1])), [1, 2]);
        say(&mut journal, 0, &"x".repeat(limits::TEXT_BYTES));
        assert_eq!(seqs(&ask(&journal, [7, 9])), [7]);
        assert_eq!(ask(&journal, [0, 8, u64::MAX]).gone, [0, 8, u64::MAX]);
        assert_eq!(seqs(&ask(&journal, 1..10_000)), [1, 2]);
        let other = journal.answer(
            7,
            &Fill {
                epoch: 6,
                seqs: vec![1],
            },
        );
        assert_eq!((other.epoch, other.gone), (6, vec![1]));
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_bytes_and_time() {
        let mut journal = Journal::default();
        for _ in 0..limits::PUBLICATIONS + 5 {
            say(&mut journal, 0, "x");
        }
        assert_eq!(journal.kept.len(), limits::PUBLICATIONS);
        assert_eq!(ask(&journal, [5, 6]).gone, [5]);
        let large = "x".repeat(limits::TEXT_BYTES);
        for _ in 0..40 {
            say(&mut journal, 5, &large);
        }
        assert!(journal.bytes <= limits::PUBLICATION_BYTES);
        assert_eq!(journal.kept.len(), 16);
        assert_eq!(journal.next_deadline(), Some(5 + ANNOUNCE_MS));
        assert!(journal.announce(5 + ANNOUNCE_MS) && !journal.announce(u64::MAX));
        journal.forget_old(journal.next_deadline().unwrap());
        assert_eq!((journal.kept.len(), journal.bytes), (0, 0));
        assert_eq!(journal.next_deadline(), None);
    }

    #[test]
    fn others_are_told_even_while_it_never_ends() {
        let mut journal = Journal::default();
        for now in 0..3_000 {
            say(&mut journal, now, "x");
        }
        assert!(journal.announce(3_000));
    }
}
