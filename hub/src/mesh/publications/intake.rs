//! What this hub has of one other hub's publications: which are delivered, which wait for
//! earlier ones, which are missing and when they are asked for.
//!
//! A plain struct without I/O: what is to be delivered now is added to a list, in order.

mod asking;

use crate::mesh::LinkId;
use asking::Asking;
use ecorelay_protocol::limits;
use ecorelay_protocol::link::Publication;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers that are looked at: what an author does not keep any more cannot be had.
pub(super) const WINDOW: u64 = limits::PUBLICATIONS as u64;
/// A publication waits for earlier ones at most so long, in ms.
const HOLD_MS: u64 = 2_000;
/// What a publication that waits is counted as beside its text, in bytes.
const OVERHEAD: usize = 512;

/// What this hub has of one author.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) epoch: u64,
    /// All numbers up to here are settled: delivered, gone, or given up.
    done: u64,
    /// Settled numbers above.
    ahead: BTreeSet<u64>,
    /// Nothing up to here holds a later publication back.
    front: u64,
    /// The highest number that is known to exist.
    tail: u64,
    /// Publications that wait for earlier ones, all above `front`, and when they came.
    held: BTreeMap<u64, (u64, Publication)>,
    held_bytes: usize,
    hold_due: Option<u64>,
    asking: Asking,
    /// Since when there is no progress with what is missing.
    stalled: Option<u64>,
    /// When anything of the author came last.
    pub(super) heard: u64,
    /// Publications that could not be had.
    pub(super) lost: u64,
}

impl Intake {
    /// Returns the intake of an author of which everything up to `seq` is not wanted.
    pub(super) fn new(epoch: u64, seq: u64, now: u64) -> Self {
        Self {
            epoch,
            done: seq,
            ahead: BTreeSet::new(),
            front: seq,
            tail: seq,
            held: BTreeMap::new(),
            held_bytes: 0,
            hold_due: None,
            asking: Asking::default(),
            stalled: None,
            heard: now,
            lost: 0,
        }
    }

    /// Returns whether a number is neither settled nor here.
    pub(super) fn is_missing(&self, seq: u64) -> bool {
        seq > self.done && !self.ahead.contains(&seq) && !self.held.contains_key(&seq)
    }

    /// Returns how many bytes wait for earlier ones.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns how many numbers are remembered one by one.
    pub(super) fn remembered(&self) -> usize {
        self.ahead.len()
    }

    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// Takes a publication that came; without its text only as word that it exists.
    pub(super) fn take(&mut self, now: u64, publication: Publication, out: &mut Vec<Publication>) {
        let seq = publication.seq;
        self.heard = now;
        if !self.is_missing(seq) {
            return;
        }
        self.extend(now, seq, out);
        if publication.text.is_none() {
            self.asking.soon(now);
        } else if seq <= self.front {
            self.settle(now, seq);
            out.push(publication);
        } else {
            self.held_bytes += size(&publication);
            self.held.insert(seq, (now, publication));
            self.drain(now, out);
        }
        self.refresh(now);
    }

    /// Notes that a number that is missing will not come: its author does not keep it any more.
    pub(super) fn skip(&mut self, now: u64, seq: u64, out: &mut Vec<Publication>) {
        if self.is_missing(seq) && seq <= self.tail {
            self.lost = self.lost.saturating_add(1);
            self.refuse(now, seq, out);
        }
    }

    /// Drops a publication that came.
    pub(super) fn refuse(&mut self, now: u64, seq: u64, out: &mut Vec<Publication>) {
        if self.is_missing(seq) {
            self.extend(now, seq, out);
            self.settle(now, seq);
            self.drain(now, out);
            self.refresh(now);
        }
    }

    /// Notes how far the author says it has published.
    pub(super) fn announced(&mut self, now: u64, seq: u64, out: &mut Vec<Publication>) {
        self.heard = now;
        if seq.saturating_add(WINDOW) < self.tail {
            // It once named a number that it has not reached: nothing can be known from that.
            self.release(now, out);
            let lost = self.lost;
            *self = Self::new(self.epoch, seq, now);
            self.lost = lost;
            return;
        }
        self.extend(now, seq, out);
        if self.is_short() {
            self.asking.soon(now);
        }
        self.refresh(now);
    }

    /// Returns what to ask the author for over this link now, at most so many numbers.
    pub(super) fn ask(&mut self, now: u64, link: LinkId, most: usize) -> Vec<u64> {
        if !self.asking.is_due(now, link) {
            return Vec::new();
        }
        let seqs: Vec<u64> = self.missing(most.min(limits::FILL_SEQS)).collect();
        if seqs.is_empty() {
            // Nothing may be asked for now: there would be no room for the answer.
            self.asking.later(now);
        } else {
            self.asking.asked(now, link);
        }
        seqs
    }

    /// Does not ask until there is a link.
    pub(super) fn cannot_ask(&mut self) {
        self.asking.stop();
    }

    /// Notes that an answer of the author has come; `helped` when it settled anything.
    pub(super) fn answered(&mut self, now: u64, helped: bool) {
        self.asking.answered(now, helped);
        self.refresh(now);
    }

    /// Lets out what has waited long enough, and gives up what cannot be had.
    pub(super) fn tick(&mut self, now: u64, out: &mut Vec<Publication>) {
        if self.hold_due.is_some_and(|due| due <= now) {
            let mut latest = self.held.iter().rev();
            if let Some((&last, _)) = latest.find(|(_, (came, _))| came + HOLD_MS <= now) {
                self.pass_over(now, last, out);
            }
            self.hold_due = self.held.values().map(|(came, _)| came + HOLD_MS).min();
        }
        if self
            .stalled
            .is_some_and(|since| since + limits::PUBLICATION_MS <= now)
        {
            self.give_up(now, out);
        }
        self.refresh(now);
    }

    /// Lets out all that waits for earlier ones.
    pub(super) fn release(&mut self, now: u64, out: &mut Vec<Publication>) {
        if let Some((&last, _)) = self.held.last_key_value() {
            self.pass_over(now, last, out);
        }
        self.refresh(now);
    }

    /// Gives up on everything that is missing.
    pub(super) fn give_up(&mut self, now: u64, out: &mut Vec<Publication>) {
        self.slide(now, self.tail, out);
        self.refresh(now);
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let given_up = self.stalled.map(|since| since + limits::PUBLICATION_MS);
        [self.hold_due, self.asking.next_deadline(), given_up]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns whether anything is missing. If so, the number after `done` is: it would be
    /// settled otherwise, and what waits for earlier ones does not begin there.
    fn is_short(&self) -> bool {
        self.tail > self.done
    }

    fn missing(&self, most: usize) -> impl Iterator<Item = u64> {
        (self.done..self.tail)
            .map(|seq| seq + 1)
            .filter(|seq| self.is_missing(*seq))
            .take(most)
    }

    /// Notes that a number exists; what falls out of the window is given up.
    fn extend(&mut self, now: u64, seq: u64, out: &mut Vec<Publication>) {
        self.tail = self.tail.max(seq);
        let from = self.tail.saturating_sub(WINDOW);
        if from > self.done {
            self.slide(now, from, out);
        }
    }

    /// Settles all numbers up to `to`; publications that wait there are delivered.
    fn slide(&mut self, now: u64, to: u64, out: &mut Vec<Publication>) {
        let above = self.ahead.split_off(&(to.saturating_add(1)));
        let mut here = self.ahead.len() as u64;
        self.ahead = above;
        while let Some(first) = self.held.first_entry().filter(|e| *e.key() <= to) {
            let (_, publication) = first.remove();
            self.held_bytes -= size(&publication);
            out.push(publication);
            here += 1;
        }
        self.lost = self.lost.saturating_add(to - self.done - here);
        self.done = to;
        self.front = self.front.max(to);
        self.stalled = None;
        self.absorb();
        self.drain(now, out);
    }

    /// Lets out what waits up to `last`, without what is missing before it.
    fn pass_over(&mut self, now: u64, last: u64, out: &mut Vec<Publication>) {
        while let Some(first) = self.held.first_entry().filter(|e| *e.key() <= last) {
            let (seq, (_, publication)) = first.remove_entry();
            self.held_bytes -= size(&publication);
            out.push(publication);
            self.settle(now, seq);
        }
        self.front = self.front.max(last);
        self.drain(now, out);
    }

    /// Lets out what waits for nothing any more.
    fn drain(&mut self, now: u64, out: &mut Vec<Publication>) {
        while let Some(next) = self.front.checked_add(1) {
            if let Some((_, publication)) = self.held.remove(&next) {
                self.held_bytes -= size(&publication);
                out.push(publication);
                self.settle(now, next);
            } else if next > self.done && !self.ahead.contains(&next) {
                break;
            }
            self.front = next;
        }
    }

    /// Notes that a number is settled.
    fn settle(&mut self, now: u64, seq: u64) {
        self.ahead.insert(seq);
        let before = self.done;
        self.absorb();
        if self.done > before && self.stalled.is_some() {
            self.stalled = Some(now);
        }
    }

    fn absorb(&mut self) {
        while self.ahead.first().is_some_and(|seq| seq - 1 == self.done) {
            self.done += 1;
            self.ahead.pop_first();
        }
    }

    /// Sets the times at which something is due to what is there.
    fn refresh(&mut self, now: u64) {
        if self.is_short() {
            self.stalled.get_or_insert(now);
            self.asking.missed(now);
        } else {
            self.stalled = None;
            self.asking.stop();
        }
        if self.held.is_empty() {
            self.hold_due = None;
        } else {
            self.hold_due.get_or_insert(now + HOLD_MS);
        }
    }
}

fn size(publication: &Publication) -> usize {
    OVERHEAD + publication.text.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests;
