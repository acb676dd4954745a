//! What came of another hub, delivered to the sessions of this one.

use super::watch::Trouble;
use super::{Author, Publishing};
use crate::budget::Rate;
use crate::hub::{Done, Turn};
use crate::{Hub, Store};
use ecorelay_protocol::link::{Fill, Frame, Publication, PublicationKind, Publications};
use ecorelay_protocol::{Address, PeerId, limits, to_cbor};

/// What went wrong in a turn and how often; never for [`Trouble::Silent`], which is over then.
type Told = Vec<(Trouble, u64)>;

impl Author {
    /// Takes a publication in, if the budget of its author allows one more.
    pub(super) fn take(
        &mut self,
        now: u64,
        rate: Rate,
        publication: Publication,
        out: &mut Vec<Publication>,
    ) -> Option<(Trouble, u64)> {
        if publication.text.is_some()
            && self.intake.is_missing(publication.seq)
            && !rate.take(&mut self.budget, now)
        {
            self.intake.refuse(now, publication.seq, out);
            return Some((Trouble::Flood, 1));
        }
        self.intake.take(now, publication, out);
        None
    }

    /// Takes an answer in; says too whether to make the connection anew.
    pub(super) fn fill(
        &mut self,
        now: u64,
        rate: Rate,
        publications: Publications,
        out: &mut Vec<Publication>,
    ) -> (Told, bool) {
        let mut told = Told::new();
        let empty = publications.gone.is_empty() && publications.items.is_empty();
        let (mut settled, mut redial) = (0, false);
        for seq in publications.gone {
            settled += usize::from(self.intake.is_missing(seq));
            self.intake.skip(now, seq, out);
        }
        for publication in publications.items {
            let seq = publication.seq;
            if !self.intake.is_missing(seq) || seq > self.intake.tail() {
                continue;
            }
            settled += 1;
            let right = publication.epoch == self.intake.epoch && publication.text.is_some();
            if !right || !publication.is_valid() {
                self.intake.skip(now, seq, out);
                told.push((Trouble::Unreadable, 1));
                continue;
            }
            let small = fits_gossip(&publication);
            redial |= small && self.watchdog.filled(now, seq);
            told.extend(self.take(now, rate, publication, out));
        }
        if !empty {
            self.intake.answered(now, settled > 0);
        }
        if redial {
            told.push((Trouble::Silent, 1));
        }
        (told, redial)
    }
}

/// Returns whether gossip should have brought the text.
fn fits_gossip(publication: &Publication) -> bool {
    let length = publication.text.as_ref().map_or(0, String::len);
    length <= limits::GOSSIP_BYTES && to_cbor(publication).len() <= limits::GOSSIP_BYTES
}

impl Hub {
    /// Returns whether a hub may publish here.
    pub(super) fn is_author(&self, peer: &PeerId) -> bool {
        self.mesh.hubs.contains_key(peer) && self.mesh.is_member(peer)
    }

    /// Changes what is known of an author and does what follows: delivers, asks for what is
    /// missing, warns. `place` is the author's start and the number before which nothing is
    /// wanted if it is new here.
    pub(super) fn author_turn(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        place: (u64, u64),
        change: impl FnOnce(u64, &mut Author, Rate, &mut Vec<Publication>) -> Told,
    ) -> Done {
        let mut out = Vec::new();
        let recent = self.mesh.hubs.get(peer).is_some_and(|known| {
            known.link.is_some() || known.offline_since + limits::PUBLICATION_MS > t.now
        });
        let publishing = &mut self.mesh.publishing;
        if publishing.authors.len() >= limits::HUBS && !publishing.authors.contains_key(peer) {
            let hubs = &self.mesh.hubs;
            publishing.authors.retain(|peer, _| hubs.contains_key(peer));
        }
        let rate = publishing.rate;
        let Some(author) = publishing.meet(t.now, peer, place, recent, &mut out) else {
            return Ok(());
        };
        let lost = author.intake.lost;
        let told = change(t.now, author, rate, &mut out);
        let lost = author.intake.lost.saturating_sub(lost);
        if lost > 0 {
            self.note_trouble(t, Trouble::Missed, peer, lost);
        }
        for (trouble, count) in told {
            if count == 0 {
                self.lift_trouble(t, trouble, peer);
            } else {
                self.note_trouble(t, trouble, peer, count);
            }
        }
        self.ask_author(t, peer);
        self.mesh.publishing.contain(t.now, peer, &mut out);
        let done = self.deliver_all(t, peer, out);
        let Some(surplus) = self.mesh.publishing.surplus(peer) else {
            return done;
        };
        let mut out = Vec::new();
        if let Some(author) = self.mesh.publishing.authors.get_mut(&surplus) {
            author.intake.give_up(t.now, &mut out);
        }
        self.note_trouble(t, Trouble::Missed, &surplus, 1);
        done.and(self.deliver_all(t, &surplus, out))
    }

    /// Asks a linked author for what is missing, if that is due.
    fn ask_author(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) {
        let link = self.mesh.link_to(peer);
        let Publishing { authors, rate, .. } = &mut self.mesh.publishing;
        let Some(author) = authors.get_mut(peer) else {
            return;
        };
        let Some(link) = link else {
            return author.intake.cannot_ask();
        };
        // What comes beyond the budget would be dropped.
        let most = rate.left(&mut author.budget, t.now);
        let seqs = author.intake.ask(t.now, link, most);
        if !seqs.is_empty() {
            let epoch = author.intake.epoch;
            t.effects.frame(link, &Frame::Fill(Fill { epoch, seqs }));
        }
    }

    fn deliver_all(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        author: &PeerId,
        publications: Vec<Publication>,
    ) -> Done {
        let mut done = Ok(());
        for publication in publications {
            let Some(hub) = self.mesh.hub_id(author).cloned() else {
                break;
            };
            let from = Address {
                name: publication.from.clone(),
                hub: Some(hub),
            };
            let delivered = match publication.kind {
                PublicationKind::Room(ref room) => {
                    let text = publication.text.as_deref().unwrap_or_default();
                    self.room_said_elsewhere(t, room, &from, text, &publication.id);
                    Ok(())
                }
                PublicationKind::Ask => {
                    let Publishing {
                        authors, ask_rate, ..
                    } = &mut self.mesh.publishing;
                    let asks = authors.get_mut(author).map(|author| &mut author.asks);
                    if asks.is_some_and(|asks| ask_rate.take(asks, t.now)) {
                        self.asked_elsewhere(t, author, from, publication)
                    } else {
                        self.note_trouble(t, Trouble::Flood, author, 1);
                        Ok(())
                    }
                }
            };
            done = done.and(delivered);
        }
        done
    }

    pub(super) fn note_trouble(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        trouble: Trouble,
        peer: &PeerId,
        count: u64,
    ) {
        let troubles = &mut self.mesh.publishing.troubles;
        if let Some(count) = troubles.note(t.now, trouble, peer, count) {
            let hub = self.hub_name(peer);
            let message = trouble.message(&hub, count);
            self.raise_trouble(t.now, trouble.code(), peer, message, trouble.remedy());
            self.status_changed(t);
        }
    }

    fn lift_trouble(&mut self, t: &mut Turn<'_, impl Store>, trouble: Trouble, peer: &PeerId) {
        if self.mesh.publishing.troubles.lift(trouble, peer) {
            self.trouble_over(trouble.code(), peer);
            self.status_changed(t);
        }
    }

    pub(super) fn forget_troubles(&mut self, t: &mut Turn<'_, impl Store>) {
        for (trouble, peer) in self.mesh.publishing.troubles.forget_old(t.now) {
            self.trouble_over(trouble.code(), &peer);
            self.status_changed(t);
        }
    }
}
