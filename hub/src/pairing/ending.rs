//! How a conversation ends: both are paired, one refuses, or nothing is heard any more; and who is
//! told so.

use super::attempts::{Attempt, Stage, no};
use super::window::word_of;
use super::{AttemptId, PairingEffect, shown};
use crate::hub::{Done, Turn};
use crate::{Hub, Store};
use ecorelay_protocol::PairStep;
use ecorelay_protocol::pairing::{PairingCode as Why, PairingRefuse, Word};

impl Hub {
    /// Ends a conversation: this hub refuses.
    pub(super) fn refuse_attempt(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        refuse: PairingRefuse,
    ) -> Done {
        self.say(t, id, Word::Refuse(refuse.clone()));
        let Some(attempt) = self.close_attempt(t, id) else {
            return Ok(());
        };
        if attempt.joins {
            self.joining_refused(t, &refuse)?;
        }
        if attempt.renews {
            self.renewal_ended(t, false);
        }
        if let Some(conn) = attempt.asker {
            self.pairing_failed(t, conn, word_of(refuse.code), refuse.message);
        }
        Ok(())
    }

    /// The other side refuses.
    pub(super) fn refused_there(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        refuse: &PairingRefuse,
    ) -> Done {
        let took = |attempt: &Attempt| matches!(attempt.stage, Stage::Took);
        if self.pairing.attempts.get(&id).is_some_and(took) {
            // Too late: it is decided, and the link will tell.
            self.break_off(t, id, String::new());
            return Ok(());
        }
        let Some(attempt) = self.close_attempt(t, id) else {
            return Ok(());
        };
        let message = format!(
            "{} refuses: {}",
            attempt.hub_id(),
            shown(&refuse.message, 400)
        );
        if attempt.renews {
            self.renewal_refused(t, refuse);
        }
        if attempt.joins {
            let refuse = PairingRefuse {
                code: refuse.code,
                message: message.clone(),
            };
            self.joining_refused(t, &refuse)?;
        }
        let Some(conn) = attempt.asker else {
            return Ok(());
        };
        if refuse.code == Why::Busy
            && let Some(asker) = self.pairing.askers.get_mut(&conn)
            && (asker.dial.is_some() || asker.shows)
        {
            // It comes the other way round, or the code is tried until its time is up.
            asker.attempt = None;
            return Ok(());
        }
        if refuse.code == Why::Busy && attempt.is_code() {
            let hub_id = attempt.hub_id();
            self.linger(t, conn, &attempt.peer, hub_id, attempt.created, false);
            return Ok(());
        }
        self.pairing_failed(t, conn, word_of(refuse.code), message);
        Ok(())
    }

    /// Both hubs belong to one mesh, and both know it.
    pub(super) fn paired(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) {
        let Some(attempt) = self.close_attempt(t, id) else {
            return;
        };
        if attempt.renews {
            self.renewal_ended(t, true);
        }
        let Some(conn) = attempt.asker else { return };
        let step = PairStep::Paired {
            hub_id: attempt.hub_id(),
            peer_id: attempt.peer.to_string(),
            created: attempt.created,
            hubs: self.mesh.size(),
            brings: attempt.brought(),
        };
        self.step(t, conn, step);
        self.end_asker(t, conn);
    }

    /// The connection of a conversation is gone.
    pub(super) fn attempt_ended(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) {
        if let Some(attempt) = self.pairing.attempts.get(&id) {
            let name = attempt.hub_id();
            self.break_off(t, id, format!("{name} went away before it was done."));
        }
    }

    pub(super) fn attempt_timers(&mut self, t: &mut Turn<'_, impl Store>) {
        let late = |(_, attempt): &(&AttemptId, &Attempt)| attempt.deadline <= t.now;
        let late = self.pairing.attempts.iter().filter(late);
        let late: Vec<(AttemptId, bool, String)> = late
            .map(|(id, a)| (*id, matches!(a.stage, Stage::Asking), a.hub_id()))
            .collect();
        for (id, asked, name) in late {
            let words = if asked {
                "The question was not answered in time.".to_owned()
            } else {
                format!("{name} did not answer in time.")
            };
            self.break_off(t, id, words);
        }
    }

    /// Ends a conversation that does not come to its end.
    pub(super) fn break_off(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId, words: String) {
        let Some(attempt) = self.close_attempt(t, id) else {
            return;
        };
        if attempt.joins && !matches!(attempt.stage, Stage::Took) {
            self.joining_again(t, &words);
        }
        if attempt.renews {
            self.renewal_ended(t, matches!(attempt.stage, Stage::Took));
        }
        let Some(conn) = attempt.asker else { return };
        let took = matches!(attempt.stage, Stage::Took);
        if took || matches!(attempt.stage, Stage::Giving(_)) {
            let hub_id = attempt.hub_id();
            self.linger(t, conn, &attempt.peer, hub_id, attempt.created, took);
        } else {
            let message = format!(
                "{words} Nothing was changed. Show a new code and try again: ecorelay pair"
            );
            self.pairing_failed(t, conn, "unreachable".into(), message);
        }
    }

    /// A person gave up: what is not decided yet ends.
    pub(super) fn cancel_attempt(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) {
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return;
        };
        attempt.asker = None;
        if !matches!(attempt.stage, Stage::Giving(_) | Stage::Took) {
            self.say(
                t,
                id,
                Word::Refuse(no(Why::Cancelled, "The person there gave up.")),
            );
            self.close_attempt(t, id);
        }
    }

    pub(super) fn close_attempt(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
    ) -> Option<Attempt> {
        let attempt = self.pairing.attempts.remove(&id)?;
        self.say_pairing(t, PairingEffect::Close { attempt: id });
        Some(attempt)
    }
}
