//! What waits to be written to one client: bounded, filled by the hub thread without waiting,
//! emptied by the connection's writer.

use ecorelay_hub::Tag;
use ecorelay_protocol::limits::{QUEUE_BYTES, QUEUE_LINES};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How much a writer takes at once: enough to make a system call worth it, little enough to
/// copy without thought.
const TAKE_BYTES: usize = 64 * 1024;
/// How many lines a writer takes at once.
const TAKE_LINES: usize = 256;
/// Answers may wait beyond the bounds of pushes, for each was asked for: a client may write many
/// requests before it reads. From here on its requests are not read.
const PAUSE_LINES: usize = 16 * QUEUE_LINES;
/// The same in bytes.
const PAUSE_BYTES: usize = QUEUE_BYTES;
/// Where the connection ends: what was read before the pause has been answered long before.
const MOST_LINES: usize = 4 * PAUSE_LINES;
/// The same in bytes.
const MOST_BYTES: usize = 8 * QUEUE_BYTES;

/// One line for a client.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) tag: Option<Tag>,
}

/// What became of a line that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It will be written.
    Taken,
    /// There is no room, or the connection ends.
    Refused,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// After what waits has been written.
    Flush,
    /// At once.
    Cut,
}

/// The queue of one client.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Notify,
    /// Tells the connection that it ends.
    ending: Notify,
    /// Tells the reader that lines have been written.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Queued>,
    /// Lines and bytes that wait or are being written.
    held_lines: usize,
    held_bytes: usize,
    /// A line was refused since the queue was last empty.
    refused: bool,
    end: Option<End>,
}

impl Outgoing {
    /// Puts a line in the queue: one that `may_drop` within the bounds of a slow reader, any
    /// other within wider ones. A line that is larger than the queue is taken when nothing else
    /// waits.
    pub(crate) fn offer(&self, bytes: Arc<[u8]>, tag: Option<Tag>, may_drop: bool) -> Offer {
        let mut state = self.lock();
        if state.end.is_some() {
            return Offer::Refused;
        }
        let (lines, most) = if may_drop {
            (QUEUE_LINES, QUEUE_BYTES)
        } else {
            (MOST_LINES, MOST_BYTES)
        };
        let fits = state.held_lines < lines && state.held_bytes + bytes.len() <= most;
        if !fits && state.held_lines > 0 {
            state.refused = true;
            return Offer::Refused;
        }
        state.held_lines += 1;
        state.held_bytes += bytes.len();
        state.lines.push_back(Queued { bytes, tag });
        let first = state.lines.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
        Offer::Taken
    }

    /// Waits while so many answers wait that no more requests should be read. For one waiter.
    pub(crate) async fn room(&self) {
        loop {
            {
                let state = self.lock();
                let room = state.held_lines < PAUSE_LINES && state.held_bytes < PAUSE_BYTES;
                if room || state.end.is_some() {
                    return;
                }
            }
            self.emptied.notified().await;
        }
    }

    /// Ends the connection once everything that waits has been written.
    pub(crate) fn finish(&self) {
        self.end(End::Flush);
    }

    /// Ends the connection at once.
    pub(crate) fn cut(&self) {
        self.end(End::Cut);
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end != Some(End::Cut) {
            state.end = Some(end);
        }
        drop(state);
        self.filled.notify_one();
        self.ending.notify_one();
        self.emptied.notify_one();
    }

    /// Waits until the connection is to end. For one waiter.
    pub(crate) async fn ending(&self) {
        while self.lock().end.is_none() {
            self.ending.notified().await;
        }
    }

    /// Waits for lines and moves some of them to `batch`; returns `false` when the connection
    /// ends. For one waiter; [`Outgoing::written`] must follow.
    pub(crate) async fn take(&self, batch: &mut Vec<Queued>) -> bool {
        loop {
            {
                let mut state = self.lock();
                if state.end == Some(End::Cut) {
                    return false;
                }
                let mut bytes = 0;
                while let Some(line) = state.lines.front()
                    && (batch.is_empty()
                        || bytes + line.bytes.len() <= TAKE_BYTES && batch.len() < TAKE_LINES)
                {
                    bytes += line.bytes.len();
                    batch.extend(state.lines.pop_front());
                }
                if !batch.is_empty() {
                    return true;
                }
                if state.end.is_some() {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Says that lines of this many bytes have been written. Returns whether the queue is empty
    /// again after it had refused a line.
    pub(crate) fn written(&self, lines: usize, bytes: usize) -> bool {
        let mut state = self.lock();
        state.held_lines = state.held_lines.saturating_sub(lines);
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
        let drained = state.held_lines == 0 && std::mem::take(&mut state.refused);
        drop(state);
        self.emptied.notify_one();
        drained
    }

    /// Returns the tags of the lines that were never taken, and empties the queue.
    pub(crate) fn abandon(&self) -> Vec<Tag> {
        self.cut();
        let mut state = self.lock();
        state.lines.drain(..).filter_map(|line| line.tag).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn line(len: usize) -> Arc<[u8]> {
        vec![b'x'; len].into()
    }

    async fn take(queue: &Outgoing) -> Vec<Queued> {
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch).await);
        batch
    }

    #[tokio::test]
    async fn lines_over_the_bounds_are_refused_until_it_is_empty() {
        let queue = Outgoing::default();
        for n in 0..QUEUE_LINES {
            assert_eq!(
                queue.offer(line(1), Some(Tag(n as u64)), true),
                Offer::Taken
            );
        }
        assert_eq!(queue.offer(line(1), None, true), Offer::Refused);
        let mut drained = 0;
        for round in 0..QUEUE_LINES / TAKE_LINES {
            let batch = take(&queue).await;
            if round == 0 {
                assert_eq!(
                    queue.offer(line(1), None, true),
                    Offer::Refused,
                    "still held"
                );
            }
            drained += usize::from(queue.written(batch.len(), batch.len()));
        }
        assert_eq!(drained, 1);
        assert_eq!(queue.offer(line(1), None, true), Offer::Taken);
    }

    #[tokio::test]
    async fn answers_have_room_beyond_that_and_then_the_reader_pauses() {
        let queue = Outgoing::default();
        for _ in 0..PAUSE_LINES {
            queue.room().await;
            assert_eq!(queue.offer(line(1), None, false), Offer::Taken);
        }
        assert_eq!(queue.offer(line(1), None, true), Offer::Refused);
        let paused = tokio::time::timeout(std::time::Duration::ZERO, queue.room()).await;
        assert!(paused.is_err());
        let batch = take(&queue).await;
        queue.written(batch.len(), batch.len());
        queue.room().await;
    }

    #[tokio::test]
    async fn one_line_may_be_larger_than_the_queue() {
        let queue = Outgoing::default();
        assert_eq!(queue.offer(line(QUEUE_BYTES + 1), None, true), Offer::Taken);
        assert_eq!(queue.offer(line(1), None, true), Offer::Refused);
        let batch = take(&queue).await;
        assert_eq!(
            queue.offer(line(1), None, true),
            Offer::Refused,
            "being written"
        );
        assert!(queue.written(batch.len(), QUEUE_BYTES + 1));
        assert_eq!(queue.offer(line(QUEUE_BYTES), None, true), Offer::Taken);
    }

    #[tokio::test]
    async fn finishing_writes_what_waits_and_cutting_does_not() {
        let queue = Outgoing::default();
        queue.offer(line(1), Some(Tag(1)), true);
        queue.finish();
        assert_eq!(queue.offer(line(1), None, true), Offer::Refused);
        queue.ending().await;
        assert_eq!(take(&queue).await.len(), 1);
        assert!(!queue.take(&mut Vec::new()).await);

        let queue = Outgoing::default();
        queue.offer(line(1), Some(Tag(7)), true);
        queue.cut();
        assert!(!queue.take(&mut Vec::new()).await);
        assert_eq!(queue.abandon(), [Tag(7)]);
    }
}
