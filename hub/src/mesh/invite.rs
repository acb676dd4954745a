//! Making a mesh, inviting to it, joining one, and addresses that a person gave.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Effect, Hub, MeshEffect, MeshRow, Store, Write};
use ecorelay_protocol::link::{Admission, Signed, TicketClaim};
use ecorelay_protocol::{Bytes, ErrorCode, HubLine, Psk, Ticket, iso_ms, limits};

/// A new mesh listens within this time, or the ticket is made without an address, in ms.
const LISTEN_MS: u64 = 3_000;
/// Invitations that wait for that.
const WAITING: usize = 64;

/// An invitation that waits until this hub listens somewhere.
#[derive(Debug)]
pub(super) struct WaitingInvite {
    pub(super) caller: Caller,
    expires: u64,
    created: bool,
    pub(super) deadline: u64,
}

impl Hub {
    /// Returns the ticket this hub joins with, until it is admitted.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        let text = self.mesh.row.as_ref()?.ticket.as_ref()?;
        Ticket::decode(text).ok()
    }

    pub(crate) fn invite(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        expires_s: Option<usize>,
    ) -> Done {
        let good_for = expires_s.map_or(limits::TICKET_MS, |s| s as u64 * 1_000);
        // A ticket that ended before it let this hub in is as good as none.
        let ended = self.ticket().is_some_and(|ticket| ticket.expires <= t.now);
        let created = self.mesh.row.is_none() || (ended && !self.mesh.is_admitted());
        if created {
            self.create_mesh(t)?;
        } else if !self.mesh.is_admitted() {
            return refuse(
                ErrorCode::NotMember,
                "This hub is still joining its mesh and cannot invite others yet. `ecorelay node status` says what it waits for.",
            );
        }
        let invite = WaitingInvite {
            caller: caller.clone(),
            expires: t.now + good_for,
            created,
            deadline: t.now + LISTEN_MS,
        };
        if self.mesh.listening.is_empty() && self.mesh.invites.len() < WAITING {
            self.mesh.invites.push(invite);
        } else {
            self.answer_invite(t, &invite);
        }
        Ok(())
    }

    /// Makes a mesh with this hub as its first.
    fn create_mesh(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let secret = self.ids.secret();
        let own = self.mesh.key.clone().filter(|_| self.mesh.row.is_none());
        let psk = own.unwrap_or_else(|| Psk::new(secret));
        let me = self.keys.peer_id().clone();
        self.set_mesh(t, me.clone(), psk, None)?;
        let admission = Admission {
            root: me.clone(),
            subject: me,
            ts: t.now,
            revoked: false,
            ticket: None,
            keeps: Vec::new(),
        };
        self.make_admission(t, admission)?;
        self.status_changed(t);
        Ok(())
    }

    fn set_mesh(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        root: ecorelay_protocol::PeerId,
        psk: Psk,
        ticket: Option<String>,
    ) -> Done {
        let row = MeshRow {
            root: root.clone(),
            psk: psk.clone(),
            since: self.config.started,
            hub_id: self.config.hub_id.clone(),
            epoch: self.mesh.epoch,
            ticket,
            addresses: Vec::new(),
            generation: 0,
            rekey: None,
            former_keys: Vec::new(),
        };
        self.write(t, Write::ClearRoster)?;
        self.mesh.roster = super::Roster::load(Some(&root), &[]);
        self.mesh.row = Some(row);
        self.mesh.row_changed = true;
        self.save_mesh(t)?;
        self.set_key(psk.clone());
        t.effects.after.push(Effect::Mesh(MeshEffect::Key(psk)));
        Ok(())
    }

    /// The hub listens on other addresses than before.
    pub(super) fn listening(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        addresses: Vec<String>,
    ) -> Done {
        self.mesh.listening = addresses;
        self.directory_changed(t.now);
        self.invite_timer(t);
        self.status_changed(t);
        Ok(())
    }

    /// Answers invitations that have an address now, or have waited long enough for one.
    pub(super) fn invite_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        let listens = !self.mesh.listening.is_empty();
        let (ready, waiting) = std::mem::take(&mut self.mesh.invites)
            .into_iter()
            .partition(|invite| listens || invite.deadline <= t.now);
        self.mesh.invites = waiting;
        let ready: Vec<WaitingInvite> = ready;
        for invite in ready {
            self.answer_invite(t, &invite);
        }
    }

    fn answer_invite(&mut self, t: &mut Turn<'_, impl Store>, invite: &WaitingInvite) {
        let Some(row) = &self.mesh.row else {
            return;
        };
        let id = self.ids.secret();
        let claim = TicketClaim {
            root: row.root.clone(),
            id: Bytes(id[..16].to_vec()),
            expires: invite.expires,
        };
        let me = self.keys.peer_id().clone();
        let ticket = Ticket {
            psk: self.mesh.key.clone().unwrap_or_else(|| row.psk.clone()),
            root: row.root.clone(),
            inviter: me.clone(),
            hub_id: self.config.hub_id.clone(),
            addresses: self.mesh.listening.clone(),
            expires: invite.expires,
            claim: Signed::new(me, &claim, |m| self.keys.sign(m)),
        };
        let line = HubLine::InviteResult {
            ticket: ticket.encode(),
            expires: invite.expires,
            created: invite.created,
            req_id: None,
        };
        self.answer(t, &invite.caller, line);
    }

    pub(crate) fn join(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        ticket: &Ticket,
    ) -> Done {
        if ticket.inviter == *self.keys.peer_id() {
            return refuse(
                ErrorCode::BadArgs,
                "This ticket was made on this machine. Use it on the other one: ecorelay join",
            );
        }
        if ticket.expires <= t.now {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "The ticket expired at {} (by this machine's clock). Make a new one on {}: ecorelay invite",
                    iso_ms(ticket.expires),
                    ticket.hub_id
                ),
            );
        }
        if ticket.hub_id == self.config.hub_id {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "Both hubs are called \"{}\". Set another hub_id in config.toml of one of the two, then: ecorelay node restart",
                    ticket.hub_id
                ),
            );
        }
        let same = self.mesh.row.as_ref().map(|row| row.root == ticket.root);
        let admitted = same == Some(true) && self.mesh.is_admitted();
        if same == Some(false) && self.mesh.has_others() {
            return refuse(
                ErrorCode::BadArgs,
                "This hub belongs to another mesh with other hubs in it. A hub is in one mesh at a time: let the hubs of the other mesh join this one (ecorelay invite here), or give this machine a new start by stopping the hub and moving mesh.key and relay.db away.",
            );
        }
        if !admitted {
            let text = Some(ticket.encode());
            self.set_mesh(t, ticket.root.clone(), ticket.psk.clone(), text)?;
            self.mesh.troubles.over("not_admitted");
        }
        self.peers_changed(t);
        self.status_changed(t);
        let line = HubLine::JoinResult {
            hub_id: ticket.hub_id.to_string(),
            peer_id: ticket.inviter.to_string(),
            admitted,
            req_id: None,
        };
        self.answer(t, caller, line);
        Ok(())
    }

    pub(crate) fn connect_to(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        address: &str,
    ) -> Done {
        let address = address.trim();
        let plausible = address.starts_with('/')
            && address.contains("/tcp/")
            && address.chars().count() <= limits::MULTIADDR_CHARS
            && address.chars().all(|c| c.is_ascii_graphic());
        if !plausible {
            return refuse(
                ErrorCode::BadArgs,
                "An address is a multiaddr such as /ip4/192.168.1.7/tcp/4001, with /p2p/ and the PeerId behind it where that is known.",
            );
        }
        let Some(row) = &mut self.mesh.row else {
            return refuse(
                ErrorCode::NotMember,
                "This hub is in no mesh yet: use a ticket first (ecorelay join), or make a mesh (ecorelay invite).",
            );
        };
        if !row.addresses.iter().any(|known| known == address) {
            if row.addresses.len() >= limits::STATIC_ADDRESSES {
                return refuse(
                    ErrorCode::BadArgs,
                    "This hub has as many addresses as it keeps.",
                );
            }
            row.addresses.push(address.to_owned());
            self.mesh.row_changed = true;
            self.save_mesh(t)?;
        }
        self.peers_changed(t);
        self.status_changed(t);
        self.answer_ack(t, caller);
        Ok(())
    }
}
