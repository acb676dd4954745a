//! The conversation of two hubs once the secret and both keys are proven: who gives whom a place
//! in which mesh, and how it ends. `giving` and `taking` are what the two sides do then.

use super::window::word_of;
use super::{AttemptId, PairingEffect, PairingSide, Purpose, shown};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{ConnId, Hub, Store};
use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::pairing::{Method, PairingCode as Why, PairingRefuse, Standing, Word};
use ecorelay_protocol::{Bytes, CborError, ErrorCode, HubId, MeshChoice, PairStep, PeerId};

/// Conversations at a time.
const ATTEMPTS: usize = 8;
/// The other side says the next word within this time, in ms.
const WORD_MS: u64 = 15_000;
/// A person answers a question within this time, in ms; the other side waits a little longer.
const ANSWER_MS: u64 = 110_000;
/// Names of other hubs in a [`Standing`].
const OTHERS: usize = 32;

/// One conversation.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) peer: PeerId,
    pub(super) method: Method,
    host: bool,
    /// Who at a terminal waits for it.
    pub(super) asker: Option<ConnId>,
    /// It is for the ticket this hub joins with.
    pub(super) joins: bool,
    /// This hub asks for the roster and the key.
    renews: bool,
    /// What this hub said of itself.
    pub(super) mine: Standing,
    /// What the other said.
    pub(super) theirs: Option<Standing>,
    pub(super) stage: Stage,
    /// Over if nothing was said until then, in ms.
    pub(super) deadline: u64,
    /// The mesh was made for it.
    pub(super) created: bool,
    /// The first hub of the mesh that this hub leaves for it, as a person said.
    pub(super) leaves: Option<PeerId>,
    /// The other hubs of that mesh come along.
    pub(super) merges: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Stage {
    /// The other's standing.
    Standing,
    /// A person here says whether this hub leaves its mesh.
    Asking,
    /// A person there says so.
    Waiting,
    /// This hub gave a place, with this admission, which is not stored; unless the other was on
    /// the roster before. The other says that it took it.
    Giving(Option<Box<(Admission, Signed)>>),
    /// The other gives a place.
    Taking,
    /// This hub took it; the other says that it knows.
    Took,
}

impl Attempt {
    /// Returns the other hub's name, once it is known.
    pub(super) fn hub_id(&self) -> String {
        let name = self.theirs.as_ref().map(|theirs| theirs.hub_id.to_string());
        name.unwrap_or_else(|| self.peer.to_string())
    }

    /// Returns the names of the hubs that come along with the other.
    fn brought(&self) -> Vec<String> {
        let theirs = self.theirs.iter();
        let brings = theirs.flat_map(|theirs| &theirs.brings);
        brings.map(HubId::to_string).collect()
    }

    fn is_code(&self) -> bool {
        matches!(self.method, Method::Code(_))
    }
}

/// Who gives the other a place.
#[derive(Debug, PartialEq, Eq)]
enum Giver {
    Host,
    Guest,
    /// The host, if the guest leaves its mesh.
    Ask,
}

/// Returns who gives, from what both said: the same on both sides.
fn giver(method: &Method, host: &Standing, guest: &Standing) -> Giver {
    if !matches!(method, Method::Code(_)) || (host.root.is_some() && host.root == guest.root) {
        return Giver::Host;
    }
    match (host.count > 0, guest.count > 0) {
        (true, true) => Giver::Ask,
        (false, true) => Giver::Guest,
        _ => Giver::Host,
    }
}

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

    /// Returns what this hub says of itself.
    fn standing(&self, now: u64) -> Standing {
        let root = self.mesh.root().cloned();
        let members = self.mesh.members().filter(|_| root.is_some());
        let others: Vec<&PeerId> = members
            .filter(|peer| *peer != self.keys.peer_id())
            .collect();
        let names = others.iter().filter_map(|peer| self.mesh.hub_id(peer));
        Standing {
            hub_id: self.config.hub_id.clone(),
            others: names.take(OTHERS).cloned().collect(),
            count: others.len(),
            brings: Vec::new(),
            root: root.clone(),
            now,
        }
    }

    /// Returns whether this hub still stands where it said it does.
    pub(super) fn still_stands(&self, attempt: &Attempt) -> bool {
        let said = attempt.leaves.as_ref().or(attempt.mine.root.as_ref());
        // A hub that was alone when it said so may have made a mesh of its own meanwhile.
        self.mesh.root() == said || (said.is_none() && !self.mesh.has_others())
    }

    pub(super) fn word(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: AttemptId,
        word: Result<Box<Word>, CborError>,
    ) -> Done {
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return Ok(());
        };
        let Ok(word) = word else {
            let name = attempt.hub_id();
            self.break_off(t, id, format!("{name} said something that makes no sense."));
            return Ok(());
        };
        attempt.deadline = t.now + WORD_MS;
        match (&attempt.stage, *word) {
            (_, Word::Refuse(refuse)) => self.refused_there(t, id, &refuse),
            (Stage::Standing, Word::Standing(theirs)) => self.met(t, id, theirs),
            (Stage::Waiting, Word::Standing(theirs))
                if theirs.root.is_none() && theirs.count == 0 && theirs.brings.len() <= OTHERS =>
            {
                attempt.theirs = Some(theirs);
                self.give(t, id)
            }
            (Stage::Taking, Word::Bundle(bundle)) => self.take(t, id, *bundle),
            (Stage::Giving(_), Word::Taken) => self.taken(t, id),
            (Stage::Took, Word::Done) => {
                self.paired(t, id);
                Ok(())
            }
            _ => {
                let refuse = no(Why::BadMessage, "This was not to be said now.");
                self.refuse_attempt(t, id, refuse)
            }
        }
    }

    /// The other side said where it stands.
    fn met(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId, theirs: Standing) -> Done {
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return Ok(());
        };
        attempt.theirs = Some(theirs.clone());
        let (asker, peer) = (attempt.asker, attempt.peer.to_string());
        let absurd = theirs.others.len() > OTHERS
            || theirs.count < theirs.others.len()
            || !theirs.brings.is_empty();
        if absurd {
            return self.refuse_attempt(t, id, no(Why::BadMessage, "That cannot be."));
        }
        if theirs.hub_id == self.config.hub_id {
            let refuse = hub_id_taken(&theirs.hub_id, "Both hubs are called");
            return self.refuse_attempt(t, id, refuse);
        }
        if let Some(conn) = asker {
            let hub_id = theirs.hub_id.to_string();
            self.step(
                t,
                conn,
                PairStep::Met {
                    hub_id,
                    peer_id: peer,
                },
            );
        }
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return Ok(());
        };
        let (host, guest) = if attempt.host {
            (&attempt.mine, &theirs)
        } else {
            (&theirs, &attempt.mine)
        };
        match (giver(&attempt.method, host, guest), attempt.host) {
            (Giver::Host, true) | (Giver::Guest, false) => self.give(t, id),
            (Giver::Host, false) | (Giver::Guest, true) => {
                attempt.stage = Stage::Taking;
                Ok(())
            }
            (Giver::Ask, true) => {
                attempt.stage = Stage::Waiting;
                attempt.deadline = t.now + ANSWER_MS + WORD_MS;
                Ok(())
            }
            (Giver::Ask, false) => {
                attempt.stage = Stage::Asking;
                attempt.deadline = t.now + ANSWER_MS;
                let names = |names: &[HubId]| names.iter().map(HubId::to_string).collect();
                let question = PairStep::Question {
                    hub_id: theirs.hub_id.to_string(),
                    theirs: names(&theirs.others),
                    ours: names(&attempt.mine.others),
                    both: names(&in_both(&attempt.mine, &theirs)),
                };
                if let Some(conn) = asker {
                    self.step(t, conn, question);
                }
                Ok(())
            }
        }
    }

    /// A person says what becomes of this hub's mesh.
    pub(crate) fn pair_answer(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        choice: MeshChoice,
    ) -> Done {
        let asker = self.pairing.askers.get(&caller.conn);
        let id = asker.and_then(|asker| asker.attempt);
        let asked = |id: &AttemptId| {
            let attempt = self.pairing.attempts.get(id);
            attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Asking))
        };
        let Some(id) = id.filter(asked) else {
            return refuse(ErrorCode::BadArgs, "Nothing was asked (any more).");
        };
        self.answer_ack(t, caller);
        if choice == MeshChoice::Stay {
            let refuse = no(
                Why::OtherMesh,
                "Both hubs belong to meshes with other hubs in them, and a hub is in one mesh at a time. Nothing was changed.",
            );
            return self.refuse_attempt(t, id, refuse);
        }
        let Some(attempt) = self.pairing.attempts.get_mut(&id) else {
            return Ok(());
        };
        if choice == MeshChoice::Merge {
            let theirs = attempt.theirs.as_ref();
            let both = theirs.map(|theirs| in_both(&attempt.mine, theirs));
            if let Some(name) = both.unwrap_or_default().first() {
                let refuse = hub_id_taken(name, "A hub of each mesh is called");
                return self.refuse_attempt(t, id, refuse);
            }
            attempt.merges = true;
            attempt.mine.brings = std::mem::take(&mut attempt.mine.others);
        }
        attempt.leaves = attempt.mine.root.take();
        attempt.mine.others.clear();
        attempt.mine.count = 0;
        attempt.stage = Stage::Taking;
        attempt.deadline = t.now + WORD_MS;
        let standing = attempt.mine.clone();
        self.say(t, id, Word::Standing(standing));
        Ok(())
    }

    pub(super) fn say(&self, t: &mut Turn<'_, impl Store>, attempt: AttemptId, word: Word) {
        let word = Box::new(word);
        self.say_pairing(t, PairingEffect::Say { attempt, word });
    }

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
    fn refused_there(
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
    fn break_off(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId, words: String) {
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

    fn close_attempt(&mut self, t: &mut Turn<'_, impl Store>, id: AttemptId) -> Option<Attempt> {
        let attempt = self.pairing.attempts.remove(&id)?;
        self.say_pairing(t, PairingEffect::Close { attempt: id });
        Some(attempt)
    }
}

/// Returns the names that stand in both meshes.
fn in_both(mine: &Standing, theirs: &Standing) -> Vec<HubId> {
    let of = |standing: &Standing| {
        let own = std::iter::once(&standing.hub_id);
        own.chain(&standing.others).cloned().collect::<Vec<_>>()
    };
    let theirs = of(theirs);
    let mut both = of(mine);
    both.retain(|name| theirs.contains(name));
    both
}

/// Returns a refusal.
pub(super) fn no(code: Why, message: impl Into<String>) -> PairingRefuse {
    PairingRefuse {
        code,
        message: message.into(),
    }
}

/// Of two conversations between the same two hubs one is enough.
fn the_other_way_round() -> PairingRefuse {
    no(Why::Busy, "The two hubs are pairing the other way round.")
}

pub(super) fn not_member() -> PairingRefuse {
    no(
        Why::NotMember,
        "This hub does not belong to the mesh (any more): its key is not on the roster, or was revoked.",
    )
}

pub(super) fn hub_id_taken(hub_id: &HubId, who: &str) -> PairingRefuse {
    no(
        Why::HubIdTaken,
        format!(
            "{who} \"{hub_id}\". Set another hub_id in config.toml of one of them, then: ecorelay node restart"
        ),
    )
}

/// Returns the id of the ticket a conversation is about.
pub(super) fn ticket_of(method: &Method) -> Option<&Bytes> {
    match method {
        Method::Ticket(id) => Some(id),
        Method::Code(_) | Method::Member => None,
    }
}
