//! What waits to be written to one link: bounded, filled by the hub thread without waiting,
//! emptied by the link's writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Frames that may wait for one link. The brain has at most a window of messages on the way;
/// more waits only when the other hub does not read.
const FRAMES: usize = 2_048;
/// Their bytes together.
const BYTES: usize = 32 * 1024 * 1024;
/// Heartbeats that may wait; of more only the last count.
const HEARTBEATS: usize = 16;
/// How much a writer takes at once: enough to make a write worth it, little enough to copy
/// without thought.
const TAKE_BYTES: usize = 64 * 1024;

/// How a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After what waits has been written.
    Flush,
    /// At once, and why.
    Cut(&'static str),
}

/// The queue of one link.
#[derive(Debug, Default)]
pub(super) struct LinkQueue {
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Notify,
    /// Tells the link that it ends.
    ending: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Arc<[u8]>>,
    heartbeats: VecDeque<Vec<u8>>,
    /// Frames and bytes that wait or are being written.
    held_frames: usize,
    held_bytes: usize,
    end: Option<End>,
}

/// What a writer took.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) heartbeats: Vec<Vec<u8>>,
    pub(super) frames: Vec<Arc<[u8]>>,
}

impl LinkQueue {
    /// Puts a frame in the queue; cuts the link when there is no room. A frame larger than the
    /// queue is taken when nothing else waits.
    pub(super) fn offer(&self, frame: Arc<[u8]>) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let fits = state.held_frames < FRAMES && state.held_bytes + frame.len() <= BYTES;
        if !fits && state.held_frames > 0 {
            drop(state);
            self.end(End::Cut("it does not read what is sent to it"));
            return;
        }
        state.held_frames += 1;
        state.held_bytes += frame.len();
        state.frames.push_back(frame);
        let first = state.frames.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }

    /// Puts a heartbeat in the queue; it passes frames.
    pub(super) fn heartbeat(&self, frame: Vec<u8>) {
        let mut state = self.lock();
        if state.heartbeats.len() >= HEARTBEATS {
            state.heartbeats.pop_front();
        }
        state.heartbeats.push_back(frame);
        drop(state);
        self.filled.notify_one();
    }

    /// Ends the link; an end that was set before gives way to a cut only.
    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        match (state.end, end) {
            (None, _) | (Some(End::Flush), End::Cut(_)) => state.end = Some(end),
            _ => {}
        }
        drop(state);
        self.filled.notify_one();
        self.ending.notify_one();
    }

    /// Waits until the link is to end, and says how. For one waiter.
    pub(super) async fn ending(&self) -> End {
        loop {
            if let Some(end) = self.lock().end {
                return end;
            }
            self.ending.notified().await;
        }
    }

    /// Waits until the link is to end at once, and says why. For one waiter.
    pub(super) async fn cut(&self) -> &'static str {
        loop {
            if let Some(End::Cut(reason)) = self.lock().end {
                return reason;
            }
            self.ending.notified().await;
        }
    }

    /// Waits for frames and moves some of them to `batch`; returns `false` when there are none
    /// left and the link is to end. For one waiter; [`LinkQueue::written`] must follow.
    pub(super) async fn take(&self, batch: &mut Batch) -> bool {
        loop {
            {
                let mut state = self.lock();
                batch.heartbeats.extend(state.heartbeats.drain(..));
                let mut bytes = 0;
                while let Some(frame) = state.frames.front()
                    && (batch.frames.is_empty() || bytes + frame.len() <= TAKE_BYTES)
                {
                    bytes += frame.len();
                    batch.frames.extend(state.frames.pop_front());
                }
                if !batch.frames.is_empty() || !batch.heartbeats.is_empty() {
                    return true;
                }
                if state.end.is_some() {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Says that so many frames with so many bytes have been written.
    pub(super) fn written(&self, frames: usize, bytes: usize) {
        let mut state = self.lock();
        state.held_frames = state.held_frames.saturating_sub(frames);
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
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

    fn frame(bytes: usize) -> Arc<[u8]> {
        vec![0; bytes].into()
    }

    async fn is_cut(queue: &LinkQueue) -> bool {
        let soon = std::time::Duration::from_millis(1);
        tokio::time::timeout(soon, queue.cut()).await.is_ok()
    }

    #[tokio::test]
    async fn a_queue_that_is_full_cuts_its_link() {
        for (count, bytes) in [(FRAMES, 10), (4, BYTES / 4)] {
            let queue = LinkQueue::default();
            for _ in 0..count {
                queue.offer(frame(bytes));
            }
            assert!(!is_cut(&queue).await);
            queue.offer(frame(1));
            assert!(is_cut(&queue).await);
        }
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_queue_is_taken_alone() {
        let queue = LinkQueue::default();
        queue.offer(frame(BYTES + 1));
        assert!(!is_cut(&queue).await);
        // What is being written counts as well.
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch).await);
        queue.offer(frame(1));
        assert!(is_cut(&queue).await);
    }

    #[tokio::test]
    async fn heartbeats_pass_frames_and_only_the_last_count() {
        let queue = LinkQueue::default();
        queue.offer(frame(1));
        for number in 0..100 {
            queue.heartbeat(vec![number]);
        }
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch).await);
        assert_eq!(batch.heartbeats.len(), HEARTBEATS);
        assert_eq!(batch.heartbeats.last(), Some(&vec![99]));
        assert_eq!(batch.frames.len(), 1);
    }

    #[tokio::test]
    async fn what_waits_is_taken_before_the_end_and_nothing_after_it() {
        let queue = LinkQueue::default();
        queue.offer(frame(1));
        queue.end(End::Flush);
        queue.offer(frame(2));
        assert_eq!(queue.ending().await, End::Flush);
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch).await);
        assert_eq!(batch.frames.len(), 1);
        assert!(!queue.take(&mut Batch::default()).await);
        queue.end(End::Cut("now"));
        queue.end(End::Flush);
        assert_eq!(queue.ending().await, End::Cut("now"));
    }
}
