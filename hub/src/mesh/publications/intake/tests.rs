#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::journal::Journal;
use super::asking::{GRACE_MS, RETRY_MOST_MS, RETRY_MS};
use super::*;
use ecorelay_protocol::from_cbor;
use ecorelay_protocol::link::{Fill, PublicationKind};
use proptest::prelude::*;

const LINK: LinkId = LinkId(1);
const NONE: [u64; 0] = [];

fn text(seq: u64, text: Option<&str>) -> Publication {
    Publication {
        epoch: 1,
        seq,
        ts: 0,
        from: "a".parse().unwrap(),
        id: format!("m-{seq}"),
        kind: PublicationKind::Room("r".parse().unwrap()),
        text: text.map(str::to_owned),
    }
}

fn take(intake: &mut Intake, now: u64, seq: u64) -> Vec<u64> {
    let mut out = Vec::new();
    intake.take(now, text(seq, Some("x")), &mut out);
    seqs(&out)
}

fn seqs(out: &[Publication]) -> Vec<u64> {
    out.iter().map(|p| p.seq).collect()
}

fn tick(intake: &mut Intake, now: u64) -> Vec<u64> {
    let mut out = Vec::new();
    intake.tick(now, &mut out);
    seqs(&out)
}

#[test]
fn each_number_is_delivered_once_and_in_order() {
    let mut intake = Intake::new(1, 4, 0);
    assert_eq!(take(&mut intake, 0, 5), [5]);
    assert_eq!(take(&mut intake, 0, 5), NONE);
    assert_eq!(take(&mut intake, 0, 3), NONE, "from before it was known");
    assert_eq!(take(&mut intake, 0, 8), NONE);
    assert_eq!(take(&mut intake, 0, 7), NONE);
    assert_eq!(take(&mut intake, 0, 6), [6, 7, 8]);
    assert_eq!(take(&mut intake, 0, 7), NONE);
    assert_eq!((intake.next_deadline(), intake.remembered()), (None, 0));
    assert_eq!(intake.held_bytes(), 0);
}

#[test]
fn a_gap_is_asked_for_after_a_moment_and_again_when_nobody_answers() {
    let mut intake = Intake::new(1, 0, 0);
    take(&mut intake, 0, 4);
    assert_eq!(intake.next_deadline(), Some(GRACE_MS));
    assert!(intake.ask(0, LINK, 100).is_empty());
    assert_eq!(intake.ask(GRACE_MS, LINK, 2), [1, 2]);
    assert!(intake.ask(GRACE_MS, LINK, 100).is_empty());
    let again = GRACE_MS + RETRY_MS;
    assert!(intake.ask(again - 1, LINK, 100).is_empty());
    assert_eq!(intake.ask(again, LINK, 100), [1, 2, 3]);
    assert!(intake.ask(again + RETRY_MS, LINK, 100).is_empty());
    assert_eq!(
        intake.ask(again + RETRY_MS, LinkId(2), 100),
        [1, 2, 3],
        "the new link has not been asked"
    );
}

#[test]
fn a_text_that_stayed_behind_is_asked_for_at_once_and_keeps_its_place() {
    let mut intake = Intake::new(1, 0, 0);
    let mut out = Vec::new();
    intake.take(0, text(1, None), &mut out);
    intake.take(0, text(2, Some("small")), &mut out);
    assert!(out.is_empty());
    assert_eq!(intake.ask(0, LINK, 100), [1]);
    intake.take(9, text(1, Some("large")), &mut out);
    intake.answered(9, true);
    assert_eq!(seqs(&out), [1, 2]);
    assert_eq!(intake.next_deadline(), None);
}

#[test]
fn what_comes_behind_a_gap_waits_a_moment_and_no_longer() {
    let mut intake = Intake::new(1, 0, 0);
    take(&mut intake, 0, 2);
    take(&mut intake, 1_000, 4);
    intake.cannot_ask();
    assert_eq!(tick(&mut intake, HOLD_MS - 1), NONE);
    assert_eq!(tick(&mut intake, HOLD_MS), [2]);
    assert_eq!(take(&mut intake, HOLD_MS, 1), [1], "late, but there");
    assert_eq!(take(&mut intake, HOLD_MS, 3), [3, 4]);
    assert_eq!(intake.next_deadline(), None);
}

#[test]
fn a_gap_that_had_its_time_holds_nothing_back_any_more() {
    let mut intake = Intake::new(1, 0, 0);
    take(&mut intake, 0, 2);
    assert_eq!(tick(&mut intake, HOLD_MS), [2]);
    for seq in 3..50 {
        assert_eq!(take(&mut intake, HOLD_MS, seq), [seq]);
    }
}

#[test]
fn what_cannot_be_had_is_given_up() {
    let mut intake = Intake::new(1, 0, 0);
    take(&mut intake, 0, 5);
    let mut out = Vec::new();
    intake.skip(0, 1, &mut out);
    intake.skip(0, 1, &mut out);
    intake.skip(0, 9, &mut out);
    assert_eq!((intake.lost, out.len()), (1, 0));
    assert_eq!(tick(&mut intake, HOLD_MS), [5]);
    assert_eq!(tick(&mut intake, limits::PUBLICATION_MS), NONE);
    assert_eq!(intake.lost, 4);
    assert_eq!(intake.next_deadline(), None);
    assert_eq!(take(&mut intake, limits::PUBLICATION_MS, 6), [6]);
}

#[test]
fn an_author_says_that_there_is_more() {
    let mut intake = Intake::new(1, 3, 0);
    let mut out = Vec::new();
    intake.announced(0, 3, &mut out);
    assert_eq!(intake.next_deadline(), None);
    intake.announced(0, 5, &mut out);
    assert_eq!(intake.ask(0, LINK, 100), [4, 5]);
    intake.announced(0, 4, &mut out);
    assert_eq!(intake.tail(), 5);
}

#[test]
fn absurd_numbers_are_contained() {
    let mut intake = Intake::new(1, 0, 0);
    take(&mut intake, 0, 2);
    assert_eq!(take(&mut intake, 0, u64::MAX - 1), [2]);
    assert!(intake.lost > u64::MAX / 2);
    assert_eq!(intake.ask(GRACE_MS, LINK, 10_000).len(), limits::FILL_SEQS);
    assert_eq!(tick(&mut intake, HOLD_MS), [u64::MAX - 1]);
    take(&mut intake, 0, u64::MAX);
    assert!(intake.remembered() <= WINDOW as usize);
    let mut out = Vec::new();
    intake.announced(HOLD_MS, 7, &mut out);
    assert_eq!(
        take(&mut intake, HOLD_MS, 8),
        [8],
        "the author knows better"
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut intake = Intake::new(1, 0, 0);
    for seq in (2..100_000).step_by(2) {
        take(&mut intake, 0, seq);
        assert!(intake.held.len() as u64 <= WINDOW / 2);
    }
    tick(&mut intake, HOLD_MS);
    assert!(intake.remembered() as u64 <= WINDOW / 2);
    assert_eq!(intake.held_bytes(), 0);
}

/// One event between an author and a hub that listens.
#[derive(Debug, Clone)]
enum Step {
    /// The author publishes, a large text or a small one.
    Publish { large: bool },
    /// The nth gossip message on its way arrives; it may arrive again.
    Gossip { nth: usize, again: bool },
    /// The nth gossip message is lost.
    Lose { nth: usize },
    /// The author says how far it has published.
    Announce,
    /// The link breaks and comes again.
    Relink,
    /// Time passes, and what is asked is answered; or it is not.
    Pass { ms: u64, answered: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|large| Step::Publish { large }),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(nth, again)| Step::Gossip { nth, again }),
        2 => any::<usize>().prop_map(|nth| Step::Lose { nth }),
        1 => Just(Step::Announce),
        1 => Just(Step::Relink),
        3 => (0_u64..1_000, any::<bool>()).prop_map(|(ms, answered)| Step::Pass { ms, answered }),
    ]
}

/// An author, a listener and what is between them.
struct Pair {
    now: u64,
    journal: Journal,
    intake: Intake,
    link: u64,
    gossip: Vec<Publication>,
    out: Vec<Publication>,
}

impl Pair {
    fn publish(&mut self, large: bool) {
        let text = "x".repeat(if large { limits::GOSSIP_BYTES + 1 } else { 1 });
        let room = PublicationKind::Room("r".parse().unwrap());
        let from = "a".parse().unwrap();
        let bytes = self.journal.publish(self.now, 1, &from, "m", room, &text);
        self.gossip.push(from_cbor(&bytes).unwrap());
    }

    fn announce(&mut self) {
        let last = self.journal.last();
        self.intake.announced(self.now, last, &mut self.out);
    }

    /// Lets everything that is due until then happen.
    fn pass(&mut self, ms: u64, answered: bool) {
        let until = self.now + ms;
        loop {
            let seqs = self.intake.ask(self.now, LinkId(self.link), 64);
            if !seqs.is_empty() && answered {
                let answer = self.journal.answer(1, &Fill { epoch: 1, seqs });
                for seq in answer.gone {
                    self.intake.skip(self.now, seq, &mut self.out);
                }
                for publication in answer.items {
                    self.intake.take(self.now, publication, &mut self.out);
                }
                self.intake.answered(self.now, true);
                continue;
            }
            let due = self.intake.next_deadline().filter(|due| *due <= until);
            let Some(due) = due else {
                break;
            };
            self.now = self.now.max(due);
            self.intake.tick(self.now, &mut self.out);
        }
        self.now = until;
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish { large } => self.publish(large),
            Step::Gossip { nth, again } if !self.gossip.is_empty() => {
                let nth = nth % self.gossip.len();
                let publication = self.gossip[nth].clone();
                if !again {
                    self.gossip.remove(nth);
                }
                self.intake.take(self.now, publication, &mut self.out);
            }
            Step::Lose { nth } if !self.gossip.is_empty() => {
                self.gossip.remove(nth % self.gossip.len());
            }
            Step::Announce => self.announce(),
            Step::Relink => {
                self.link += 1;
                self.announce();
            }
            Step::Pass { ms, answered } => self.pass(ms, answered),
            Step::Gossip { .. } | Step::Lose { .. } => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_gossip_does_every_publication_is_delivered_once(
        steps in proptest::collection::vec(step(), 0..80)
    ) {
        let mut pair = Pair {
            now: 0,
            journal: Journal::default(),
            intake: Intake::new(1, 0, 0),
            link: 1,
            gossip: Vec::new(),
            out: Vec::new(),
        };
        // In order, unless something waited longer than it is held back.
        let patient = steps.iter().all(|s| !matches!(s, Step::Pass { answered: false, .. }));
        for step in steps {
            pair.run(step);
        }
        pair.announce();
        pair.pass(2 * RETRY_MOST_MS, true);
        let mut got = seqs(&pair.out);
        if patient {
            prop_assert!(got.is_sorted(), "{got:?}");
        }
        got.sort_unstable();
        prop_assert_eq!(got, (1..=pair.journal.last()).collect::<Vec<_>>());
        prop_assert!(pair.out.iter().all(|p| p.text.is_some()));
        prop_assert_eq!(pair.intake.lost, 0);
        prop_assert_eq!(pair.intake.next_deadline(), None);
    }
}
