//! Rooms and broadcasts between hubs: gossip as the fast way, links to fill its gaps.
//!
//! `journal` holds what this hub has published, `publish` brings it out, `intake` what it has of each other hub, `receive`
//! delivers that, `watch` what goes wrong, `elsewhere` who is there to hear it.

mod elsewhere;
mod intake;
mod journal;
mod publish;
mod receive;
mod watch;

use crate::budget::{Bucket, Rate};
use crate::hub::{Done, Turn};
use crate::mesh::LinkId;
use crate::{Effect, Hub, MeshEffect, Store, Tunables};
use ecorelay_protocol::link::{Publication, Publications, Published};
use ecorelay_protocol::{CborError, PeerId, limits};
use intake::{Intake, WINDOW};
use journal::Journal;
use std::collections::{BTreeMap, BTreeSet};
use watch::{Trouble, Troubles, Watchdog};

/// Publications are taken from one hub as if so many of its sessions used up their push budgets:
/// at once, and in the long run. Honest ones stay far below.
const SESSIONS_PER_HUB: (u32, u32) = (2, 20);
/// Questions to all are taken from one hub as if so many of its sessions used up their budgets.
/// Each wakes every session.
const ASKERS_PER_HUB: u32 = 10;
/// Requests to fill gaps that are answered to one hub: at once, and per minute. Each may ask
/// for a megabyte.
const FILLS_PER_HUB: (u32, u32) = (500, 6_000);
/// Publications of all hubs that wait for earlier ones, in bytes.
const HELD_BYTES: usize = 16 * 1024 * 1024;
/// Numbers of all hubs that are remembered one by one.
const REMEMBERED: usize = 64 * limits::PUBLICATIONS;

/// What this hub has published and what it has of others.
#[derive(Debug)]
pub(crate) struct Publishing {
    journal: Journal,
    authors: BTreeMap<PeerId, Author>,
    /// The authors of whom something is missing or waits.
    open: BTreeSet<PeerId>,
    /// How much each hub may still ask for.
    fills: BTreeMap<PeerId, Bucket>,
    troubles: Troubles,
    rate: Rate,
    ask_rate: Rate,
    fill_rate: Rate,
}

/// Another hub that publishes.
#[derive(Debug)]
struct Author {
    intake: Intake,
    watchdog: Watchdog,
    budget: Bucket,
    asks: Bucket,
}

impl Publishing {
    pub(crate) fn new(tunables: &Tunables) -> Self {
        let (burst, long_run) = SESSIONS_PER_HUB;
        let asks = tunables
            .broadcasts_per_minute
            .saturating_mul(ASKERS_PER_HUB);
        Self {
            journal: Journal::default(),
            authors: BTreeMap::new(),
            open: BTreeSet::new(),
            fills: BTreeMap::new(),
            troubles: Troubles::default(),
            rate: Rate::new(
                tunables.push_burst.saturating_mul(burst),
                tunables.push_per_minute.saturating_mul(long_run),
            ),
            ask_rate: Rate::new(asks, asks),
            fill_rate: Rate::new(FILLS_PER_HUB.0, FILLS_PER_HUB.1),
        }
    }

    /// Returns when [`Hub::publishing_timers`] is due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let authors = self.open.iter().filter_map(|peer| self.authors.get(peer));
        authors
            .filter_map(|author| author.intake.next_deadline())
            .chain(self.journal.next_deadline())
            .chain(self.troubles.next_deadline())
            .min()
    }

    /// Returns how far this hub has published.
    pub(crate) fn published(&self, epoch: u64) -> Published {
        Published {
            epoch,
            seq: self.journal.last(),
        }
    }

    /// Returns the author whose start `epoch` is, unless it has started again since. Of an
    /// author that is new here nothing up to `seq` is wanted. Of one that has started again
    /// everything is, if it was here a short while ago (`recent`): what it said since is no
    /// older than what a gap of the same start would be filled with.
    fn meet(
        &mut self,
        now: u64,
        peer: &PeerId,
        (epoch, seq): (u64, u64),
        recent: bool,
        out: &mut Vec<Publication>,
    ) -> Option<&mut Author> {
        let (rate, ask_rate) = (self.rate, self.ask_rate);
        let author = self.authors.entry(peer.clone()).or_insert_with(|| Author {
            intake: Intake::new(epoch, seq, now),
            watchdog: Watchdog::default(),
            budget: rate.full(now),
            asks: ask_rate.full(now),
        });
        if author.intake.epoch > epoch {
            return None;
        }
        if author.intake.epoch < epoch {
            author.intake.release(now, out);
            let recent = recent || author.intake.heard + limits::PUBLICATION_MS > now;
            let from = if recent {
                seq.saturating_sub(WINDOW)
            } else {
                seq
            };
            author.intake = Intake::new(epoch, from, now);
        }
        Some(author)
    }

    /// Forgets an author that does not belong to the mesh any more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.authors.remove(peer);
        self.open.remove(peer);
    }

    /// Notes whether an author needs looking after, and lets out what it has waiting if there is
    /// too much of that.
    fn contain(&mut self, now: u64, peer: &PeerId, out: &mut Vec<Publication>) {
        let Some(author) = self.authors.get(peer) else {
            return;
        };
        let holds = author.intake.held_bytes() > 0;
        match author.intake.next_deadline() {
            Some(_) => self.open.insert(peer.clone()),
            None => self.open.remove(peer),
        };
        if holds {
            let held: usize = self.intakes().map(|(_, i)| i.held_bytes()).sum();
            if held > HELD_BYTES
                && let Some(author) = self.authors.get_mut(peer)
            {
                author.intake.release(now, out);
            }
        }
    }

    /// Returns the author of whom most numbers are remembered one by one, if there are too many.
    fn surplus(&self, peer: &PeerId) -> Option<PeerId> {
        let remembered = self.authors.get(peer)?.intake.remembered();
        let all = || self.intakes().map(|(_, intake)| intake.remembered());
        if remembered == 0 || all().sum::<usize>() <= REMEMBERED {
            return None;
        }
        let largest = self.intakes().max_by_key(|(_, i)| i.remembered())?;
        Some(largest.0.clone())
    }

    fn intakes(&self) -> impl Iterator<Item = (&PeerId, &Intake)> {
        let open = self.open.iter();
        open.filter_map(|peer| Some((peer, &self.authors.get(peer)?.intake)))
    }
}

impl Hub {
    /// A gossip message came.
    pub(crate) fn gossip(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        author: PeerId,
        publication: Result<Box<Publication>, CborError>,
    ) -> Done {
        if !self.is_author(&author) {
            return Ok(());
        }
        let Some(publication) = publication.ok().filter(|p| p.is_valid()) else {
            self.note_trouble(t, Trouble::Unreadable, &author, 1);
            return Ok(());
        };
        let place = (publication.epoch, publication.seq - 1);
        self.author_turn(t, &author, place, |now, a, rate, out| {
            a.watchdog.gossip();
            let mut told = vec![(Trouble::Silent, 0)];
            told.extend(a.take(now, rate, *publication, out));
            told
        })
    }

    /// A linked hub says how far it has published.
    pub(crate) fn heard_published(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        published: Published,
    ) -> Done {
        if !self.is_author(peer) {
            return Ok(());
        }
        let seq = published.seq;
        self.author_turn(t, peer, (published.epoch, seq), |now, a, _, out| {
            a.watchdog.announced(link, a.intake.tail(), seq);
            a.intake.announced(now, seq, out);
            Vec::new()
        })
    }

    /// A linked hub sends publications of its own that were asked for.
    pub(crate) fn filled(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        publications: Publications,
    ) -> Done {
        let authors = &self.mesh.publishing.authors;
        let known = authors.get(peer).map(|author| author.intake.epoch);
        if !self.is_author(peer) || known != Some(publications.epoch) {
            return Ok(());
        }
        let mut redial = false;
        let place = (publications.epoch, 0);
        let done = self.author_turn(t, peer, place, |now, a, rate, out| {
            let (told, again) = a.fill(now, rate, publications, out);
            redial = again;
            told
        });
        if redial {
            let peer = peer.clone();
            let effect = Effect::Mesh(MeshEffect::Redial { peer });
            t.effects.now.push(effect);
        }
        done
    }

    pub(crate) fn publishing_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        self.journal_timers(t);
        self.forget_troubles(t);
        let is_due = |intake: &Intake| intake.next_deadline().is_some_and(|due| due <= t.now);
        let due = self.mesh.publishing.intakes().filter(|(_, i)| is_due(i));
        let due: Vec<(PeerId, u64)> = due.map(|(p, i)| (p.clone(), i.epoch)).collect();
        let mut done = Ok(());
        for (peer, epoch) in due {
            if !self.is_author(&peer) {
                self.mesh.publishing.forget(&peer);
                continue;
            }
            let turn = self.author_turn(t, &peer, (epoch, 0), |now, a, _, out| {
                a.intake.tick(now, out);
                Vec::new()
            });
            done = done.and(turn);
        }
        done
    }
}
