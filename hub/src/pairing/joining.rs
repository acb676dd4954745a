//! The ticket this hub joins with: kept until it is let in or the ticket ends, tried again and
//! again until then.

use super::{AttemptId, PairingEffect, PairingFailure, Purpose, shown};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, Store, Write};
use ecorelay_protocol::pairing::{Method, PairingCode as Why, PairingRefuse};
use ecorelay_protocol::{ErrorCode, HubLine, Ticket, iso_ms};

/// One try takes this long at most, in ms.
const DIAL_MS: u64 = 20_000;
/// Wait between two tries: doubled each time from the one to the other, in ms.
const WAIT_MS: u64 = 1_000;
const LONGEST_WAIT_MS: u64 = 60_000;
/// About whom the warnings are.
const SUBJECT: &str = "ticket";

/// A ticket this hub joins with.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) ticket: Ticket,
    dial: Option<u64>,
    attempt: Option<AttemptId>,
    /// When it is tried next, in ms.
    next: u64,
    tries: u32,
    /// Nothing is to be hoped for any more; a person has been told why.
    pub(crate) ended: bool,
}

impl Joining {
    fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            dial: None,
            attempt: None,
            next: 0,
            tries: 0,
            ended: false,
        }
    }

    /// Returns the ticket that was stored.
    pub(super) fn load(text: &str) -> Option<Self> {
        Ticket::decode(text).ok().map(Self::new)
    }

    /// The dial got through.
    pub(super) fn met(&mut self, attempt: AttemptId) {
        self.dial = None;
        self.attempt = Some(attempt);
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        if self.ended || self.attempt.is_some() {
            None // the conversation has a deadline of its own
        } else if self.dial.is_some() {
            Some(self.ticket.expires)
        } else {
            Some(self.next.min(self.ticket.expires))
        }
    }

    /// Waits with the next try: a batch was taken back.
    pub(super) fn put_off(&mut self, now: u64) {
        self.next = now + WAIT_MS;
    }

    fn wait(&mut self, now: u64, jitter: u8) {
        (self.dial, self.attempt) = (None, None);
        let wait = WAIT_MS
            .saturating_mul(1 << self.tries.min(16))
            .min(LONGEST_WAIT_MS);
        self.tries = self.tries.saturating_add(1);
        // Between the half and the whole of it.
        self.next = now + wait / 2 + wait * u64::from(jitter) / 512;
    }
}

impl Hub {
    /// Returns whether this hub hopes to be let in with a ticket.
    pub(crate) fn joins(&self) -> bool {
        self.pairing
            .joining
            .as_ref()
            .is_some_and(|joining| !joining.ended)
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
        let same = self.mesh.root().map(|root| *root == ticket.root);
        let admitted = same == Some(true);
        if same == Some(false) && self.mesh.has_others() {
            return refuse(
                ErrorCode::BadArgs,
                "This hub belongs to another mesh with other hubs in it. A hub is in one mesh at a time: let the hubs of the other mesh join this one (ecorelay invite here), or let this hub leave its own (ecorelay pair on both, which asks).",
            );
        }
        if !admitted {
            self.stop_joining(t)?;
            self.write(t, Write::SetJoining(Some(ticket.encode())))?;
            self.pairing.joining = Some(Joining::new(ticket.clone()));
            self.joining_timer(t)?;
        }
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

    /// Tries the ticket when it is time for that.
    pub(super) fn joining_timer(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let Some(joining) = self.pairing.joining.as_ref() else {
            return Ok(());
        };
        if joining.ended || joining.attempt.is_some() {
            return Ok(());
        }
        if joining.ticket.expires <= t.now {
            let message = format!(
                "The ticket expired at {} before a hub of the mesh could be reached.",
                iso_ms(joining.ticket.expires)
            );
            return self.give_up_joining(t, message);
        }
        if joining.dial.is_some() || joining.next > t.now {
            return Ok(());
        }
        let ticket = joining.ticket.clone();
        let until = ticket.expires.min(t.now + DIAL_MS);
        let place = Ticket::place(&ticket.id);
        let dial = |dial| PairingEffect::Dial {
            dial,
            method: Method::Ticket(ticket.id),
            secret: ticket.secret,
            peer: None,
            addresses: ticket.addresses,
            rendezvous: (ticket.rendezvous.into_iter())
                .map(|server| (server, place.clone()))
                .collect(),
            until,
        };
        let dial = self.dial_pairing(t, Purpose::Joining, dial, until);
        if let Some(joining) = self.pairing.joining.as_mut() {
            joining.dial = Some(dial);
        }
        Ok(())
    }

    /// A try came to nothing.
    pub(super) fn joining_failed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        failure: PairingFailure,
    ) -> Done {
        let words = match failure {
            PairingFailure::Refused(refuse) => {
                let refuse = PairingRefuse {
                    code: refuse.code,
                    message: format!("The mesh refuses this hub: {}", shown(&refuse.message, 400)),
                };
                return self.joining_refused(t, &refuse);
            }
            PairingFailure::WrongCode => {
                let message = "The hub that answers knows another ticket with this id.".into();
                let code = Why::WrongCode;
                return self.joining_refused(t, &PairingRefuse { code, message });
            }
            PairingFailure::NotFound => "no hub of the mesh was found".to_owned(),
            PairingFailure::Unreachable(why) => format!("not reachable: {}", shown(&why, 200)),
            PairingFailure::Broken(why) => {
                format!("the conversation broke off: {}", shown(&why, 200))
            }
        };
        self.joining_again(t, &words);
        Ok(())
    }

    /// Waits for the next try.
    pub(super) fn joining_again(&mut self, t: &mut Turn<'_, impl Store>, words: &str) {
        let [jitter, ..] = self.ids.secret();
        let Some(joining) = self.pairing.joining.as_mut() else {
            return;
        };
        joining.wait(t.now, jitter);
        let (inviter, addresses) = (
            joining.ticket.inviter.clone(),
            joining.ticket.addresses.clone(),
        );
        for address in addresses {
            self.mesh
                .note_dial(address, Some(inviter.clone()), words.to_owned(), t.now);
        }
        self.status_shown(t);
    }

    /// A hub of the mesh does not let this one in.
    pub(super) fn joining_refused(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        refuse: &PairingRefuse,
    ) -> Done {
        match refuse.code {
            Why::Busy | Why::Cancelled => {
                self.joining_again(t, &refuse.message);
                Ok(())
            }
            Why::HubIdTaken => {
                self.joining_warning(
                    t,
                    "hub_id_taken",
                    &refuse.message,
                    "Set another hub_id in config.toml, then: ecorelay node restart",
                );
                self.joining_again(t, "refused: the hub id is taken");
                Ok(())
            }
            // Another hub may know it, or this one a little later.
            Why::Unknown | Why::Version | Why::Other | Why::BadMessage => {
                self.joining_warning(t, "not_admitted", &refuse.message, REMEDY);
                self.joining_again(t, "refused");
                Ok(())
            }
            Why::WrongCode | Why::Expired | Why::Used | Why::NotMember | Why::OtherMesh => {
                self.give_up_joining(t, refuse.message.clone())
            }
        }
    }

    fn joining_warning(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        code: &'static str,
        message: &str,
        remedy: &str,
    ) {
        self.mesh
            .raise(code, SUBJECT, message.to_owned(), remedy, t.now);
        self.status_shown(t);
    }

    /// The ticket will never let this hub in.
    fn give_up_joining(&mut self, t: &mut Turn<'_, impl Store>, message: String) -> Done {
        let dial = self.pairing.joining.as_mut().and_then(|joining| {
            joining.ended = true;
            joining.attempt = None;
            joining.dial.take()
        });
        if let Some(dial) = dial {
            self.undial(t, dial);
        }
        self.write(t, Write::SetJoining(None))?;
        self.joining_warning(t, "not_admitted", &message, REMEDY);
        Ok(())
    }

    /// This hub came into a mesh, or a person wants something else: the ticket is forgotten.
    pub(super) fn stop_joining(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let Some(joining) = self.pairing.joining.take() else {
            return Ok(());
        };
        if let Some(dial) = joining.dial {
            self.undial(t, dial);
        }
        if let Some(attempt) = joining.attempt {
            self.cancel_attempt(t, attempt);
        }
        self.mesh.forget_dials(&joining.ticket.addresses);
        self.mesh.calm("not_admitted", SUBJECT);
        self.mesh.calm("hub_id_taken", SUBJECT);
        self.write(t, Write::SetJoining(None))?;
        self.status_changed(t);
        Ok(())
    }
}

/// What mends a ticket that is refused.
const REMEDY: &str =
    "Make a new ticket on a hub of the mesh (ecorelay invite) and use it here: ecorelay join";
