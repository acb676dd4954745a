//! What the frames of a link mean, and how a link ends.

use crate::budget::Bucket;
use crate::hub::{Done, Turn};
use crate::mesh::{LinkId, LinkPath, directory, roster};
use crate::{Hub, Store};
use ecorelay_protocol::link::{Frame, FrameError, Query, Refuse, RefuseCode, Sync};
use ecorelay_protocol::{Bytes, PeerId, limits};

/// A link that is open.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) address: String,
    pub(crate) path: LinkPath,
    /// Since when, in ms.
    pub(crate) since: u64,
    pub(crate) stage: Stage,
    /// What it may still ask of the directory.
    pub(super) entries: Option<Bucket>,
    /// The other hub was sent what it lacks of the roster, and hears of every change since.
    pub(super) synced: bool,
    /// The digest of the newest key that was sent, and that came.
    pub(super) key_said: Option<Bytes>,
    pub(super) key_heard: Option<Bytes>,
    /// The round-trip time, in microseconds.
    pub(crate) round_trip: Option<u64>,
}

/// How far two hubs have taken each other in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No valid hello came yet.
    Greeting,
    /// The other said hello, but not both are known to be on the roster: nothing but the roster
    /// counts.
    Joining,
    /// Both belong to the mesh.
    Accepted,
    /// It is being closed.
    Refused,
}

impl Hub {
    pub(super) fn link_up(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: PeerId,
        address: String,
        path: LinkPath,
    ) -> Done {
        self.save_mesh(t)?;
        self.dial_worked(&peer, &address);
        let entry = Link {
            peer,
            address,
            path,
            since: t.now,
            stage: Stage::Greeting,
            entries: None,
            synced: false,
            key_said: None,
            key_heard: None,
            round_trip: None,
        };
        self.mesh.links.insert(link, entry);
        let hello = self.hello(t.now);
        t.effects.frame_first(link, &Frame::Hello(Box::new(hello)));
        Ok(())
    }

    pub(super) fn link_frame(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        frame: Result<Box<Frame>, FrameError>,
    ) -> Done {
        let Some(entry) = self.mesh.links.get(&link) else {
            return Ok(());
        };
        let (peer, stage) = (entry.peer.clone(), entry.stage);
        let frame = match frame {
            Ok(frame) => *frame,
            Err(error) => {
                self.bad_frame(t, link, &error.to_string());
                return Ok(());
            }
        };
        match (stage, frame) {
            (Stage::Refused, _) | (_, Frame::Unknown(_) | Frame::Ping(_) | Frame::Pong(_)) => {
                Ok(())
            }
            (_, Frame::Refuse(refuse)) => self.refused(t, link, &peer, refuse),
            (Stage::Greeting, Frame::Hello(hello)) => self.greeted(t, link, peer, *hello),
            (Stage::Joining | Stage::Accepted, Frame::Roster(entries)) => {
                self.take_roster(t, link, entries)
            }
            // The other side took this hub in before this one took in the other.
            (Stage::Joining, Frame::Sync(_)) => Ok(()),
            (Stage::Accepted, frame) => self.member_frame(t, link, &peer, frame),
            (Stage::Greeting | Stage::Joining, _) => {
                self.bad_frame(t, link, "out of its place");
                Ok(())
            }
        }
    }

    /// Takes a frame of a hub that belongs to the mesh.
    fn member_frame(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        frame: Frame,
    ) -> Done {
        match frame {
            Frame::Sync(sync) => self.synced(t, link, peer, &sync),
            Frame::Message(message) => self.incoming(t, link, peer, *message),
            Frame::Ack(ack) => self.acked(t, peer, ack),
            Frame::Receipt(receipt) => self.receipt(t, peer, receipt),
            Frame::Query(query) => self.queried(t, link, peer, &query),
            Frame::Entry(signed) => self.take_entry(t, link, signed),
            Frame::Delta(delta) => self.take_delta(t, link, peer, delta),
            Frame::Want(wanted) => {
                self.send_entries(t, link, wanted.iter().take(limits::HUBS));
                Ok(())
            }
            Frame::Published(published) => self.heard_published(t, link, peer, published),
            Frame::Fill(fill) => self.fill_asked(t, link, &fill),
            Frame::Publications(publications) => self.filled(t, peer, publications),
            Frame::GroupVersions(versions) => self.group_versions(t, link, peer, &versions),
            Frame::GroupOps(ops) => self.group_ops(t, link, peer, ops),
            Frame::Rekey(signed) => self.take_rekey(t, link, signed),
            Frame::Tickets(tickets) => self.take_tickets(t, link, tickets),
            _ => {
                self.bad_frame(t, link, "out of its place");
                Ok(())
            }
        }
    }

    /// Takes a link into use: both hubs belong to the mesh.
    pub(super) fn accept_link(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
    ) -> Done {
        let others: Vec<LinkId> = self
            .mesh
            .links
            .iter()
            .filter(|(id, entry)| **id != link && entry.peer == *peer)
            .map(|(id, _)| *id)
            .collect();
        for other in others {
            if let Some(entry) = self.mesh.links.get_mut(&other) {
                entry.stage = Stage::Refused;
            }
            roster::close(t, other);
        }
        if let Some(entry) = self.mesh.links.get_mut(&link) {
            entry.stage = Stage::Accepted;
        }
        if let Some(known) = self.mesh.hubs.get_mut(peer) {
            known.link = Some(link);
            known.row.last_seen = t.now;
            known.why = None;
            known.changed = true;
        }
        self.save_hubs(t)?;
        self.refresh_own_entry(t)?;
        // The other side may not have heard yet that both belong to the mesh; until it has, it
        // does not look at what follows.
        let mut admissions = self.mesh.roster.chain(&self.mesh.me);
        admissions.extend(self.mesh.roster.chain(peer));
        roster::send_roster(t, link, admissions);
        let sync = Frame::Sync(Sync {
            roster: self.mesh.roster.digests(),
            directory: self.entry_versions(),
            published: self.mesh.publishing.published(self.mesh.epoch),
            whole: true,
        });
        t.effects.frame_first(link, &sync);
        self.flush_lazy(t)?;
        self.replay_outbox(t, peer)?;
        let open = t.store.unsettled(peer, limits::QUERY_IDS)?;
        if !open.is_empty() {
            let msg_ids = open.into_iter().map(|row| row.msg_id).collect();
            t.effects
                .frame_after(link, &Frame::Query(Query { msg_ids }));
        }
        self.tell_tickets(t, link);
        self.groups_linked(t, link, peer)?;
        self.pairing_linked(t, peer);
        self.no_doubt(peer);
        self.status_changed(t);
        Ok(())
    }

    /// A linked hub says what it has: sends what it lacks.
    fn synced(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        sync: &Sync,
    ) -> Done {
        if sync.directory.len() > limits::HUBS || sync.roster.len() > 2 * limits::ROSTER {
            self.bad_frame(t, link, "longer than a mesh can be large");
            return Ok(());
        }
        if sync.whole {
            roster::send_roster(t, link, self.mesh.roster.missing(&sync.roster));
            if let Some(entry) = self.mesh.links.get_mut(&link) {
                entry.synced = true;
            }
            self.say_key(t, link);
        }
        let newer = directory::newer(&self.entry_versions(), sync);
        self.send_entries(t, link, newer.iter());
        if sync.whole {
            return self.heard_published(t, link, peer, sync.published);
        }
        Ok(())
    }

    pub(super) fn link_down(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        reason: &str,
    ) -> Done {
        let Some(entry) = self.mesh.links.remove(&link) else {
            return Ok(());
        };
        let peer = entry.peer;
        let Some(known) = self.mesh.hubs.get_mut(&peer) else {
            return Ok(());
        };
        if known.link == Some(link) {
            known.link = None;
            known.offline_since = t.now;
            known.row.last_seen = t.now;
            known.changed = true;
            if known.why.is_none() {
                known.why = Some(ecorelay_protocol::visible(reason));
            }
            if let Some(outbox) = self.mesh.outboxes.get_mut(&peer) {
                outbox.link_lost();
            }
            self.save_hubs(t)?;
        }
        self.key_progress(t);
        self.status_changed(t);
        Ok(())
    }

    /// Closes a link and tells the other hub why.
    pub(super) fn refuse_link(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        refuse: Refuse,
    ) {
        let Some(entry) = self.mesh.links.get_mut(&link) else {
            return;
        };
        entry.stage = Stage::Refused;
        let peer = entry.peer.clone();
        if let Some(known) = self.mesh.hubs.get_mut(&peer)
            && known.link == Some(link)
        {
            known.link = None;
            known.offline_since = t.now;
            if let Some(outbox) = self.mesh.outboxes.get_mut(&peer) {
                outbox.link_lost();
            }
        }
        t.effects.frame_after(link, &Frame::Refuse(refuse));
        roster::close(t, link);
        self.status_changed(t);
    }

    /// Closes a link on which nonsense came, and says so once.
    pub(crate) fn bad_frame(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId, what: &str) {
        let Some(peer) = self.mesh.links.get(&link).map(|entry| entry.peer.clone()) else {
            return;
        };
        let name = self.hub_name(&peer);
        self.mesh.troubles.raise(
            "bad_frame",
            peer.as_str(),
            format!("The hub {name} sent {what}; its link was closed."),
            "If it runs another version of EcoRelay, update the older one; if that does not help, it is damaged or hostile.",
            t.now,
        );
        let refuse = Refuse {
            code: RefuseCode::BadFrame,
            message: format!("A frame was not valid: {what}."),
        };
        self.refuse_link(t, link, refuse);
    }
}
