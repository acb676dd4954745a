//! The conversation of two hubs once the secret and both keys are proven: who gives whom a place
//! in which mesh. `opening` is how it begins, `ending` how it ends, `giving` and `taking` what the
//! two sides do in between.

use super::{AttemptId, PairingEffect};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{ConnId, Hub, Store};
use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::pairing::{Method, PairingCode as Why, PairingRefuse, Standing, Word};
use ecorelay_protocol::{Bytes, CborError, ErrorCode, HubId, MeshChoice, PairStep, PeerId};

/// The other side says the next word within this time, in ms.
pub(super) const WORD_MS: u64 = 15_000;
/// A person answers a question within this time, in ms; the other side waits a little longer.
const ANSWER_MS: u64 = 110_000;
/// Names of other hubs in a [`Standing`].
const OTHERS: usize = 32;

/// One conversation.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) peer: PeerId,
    pub(super) method: Method,
    pub(super) host: bool,
    /// Who at a terminal waits for it.
    pub(super) asker: Option<ConnId>,
    /// It is for the ticket this hub joins with.
    pub(super) joins: bool,
    /// This hub asks for the roster and the key.
    pub(super) renews: bool,
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
    pub(super) fn brought(&self) -> Vec<String> {
        let theirs = self.theirs.iter();
        let brings = theirs.flat_map(|theirs| &theirs.brings);
        brings.map(HubId::to_string).collect()
    }

    pub(super) fn is_code(&self) -> bool {
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
    /// Returns what this hub says of itself.
    pub(super) fn standing(&self, now: u64) -> Standing {
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
