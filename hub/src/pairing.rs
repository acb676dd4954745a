//! Pairing, tickets and renewal: how hubs come into a mesh before they can speak to it.
//!
//! [`Pairing`] holds the state; each module adds one subject to [`Hub`]: `window` what a person
//! at a terminal asks for, `opening`, `attempts` and `ending` the conversation, `giving` and
//! `taking` its two sides, `merging` the hubs that come along, `lingering` conversations that broke
//! off at the last step, `tickets` tickets that are out, `joining` the one this hub joins with,
//! `renewal` members that missed a change of the key, `servers` the rendezvous servers of the mesh,
//! `door` what the body's listener is for.

mod attempts;
mod door;
mod ending;
mod events;
mod giving;
mod joining;
mod lingering;
mod merging;
mod opening;
mod renewal;
mod servers;
mod taking;
mod tickets;
mod window;

pub use events::{
    AttemptId, Door, PairingEffect, PairingFailure, PairingInput, PairingSide, Window,
};

use crate::clients::Caller;
use crate::hub::{Done, Turn};
use crate::{ConnId, Durable, Effect, Effects, Hub, PunchOutcome, ServerState, Store};
use attempts::Attempt;
use door::DoorState;
use ecorelay_protocol::link::RendezvousEntry;
use ecorelay_protocol::{Bytes, PeerId, visible};
use joining::Joining;
use lingering::Lingering;
use renewal::Renewal;
use std::collections::BTreeMap;
use tickets::{TicketState, WaitingInvite};
use window::{Asker, OpenWindow};

/// Everything about pairing.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    /// Who at a terminal waits for the result of `pair`.
    askers: BTreeMap<ConnId, Asker>,
    /// The code that is open.
    window: Option<OpenWindow>,
    dials: BTreeMap<u64, Dialling>,
    /// The number of the last dial.
    last_dial: u64,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Hubs whose conversation broke off when one side may have finished it.
    lingering: BTreeMap<PeerId, Lingering>,
    /// Where the pairing listener is reached, as `ip:port`.
    pub(crate) listening: Vec<String>,
    /// Hubs on the local network that show a code: their names, made visible, and numbers.
    nearby: Vec<(String, u32)>,
    tickets: BTreeMap<Bytes, TicketState>,
    invites: Vec<WaitingInvite>,
    pub(crate) joining: Option<Joining>,
    rendezvous: BTreeMap<String, RendezvousEntry>,
    /// How it stands with the rendezvous servers, by their addresses.
    servers: BTreeMap<String, ServerState>,
    /// The last hole punch with each hub, and when.
    punches: BTreeMap<PeerId, (u64, PunchOutcome)>,
    door: DoorState,
    renewal: Renewal,
}

/// A dial that is under way.
#[derive(Debug)]
struct Dialling {
    purpose: Purpose,
    /// Whatever the body says, it is over then, in ms.
    deadline: u64,
}

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A person typed a code.
    Code(ConnId),
    /// This hub joins with a ticket.
    Joining,
    /// This hub asks a member for the roster and the key.
    Renewal,
}

/// The body ends a dial by itself; this much later the brain no longer waits for that, in ms.
const DIAL_GRACE_MS: u64 = 5_000;

impl Pairing {
    pub(crate) fn new(durable: &Durable) -> Self {
        let mut pairing = Self::default();
        pairing.load(durable);
        pairing
    }

    /// Takes over what the store remembers.
    fn load(&mut self, durable: &Durable) {
        self.tickets = tickets::load(&durable.tickets);
        self.joining = durable.joining.as_deref().and_then(Joining::load);
        let by_address = durable.rendezvous.iter();
        self.rendezvous = by_address.map(|e| (e.address.clone(), e.clone())).collect();
        self.door.changed();
    }

    /// Ends everything that goes on after a batch was taken back, and returns who waits for a
    /// result.
    pub(crate) fn reload(
        &mut self,
        now: u64,
        durable: &Durable,
        effects: &mut Effects,
    ) -> Vec<Caller> {
        let mut end = |effect| effects.now.push(Effect::Pairing(effect));
        for dial in std::mem::take(&mut self.dials).into_keys() {
            end(PairingEffect::Undial { dial });
        }
        for attempt in std::mem::take(&mut self.attempts).into_keys() {
            end(PairingEffect::Close { attempt });
        }
        self.lingering.clear();
        self.renewal.broken_off(now);
        self.window = None;
        self.load(durable);
        if let Some(joining) = &mut self.joining {
            joining.put_off(now);
        }
        // What the body was told in that batch was dropped.
        self.door.forget();
        let askers = std::mem::take(&mut self.askers).into_values();
        askers.map(|asker| asker.caller).collect()
    }

    /// Forgets invitations that were answered otherwise.
    pub(crate) fn forget_invites(&mut self, answered: impl Fn(&Caller) -> bool) {
        self.invites.retain(|invite| !answered(&invite.caller));
    }

    /// Returns whether somebody waits for something here.
    pub(crate) fn in_use(&self) -> bool {
        !self.askers.is_empty()
            || !self.attempts.is_empty()
            || self.joining.as_ref().is_some_and(|joining| !joining.ended)
    }

    /// Returns whether a connection waits for the result of `pair`.
    pub(crate) fn waits(&self, conn: ConnId) -> bool {
        self.askers.contains_key(&conn)
    }

    /// Notes that what the body's listener is for may have changed.
    pub(crate) fn door_changed(&mut self) {
        self.door.changed();
    }

    /// Returns when [`Hub::pairing_timers`] is due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let window = self.window.as_ref().map(|window| window.until);
        let attempts = self.attempts.values().map(|attempt| attempt.deadline);
        let dials = self.dials.values().map(|dial| dial.deadline);
        let lingering = self.lingering.values().map(|lingering| lingering.deadline);
        let invites = self.invites.iter().map(|invite| invite.deadline);
        let tickets = self.tickets.values().map(TicketState::next_deadline);
        let joining = self.joining.as_ref().and_then(Joining::next_deadline);
        (window.into_iter().chain(attempts))
            .chain(dials)
            .chain(lingering)
            .chain(invites)
            .chain(tickets)
            .chain(joining)
            .min()
    }
}

impl Hub {
    pub(crate) fn pairing_input(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        input: PairingInput,
    ) -> Done {
        match input {
            PairingInput::Sealed {
                attempt,
                peer,
                method,
                side,
            } => self.sealed(t, attempt, peer, method, side),
            PairingInput::Word { attempt, word } => self.word(t, attempt, word),
            PairingInput::Ended { attempt } => {
                self.attempt_ended(t, attempt);
                Ok(())
            }
            PairingInput::DialFailed { dial, failure } => {
                self.pairing_dial_failed(t, dial, failure)
            }
            PairingInput::Burnt { number, from } => {
                self.burnt(t, number, &from);
                Ok(())
            }
            PairingInput::Listening { addresses } => {
                self.pairing.listening = addresses;
                self.directory_changed(t.now);
                self.invite_timer(t);
                Ok(())
            }
            PairingInput::Nearby { hubs } => {
                self.heard_nearby(t, hubs);
                Ok(())
            }
            PairingInput::WindowAt {
                rendezvous,
                trouble,
            } => {
                self.window_at(t, &rendezvous, trouble);
                Ok(())
            }
        }
    }

    pub(crate) fn pairing_timers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        self.window_timer(t);
        self.attempt_timers(t);
        self.linger_timers(t);
        let late: Vec<u64> = (self.pairing.dials.iter())
            .filter(|(_, dial)| dial.deadline <= t.now)
            .map(|(dial, _)| *dial)
            .collect();
        for dial in late {
            self.say_pairing(t, PairingEffect::Undial { dial });
            self.pairing_dial_failed(t, dial, PairingFailure::NotFound)?;
        }
        self.invite_timer(t);
        self.ticket_timer(t)?;
        self.renewal_timer(t);
        self.joining_timer(t)
    }

    /// Looks for the host of a conversation.
    fn dial_pairing(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        purpose: Purpose,
        effect: impl FnOnce(u64) -> PairingEffect,
        until: u64,
    ) -> u64 {
        self.pairing.last_dial += 1;
        let dial = self.pairing.last_dial;
        let deadline = until.saturating_add(DIAL_GRACE_MS);
        let dialling = Dialling { purpose, deadline };
        self.pairing.dials.insert(dial, dialling);
        let effect = effect(dial);
        self.say_pairing(t, effect);
        dial
    }

    /// A dial did not come to a sealed conversation.
    fn pairing_dial_failed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        dial: u64,
        failure: PairingFailure,
    ) -> Done {
        match self.pairing.dials.remove(&dial).map(|dial| dial.purpose) {
            Some(Purpose::Code(conn)) => {
                self.code_dial_failed(t, conn, failure);
                Ok(())
            }
            Some(Purpose::Joining) => self.joining_failed(t, failure),
            Some(Purpose::Renewal) => {
                self.renewal_ended(t, false);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Wants something of the body once the batch is on disk.
    fn say_pairing(&self, t: &mut Turn<'_, impl Store>, effect: PairingEffect) {
        t.effects.after.push(Effect::Pairing(effect));
    }
}

/// Returns foreign words as they may be shown: bounded, and without invisible characters.
fn shown(text: &str, most: usize) -> String {
    visible(text).chars().take(most).collect()
}
