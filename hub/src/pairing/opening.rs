//! How a conversation begins: who may have one, whose it is, and which of two that crossed stays.

use super::attempts::{Attempt, Stage, WORD_MS, no, not_member};
use super::{AttemptId, PairingEffect, PairingSide, Purpose};
use crate::hub::{Done, Turn};
use crate::{ConnId, Hub, Store};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::pairing::{Method, PairingCode as Why, PairingRefuse, Word};

/// Conversations at a time.
const ATTEMPTS: usize = 8;

impl Hub {
    /// Both sides have the same secret, and both keys are proven.
    pub(super) fn sealed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        peer: PeerId,
        method: Method,
        side: PairingSide,
    ) -> Done {
        let mut attempt = Attempt {
            peer,
            method,
            host: side == PairingSide::Host,
            asker: None,
            joins: false,
            renews: false,
            mine: self.standing(t.now),
            theirs: None,
            stage: Stage::Standing,
            deadline: t.now + WORD_MS,
            created: false,
            leaves: None,
            merges: false,
        };
        let opened = match side {
            PairingSide::Host => self.opened(t, id, &mut attempt),
            PairingSide::Guest(dial) => self.got_through(id, dial, &mut attempt),
        };
        if let Err(refuse) = opened {
            self.say(t, id, Word::Refuse(refuse));
            self.say_pairing(t, PairingEffect::Close { attempt: id });
            return Ok(());
        }
        self.drop_crossed(t, id, &attempt);
        let standing = attempt.mine.clone();
        self.pairing.attempts.insert(id, attempt);
        self.say(t, id, Word::Standing(standing));
        Ok(())
    }

    /// Somebody called: checks that it may.
    fn opened(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        attempt: &mut Attempt,
    ) -> Result<(), PairingRefuse> {
        if attempt.peer == *self.keys.peer_id() {
            return Err(no(
                Why::BadMessage,
                "Both hubs have the same key: one machine's identity.key is a copy of the other's.",
            ));
        }
        if self.pairing.attempts.len() >= ATTEMPTS {
            return Err(no(
                Why::Busy,
                "This hub talks to too many others at the moment; try again.",
            ));
        }
        match &attempt.method {
            Method::Code(number) => {
                let window = self.pairing.window.take_if(|w| w.code.number == *number);
                let Some(window) = window else {
                    return Err(no(
                        Why::Unknown,
                        "No such code is open (any more). Show a new one: ecorelay pair",
                    ));
                };
                self.pairing.door.changed();
                self.take_asker(id, window.conn, attempt)
            }
            Method::Ticket(ticket) => self.check_ticket(t.now, ticket, &attempt.peer).map(drop),
            Method::Member if self.mesh.is_member(&attempt.peer) => Ok(()),
            Method::Member => Err(not_member()),
        }
    }

    /// A dial of this hub got through.
    fn got_through(
        &mut self,
        id: AttemptId,
        dial: u64,
        attempt: &mut Attempt,
    ) -> Result<(), PairingRefuse> {
        let over = || no(Why::Cancelled, "This hub no longer waits for that.");
        match self.pairing.dials.remove(&dial).map(|dial| dial.purpose) {
            Some(Purpose::Code(conn)) => {
                if let Some(asker) = self.pairing.askers.get_mut(&conn) {
                    asker.dial = None;
                }
                self.bind_asker(id, conn, attempt)
            }
            Some(Purpose::Joining) => {
                let Some(joining) = self.pairing.joining.as_mut() else {
                    return Err(over());
                };
                joining.met(id);
                attempt.joins = true;
                Ok(())
            }
            Some(Purpose::Renewal) => {
                attempt.renews = true;
                Ok(())
            }
            None => Err(over()),
        }
    }

    fn take_asker(
        &mut self,
        id: AttemptId,
        conn: ConnId,
        attempt: &mut Attempt,
    ) -> Result<(), PairingRefuse> {
        if let Some(asker) = self.pairing.askers.get_mut(&conn) {
            asker.shows = false;
        }
        self.bind_asker(id, conn, attempt)
    }

    /// Lets a conversation be the one that a person waits for. Two machines on which each other's
    /// code was typed have two of them: the one whose host has the smaller key stays.
    fn bind_asker(
        &mut self,
        id: AttemptId,
        conn: ConnId,
        attempt: &mut Attempt,
    ) -> Result<(), PairingRefuse> {
        let Some(asker) = self.pairing.askers.get_mut(&conn) else {
            return Err(no(Why::Cancelled, "Nobody waits for that any more."));
        };
        let other = asker
            .attempt
            .and_then(|other| self.pairing.attempts.get_mut(&other));
        if let Some(other) = other {
            let me = self.keys.peer_id();
            let mine_first = *me < attempt.peer;
            let stays = other.peer == attempt.peer
                && attempt.host == mine_first
                && !matches!(other.stage, Stage::Took);
            if !stays {
                return Err(the_other_way_round());
            }
            other.asker = None;
        }
        asker.attempt = Some(id);
        attempt.asker = Some(conn);
        Ok(())
    }

    /// Ends a conversation with the same hub that another took the place of.
    fn drop_crossed(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId, attempt: &Attempt) {
        let crossed = self.pairing.attempts.iter().filter(|(other, a)| {
            **other != id
                && a.peer == attempt.peer
                && a.is_code()
                && a.asker.is_none()
                && attempt.asker.is_some()
                && !matches!(a.stage, Stage::Took)
        });
        let crossed: Vec<AttemptId> = crossed.map(|(id, _)| *id).collect();
        for other in crossed {
            self.say(t, other, Word::Refuse(the_other_way_round()));
            self.close_attempt(t, other);
        }
    }
}

/// Of two conversations between the same two hubs one is enough.
fn the_other_way_round() -> PairingRefuse {
    no(Why::Busy, "The two hubs are pairing the other way round.")
}
