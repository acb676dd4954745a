//! Tickets that are out: made here, told by other hubs of the mesh, used up on contact with any.

use super::attempts::{no, not_member};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::mesh::LinkId;
use crate::{Hub, Store, TicketRow, Write};
use ecorelay_protocol::link::{Frame, Signed};
use ecorelay_protocol::pairing::{PairingCode as Why, PairingRefuse, TicketRecord};
use ecorelay_protocol::{Bytes, ErrorCode, HubLine, PeerId, Ticket, from_cbor, iso_ms, limits};
use std::collections::{BTreeMap, BTreeSet};

/// A listener that was shut listens within this time, or the ticket is made without an address,
/// in ms.
const LISTEN_MS: u64 = 3_000;
/// Invitations that wait for that.
const WAITING: usize = 64;
/// A ticket that has ended is known for this long, so that who comes with it is told so, in ms.
const ENDED_MS: u64 = 60 * 60 * 1_000;
/// Tickets of one frame.
const CHUNK: usize = 64;
/// Linked members whose addresses go into a ticket.
const MEMBERS: usize = 8;
/// Addresses of each, and of this hub.
const ADDRESSES: usize = 4;

/// A ticket that is out.
#[derive(Debug)]
pub(super) struct TicketState {
    pub(super) record: TicketRecord,
    row: TicketRow,
}

impl TicketState {
    fn author(&self) -> &PeerId {
        &self.row.record.by
    }

    /// Returns when it is forgotten.
    pub(super) fn next_deadline(&self) -> u64 {
        self.record.expires.saturating_add(ENDED_MS)
    }
}

/// An invitation that waits until this hub listens somewhere.
#[derive(Debug)]
pub(super) struct WaitingInvite {
    pub(super) caller: Caller,
    ticket: Bytes,
    created: bool,
    pub(super) deadline: u64,
}

/// Returns the tickets in stored rows; their signatures were checked before that.
pub(super) fn load(rows: &[TicketRow]) -> BTreeMap<Bytes, TicketState> {
    let state = |row: &TicketRow| {
        let record = from_cbor(&row.record.payload.0).ok()?;
        let row = row.clone();
        Some((row.id.clone(), TicketState { record, row }))
    };
    rows.iter().filter_map(state).collect()
}

impl Hub {
    pub(crate) fn invite(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        expires_s: Option<usize>,
        uses: Option<usize>,
    ) -> Done {
        let good_for = expires_s.map_or(limits::TICKET_MS, |s| s as u64 * 1_000);
        if self.joins() {
            return refuse(
                ErrorCode::NotMember,
                "This hub is still joining a mesh and cannot invite others yet. `ecorelay node status` says what it waits for.",
            );
        }
        if self.own_tickets(t.now).count() >= limits::TICKETS {
            return refuse(
                ErrorCode::RateLimited,
                format!(
                    "{} tickets of this hub are out already; wait until one is used up or ends.",
                    limits::TICKETS
                ),
            );
        }
        // One that ended before it let this hub in is as good as none.
        self.stop_joining(t)?;
        let created = self.mesh.root().is_none();
        if created {
            self.create_mesh(t)?;
        }
        let Some(ticket) = self.make_ticket(t, t.now + good_for, uses.unwrap_or(1))? else {
            return Ok(());
        };
        let invite = WaitingInvite {
            caller: caller.clone(),
            ticket,
            created,
            deadline: t.now + LISTEN_MS,
        };
        if self.pairing.listening.is_empty() && self.pairing.invites.len() < WAITING {
            self.pairing.invites.push(invite);
        } else {
            self.answer_invite(t, &invite);
        }
        Ok(())
    }

    fn make_ticket(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        expires: u64,
        uses: usize,
    ) -> Done<Option<Bytes>> {
        let (id, secret) = (self.ids.secret(), self.ids.secret());
        let Some(row) = &self.mesh.row else {
            return Ok(None);
        };
        let record = TicketRecord {
            root: row.root.clone(),
            id: Bytes(id[..TicketRecord::ID_BYTES].to_vec()),
            secret: Bytes(secret.to_vec()),
            uses: u32::try_from(uses.clamp(1, limits::TICKET_USES)).unwrap_or(1),
            expires,
        };
        let id = record.id.clone();
        let me = self.keys.peer_id().clone();
        let signed = Signed::new(me, &record, |m| self.keys.sign(m));
        self.room_for_ticket(t)?;
        self.put_ticket(t, record, signed.clone())?;
        self.spread_tickets(t, None, vec![signed]);
        Ok(Some(id))
    }

    fn put_ticket(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        record: TicketRecord,
        signed: Signed,
    ) -> Done {
        let row = TicketRow {
            id: record.id.clone(),
            record: signed,
            handed: Vec::new(),
        };
        self.write(t, Write::PutTicket(Box::new(row.clone())))?;
        let id = record.id.clone();
        self.pairing.tickets.insert(id, TicketState { record, row });
        self.pairing.door.changed();
        Ok(())
    }

    /// Answers invitations when the pairing listener has an address, or has had its time.
    pub(super) fn invite_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        let listens = !self.pairing.listening.is_empty();
        let (ready, waiting) = std::mem::take(&mut self.pairing.invites)
            .into_iter()
            .partition(|invite| listens || invite.deadline <= t.now);
        self.pairing.invites = waiting;
        let ready: Vec<WaitingInvite> = ready;
        for invite in ready {
            self.answer_invite(t, &invite);
        }
    }

    fn answer_invite(&mut self, t: &mut Turn<'_, impl Store>, invite: &WaitingInvite) {
        let Some(state) = self.pairing.tickets.get(&invite.ticket) else {
            return;
        };
        let record = &state.record;
        let own = self.pairing.listening.iter().take(ADDRESSES);
        let members = self
            .mesh
            .linked()
            .filter_map(|(_, known, _)| known.entry.as_ref());
        let members = members
            .filter(|entry| !entry.pairing.is_empty())
            .take(MEMBERS);
        let others = members.flat_map(|entry| entry.pairing.iter().take(ADDRESSES));
        let ticket = Ticket {
            id: record.id.clone(),
            secret: record.secret.clone(),
            root: record.root.clone(),
            inviter: self.keys.peer_id().clone(),
            hub_id: self.config.hub_id.clone(),
            addresses: own.chain(others).cloned().collect(),
            rendezvous: self.rendezvous_servers(),
            expires: record.expires,
        };
        let line = HubLine::InviteResult {
            ticket: ticket.encode(),
            expires: ticket.expires,
            created: invite.created,
            req_id: None,
        };
        self.answer(t, &invite.caller, line);
    }

    /// Returns the tickets of this hub that can still be used, and when they end.
    pub(super) fn own_tickets(&self, now: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let me = self.keys.peer_id();
        let own = self.pairing.tickets.iter();
        own.filter(move |(id, state)| {
            state.author() == me
                && state.record.expires > now
                && self.used(id, state).len() < state.record.uses as usize
        })
        .map(|(id, state)| (state.record.expires, id))
    }

    /// Returns how many tickets of the mesh can be used now, as far as this hub knows.
    pub(crate) fn open_tickets(&self, now: u64) -> usize {
        let open = self.pairing.tickets.iter().filter(|(id, state)| {
            state.record.expires > now && self.used(id, state).len() < state.record.uses as usize
        });
        open.count()
    }

    /// Returns who has come in with a ticket, or may have.
    fn used(&self, id: &Bytes, state: &TicketState) -> BTreeSet<PeerId> {
        let mut used = self.mesh.admitted_with(id);
        used.extend(state.row.handed.iter().cloned());
        used
    }

    /// Returns whether a hub may come in with a ticket now.
    pub(super) fn check_ticket(
        &self,
        now: u64,
        id: &Bytes,
        peer: &PeerId,
    ) -> Result<&TicketState, PairingRefuse> {
        let Some(state) = self.pairing.tickets.get(id) else {
            return Err(no(
                Why::Unknown,
                "No such ticket is known here. Make a new one on a hub of the mesh: ecorelay invite",
            ));
        };
        if self.mesh.is_revoked(peer) {
            return Err(not_member());
        }
        if !self.mesh.is_member(state.author()) {
            return Err(no(
                Why::NotMember,
                "The hub that made the ticket does not belong to the mesh any more. Make a new one on another: ecorelay invite",
            ));
        }
        if state.record.expires <= now {
            return Err(no(
                Why::Expired,
                format!(
                    "The ticket expired at {}. Make a new one: ecorelay invite",
                    iso_ms(state.record.expires)
                ),
            ));
        }
        let used = self.used(id, state);
        if used.len() >= state.record.uses as usize && !used.contains(peer) {
            return Err(no(
                Why::Used,
                "The ticket was used as often as it may be. Make a new one: ecorelay invite",
            ));
        }
        Ok(state)
    }

    /// Notes that a hub is given a place for a ticket, before it is.
    pub(super) fn hand_out(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: &Bytes,
        peer: &PeerId,
    ) -> Done<Result<(), PairingRefuse>> {
        if let Err(refuse) = self.check_ticket(t.now, id, peer) {
            return Ok(Err(refuse));
        }
        let state = self.pairing.tickets.get_mut(id);
        if let Some(state) = state.filter(|state| !state.row.handed.contains(peer)) {
            state.row.handed.push(peer.clone());
            let row = state.row.clone();
            self.write(t, Write::PutTicket(Box::new(row)))?;
        }
        Ok(Ok(()))
    }

    /// Tells a hub that was just linked of the tickets that are out.
    pub(crate) fn tell_tickets(&self, t: &mut Turn<'_, impl Store>, link: LinkId) {
        let live = self.pairing.tickets.values();
        let live = live.filter(|state| state.record.expires > t.now);
        let live: Vec<Signed> = live.map(|state| state.row.record.clone()).collect();
        for chunk in live.chunks(CHUNK) {
            t.effects.frame_after(link, &Frame::Tickets(chunk.to_vec()));
        }
    }

    /// Sends tickets to every linked hub but the one they came from.
    fn spread_tickets(
        &self,
        t: &mut Turn<'_, impl Store>,
        from: Option<LinkId>,
        tickets: Vec<Signed>,
    ) {
        let frame = Frame::Tickets(tickets);
        let links = self.mesh.linked().map(|(_, _, link)| link);
        for link in links.filter(|link| Some(*link) != from) {
            t.effects.frame_after(link, &frame);
        }
    }

    /// Takes in tickets of other hubs; those that cannot be are skipped.
    pub(crate) fn take_tickets(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: LinkId,
        tickets: Vec<Signed>,
    ) -> Done {
        if tickets.len() > CHUNK {
            self.bad_frame(t, from, "more tickets than fit a frame");
            return Ok(());
        }
        let Some(root) = self.mesh.row.as_ref().map(|row| row.root.clone()) else {
            return Ok(());
        };
        let latest = t.now + limits::TICKET_MOST_S as u64 * 1_000 + limits::DAY_MS;
        let mut fresh = Vec::new();
        for signed in tickets {
            let keys = &self.keys;
            let Ok(record) = signed.open::<TicketRecord>(|by, m, s| keys.verify(by, m, s)) else {
                self.bad_frame(t, from, "a ticket that its author did not sign");
                return Ok(());
            };
            let tickets = self.pairing.tickets.values();
            let of_author = tickets.filter(|state| *state.author() == signed.by).count();
            let counts = record.root == root
                && self.mesh.is_member(&signed.by)
                && record.id.0.len() == TicketRecord::ID_BYTES
                && record.secret.0.len() == TicketRecord::SECRET_BYTES
                && (1..=limits::TICKET_USES).contains(&(record.uses as usize))
                && (t.now..latest).contains(&record.expires)
                && !self.pairing.tickets.contains_key(&record.id)
                && of_author < 2 * limits::TICKETS
                && self.room_for_ticket(t)?;
            if counts {
                fresh.push(signed.clone());
                self.put_ticket(t, record, signed)?;
            }
        }
        if !fresh.is_empty() {
            self.spread_tickets(t, Some(from), fresh);
        }
        Ok(())
    }

    /// Makes room for one more ticket; returns whether there is some.
    fn room_for_ticket(&mut self, t: &mut Turn<'_, impl Store>) -> Done<bool> {
        if self.pairing.tickets.len() < limits::MESH_TICKETS {
            return Ok(true);
        }
        let tickets = self.pairing.tickets.iter();
        let spent = tickets.filter(|(id, state)| {
            state.record.expires <= t.now
                || self.used(id, state).len() >= state.record.uses as usize
        });
        let first = spent.min_by_key(|(_, state)| state.record.expires);
        match first.map(|(id, _)| id.clone()) {
            Some(id) => self.forget_ticket(t, &id).map(|()| true),
            None => Ok(false),
        }
    }

    fn forget_ticket(&mut self, t: &mut Turn<'_, impl Store>, id: &Bytes) -> Done {
        self.pairing.tickets.remove(id);
        self.pairing.door.changed();
        self.write(t, Write::DeleteTicket(id.clone()))?;
        Ok(())
    }

    /// Forgets the tickets of another mesh than the one this hub belongs to now.
    pub(super) fn forget_foreign_tickets(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let root = self.mesh.row.as_ref().map(|row| row.root.clone());
        let tickets = self.pairing.tickets.iter();
        let foreign = tickets.filter(|(_, state)| Some(&state.record.root) != root.as_ref());
        for id in foreign.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.forget_ticket(t, &id)?;
        }
        Ok(())
    }

    pub(super) fn ticket_timer(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let tickets = self.pairing.tickets.iter();
        let old = tickets.filter(|(_, state)| state.next_deadline() <= t.now);
        for id in old.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.forget_ticket(t, &id)?;
        }
        Ok(())
    }
}
