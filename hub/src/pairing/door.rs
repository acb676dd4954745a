//! What the body's pairing listener is for: told again whenever it changes.

use super::{Door, PairingEffect, Window};
use crate::hub::Turn;
use crate::{Hub, Store};
use ecorelay_protocol::rendezvous::pairing_place;
use ecorelay_protocol::{Bytes, Ticket};

/// Tickets for which this hub waits at rendezvous servers, the newest: a server gives one hub only
/// so many places.
const TICKET_PLACES: usize = 8;

/// What the body was told last.
#[derive(Debug, Default)]
pub(super) struct DoorState {
    told: Option<Door>,
    /// It may have changed since.
    stale: bool,
}

impl DoorState {
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Notes that what the body was told may not have reached it.
    pub(super) fn forget(&mut self) {
        self.told = Some(Door {
            look: true,
            members: true,
            ..Door::default()
        });
        self.stale = true;
    }
}

impl Hub {
    /// Tells the body what its listener is for, if that has changed.
    pub(crate) fn tell_door(&mut self, t: &mut Turn<'_, impl Store>) {
        if !std::mem::take(&mut self.pairing.door.stale) {
            return;
        }
        let door = self.door(t.now);
        let told = self.pairing.door.told.get_or_insert_default();
        if *told != door {
            told.clone_from(&door);
            self.say_pairing(t, PairingEffect::Door(door));
        }
    }

    fn door(&self, now: u64) -> Door {
        let servers = self.rendezvous_servers();
        let at_each = |place: Bytes| {
            let servers = servers.iter();
            servers.map(move |server| (server.clone(), place.clone()))
        };
        let window = self.pairing.window.as_ref().map(|open| Window {
            number: open.code.number,
            words: open.code.words.clone(),
            hub_id: self.config.hub_id.to_string(),
            until: open.until,
            places: at_each(pairing_place(&open.code.number.to_string())).collect(),
        });
        let admitted = self.mesh.is_admitted();
        let tickets = self.pairing.tickets.iter().filter(|_| admitted);
        let tickets = tickets.map(|(id, state)| (id.clone(), state.record.secret.clone()));
        let mut own: Vec<(u64, &Bytes)> = self.own_tickets(now).collect();
        own.sort_unstable();
        let own = own.iter().rev().take(TICKET_PLACES);
        let places = own.flat_map(|(_, id)| at_each(Ticket::place(id)));
        let places = places.chain(self.renewal_places(&self.mesh.former_keys()));
        Door {
            window,
            tickets: tickets.collect(),
            members: admitted,
            look: self.looks_nearby(),
            places: places.collect(),
        }
    }
}
