//! The body of pairing without its cryptography: who finds whom, what is said arrives in order or
//! the conversation breaks, and both sides are told that it is over.

use super::{Event, HEARTBEAT_MS, Mesh};
use ecorelay_hub::{
    AttemptId, Door, Input, PairingEffect, PairingFailure, PairingInput, PairingSide,
};
use ecorelay_protocol::pairing::{Method, PairingCode, PairingRefuse, Word};
use ecorelay_protocol::{Bytes, PeerId};

/// How often a dial looks again for its host, in ms.
const LOOK_MS: u64 = 500;

/// One end of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct TalkEnd {
    pub machine: usize,
    attempt: AttemptId,
    /// The life of the hub that has it.
    life: u64,
    last_arrival: u64,
}

/// One conversation; the guest's end is the second.
#[derive(Debug)]
pub struct Talk {
    pub ends: [TalkEnd; 2],
    /// Nothing more can be said.
    over: bool,
}

/// A dial that is under way.
#[derive(Debug, Clone)]
pub struct PairDial {
    at: usize,
    life: u64,
    dial: u64,
    method: Method,
    secret: Bytes,
    addresses: Vec<String>,
    until: u64,
}

impl Mesh {
    pub(super) fn do_pairing(&mut self, at: usize, effect: PairingEffect) {
        match effect {
            PairingEffect::Door(_) => {}
            PairingEffect::Dial {
                dial,
                method,
                secret,
                addresses,
                until,
                ..
            } => {
                let life = self.machines[at].lives;
                self.pair_dials.insert((at, life, dial));
                let wait = self.upto(self.habits.dial_ms);
                let dial = PairDial {
                    at,
                    life,
                    dial,
                    method,
                    secret,
                    addresses,
                    until,
                };
                self.plan(wait, Event::PairDial(Box::new(dial)));
            }
            PairingEffect::Undial { dial } => {
                let life = self.machines[at].lives;
                self.pair_dials.remove(&(at, life, dial));
            }
            PairingEffect::Say { attempt, word } => self.say(at, attempt, word),
            PairingEffect::Close { attempt } => {
                if let Some((talk, side)) = self.talk_of(at, attempt) {
                    self.hang_up(talk, side);
                }
            }
        }
    }

    fn talk_of(&self, at: usize, attempt: AttemptId) -> Option<(u64, usize)> {
        self.talks.iter().find_map(|(id, talk)| {
            let is_end = |end: &TalkEnd| end.machine == at && end.attempt == attempt;
            Some((*id, talk.ends.iter().position(is_end)?))
        })
    }

    fn say(&mut self, at: usize, attempt: AttemptId, word: Box<Word>) {
        let Some((talk, side)) = self.talk_of(at, attempt) else {
            return;
        };
        if self.raw_talks.contains(&talk) {
            return self.raw_words.push(*word);
        }
        if self.rng.u32(0..1_000) < self.habits.words_lost {
            return self.break_talk(talk);
        }
        let wait = self.upto(self.habits.frame_ms);
        let time = self.time + wait;
        let Some(entry) = self.talks.get_mut(&talk).filter(|talk| !talk.over) else {
            return;
        };
        let end = &mut entry.ends[1 - side];
        end.last_arrival = end.last_arrival.max(time);
        let time = end.last_arrival;
        let side = 1 - side;
        self.plan_at(time, Event::Word { talk, side, word });
    }

    /// Ends a conversation from one side: what was said before still arrives.
    fn hang_up(&mut self, talk: u64, side: usize) {
        let wait = self.upto(20);
        let Some(entry) = self.talks.get_mut(&talk).filter(|talk| !talk.over) else {
            return;
        };
        entry.over = true;
        let drained = entry.ends[1 - side].last_arrival.max(self.time) + wait;
        self.plan(wait, Event::TalkEnded { talk, side });
        let side = 1 - side;
        self.plan_at(drained, Event::TalkEnded { talk, side });
    }

    /// Cuts a conversation: what is under way is lost.
    pub fn break_talk(&mut self, talk: u64) {
        if let Some(entry) = self.talks.get_mut(&talk) {
            entry.over = true;
            for side in 0..2 {
                let wait = self.upto(100);
                self.plan(wait, Event::TalkEnded { talk, side });
            }
            let life = u64::MAX;
            let ends = self.talks[&talk].ends;
            // Words under way find nobody.
            let entry = self.talks.get_mut(&talk).unwrap();
            entry.ends = ends.map(|end| TalkEnd {
                last_arrival: life,
                ..end
            });
        }
    }

    /// The hub of a machine is gone, and its conversations with it.
    pub(super) fn talks_died(&mut self, at: usize, silent: bool) {
        let of_it = self.talks.iter().filter(|(_, talk)| {
            let mut ends = talk.ends.iter();
            ends.any(|end| end.machine == at)
        });
        for talk in of_it.map(|(id, _)| *id).collect::<Vec<_>>() {
            let wait = self.upto(if silent { HEARTBEAT_MS } else { 50 });
            let entry = self.talks.get_mut(&talk).unwrap();
            entry.over = true;
            for side in 0..2 {
                if entry.ends[side].machine != at {
                    self.next_event += 1;
                    let event = Event::TalkEnded { talk, side };
                    self.events
                        .insert((self.time + wait, self.next_event), event);
                }
            }
        }
    }

    pub(super) fn word_arrives(&mut self, talk: u64, side: usize, word: Box<Word>) {
        let Some(entry) = self.talks.get(&talk) else {
            return;
        };
        let [end, other] = [entry.ends[side], entry.ends[1 - side]];
        if end.last_arrival == u64::MAX || self.machines[end.machine].lives != end.life {
            return;
        }
        if !self.net.reaches(end.machine, other.machine) {
            return self.break_talk(talk);
        }
        if self.trace {
            eprintln!("{} hub{} hears {word:?}", self.time, end.machine);
        }
        self.words += 1;
        let attempt = end.attempt;
        let word = Ok(word);
        self.machines[end.machine].input(Input::Pairing(PairingInput::Word { attempt, word }));
    }

    pub(super) fn talk_ended(&mut self, talk: u64, side: usize) {
        let Some(entry) = self.talks.get(&talk) else {
            return;
        };
        let end = entry.ends[side];
        let machine = &mut self.machines[end.machine];
        if machine.is_up() && machine.lives == end.life {
            let attempt = end.attempt;
            machine.input(Input::Pairing(PairingInput::Ended { attempt }));
        }
    }

    /// A dial looks for its host.
    pub(super) fn pair_dial(&mut self, dial: Box<PairDial>) {
        let key = (dial.at, dial.life, dial.dial);
        let guest = &self.machines[dial.at];
        if !self.pair_dials.contains(&key) || !guest.is_up() || guest.lives != dial.life {
            return;
        }
        let mut refused = None;
        for host in self.hosts(&dial) {
            let door = &self.machines[host].door;
            let sealed = match &dial.method {
                Method::Code(number) => {
                    let window = door.window.as_ref().filter(|w| w.number == *number);
                    let Some(window) = window else { continue };
                    if window.words.as_bytes() != dial.secret.0 {
                        let (number, from) = (*number, format!("10.0.0.{}", dial.at + 1));
                        self.machines[host].door.window = None;
                        self.machines[host]
                            .input(Input::Pairing(PairingInput::Burnt { number, from }));
                        return self.dial_over(&dial, PairingFailure::WrongCode);
                    }
                    // Good for one conversation.
                    self.machines[host].door.window = None;
                    true
                }
                Method::Ticket(id) => {
                    let known = (id.clone(), dial.secret.clone());
                    door.tickets.contains(&known)
                }
                Method::Member => door.members,
            };
            if sealed {
                return self.sealed(host, &dial);
            }
            refused = Some(PairingRefuse {
                code: PairingCode::Unknown,
                message: "No such ticket is known here.".into(),
            });
        }
        match refused {
            Some(refuse) => self.dial_over(&dial, PairingFailure::Refused(refuse)),
            None if guest_now(self, &dial) >= dial.until => {
                self.dial_over(&dial, PairingFailure::NotFound);
            }
            None => self.plan(LOOK_MS, Event::PairDial(dial)),
        }
    }

    /// Returns who may be the host of a dial and has a listener.
    fn hosts(&self, dial: &PairDial) -> Vec<usize> {
        let listens = |at: &usize| {
            let machine = &self.machines[*at];
            *at != dial.at
                && machine.is_up()
                && machine.door != Door::default()
                && self.net.reaches(dial.at, *at)
        };
        let by_address = |address: &String| {
            let machines = self.machines.iter();
            let there = machines.filter(|m| m.pairing_address() == *address);
            there.map(|m| m.number).next()
        };
        match dial.method {
            Method::Code(_) => (0..self.machines.len()).filter(listens).collect(),
            _ => {
                let hosts = dial.addresses.iter().filter_map(by_address);
                hosts.filter(listens).collect()
            }
        }
    }

    fn dial_over(&mut self, dial: &PairDial, failure: PairingFailure) {
        self.pair_dials.remove(&(dial.at, dial.life, dial.dial));
        let dial_number = dial.dial;
        let input = PairingInput::DialFailed {
            dial: dial_number,
            failure,
        };
        self.machines[dial.at].input(Input::Pairing(input));
    }

    fn sealed(&mut self, host: usize, dial: &PairDial) {
        self.pair_dials.remove(&(dial.at, dial.life, dial.dial));
        let ends = [host, dial.at].map(|machine| TalkEnd {
            machine,
            attempt: self.machines[machine].new_attempt(),
            life: self.machines[machine].lives,
            last_arrival: 0,
        });
        self.net.next_wire += 1;
        self.talks
            .insert(self.net.next_wire, Talk { ends, over: false });
        let sides = [PairingSide::Host, PairingSide::Guest(dial.dial)];
        for (side, (end, role)) in ends.into_iter().zip(sides).enumerate() {
            let peer = self.machines[ends[1 - side].machine].peer.clone();
            let method = dial.method.clone();
            self.sealed_at(end, peer, method, role);
        }
    }

    fn sealed_at(&mut self, end: TalkEnd, peer: PeerId, method: Method, side: PairingSide) {
        let input = PairingInput::Sealed {
            attempt: end.attempt,
            peer,
            method,
            side,
        };
        self.machines[end.machine].input(Input::Pairing(input));
    }

    /// Opens a conversation with a hub by hand, as who has the secret; what the hub says is in
    /// [`Mesh::raw_words`].
    pub fn raw_talk(&mut self, at: usize, peer: &PeerId, method: Method) -> u64 {
        let end = TalkEnd {
            machine: at,
            attempt: self.machines[at].new_attempt(),
            life: self.machines[at].lives,
            last_arrival: 0,
        };
        self.net.next_wire += 1;
        let talk = self.net.next_wire;
        let ends = [end, end];
        self.talks.insert(talk, Talk { ends, over: false });
        self.raw_talks.insert(talk);
        self.sealed_at(end, peer.clone(), method, PairingSide::Host);
        self.pass(5);
        talk
    }

    /// Says something in such a conversation.
    pub fn raw_say(&mut self, talk: u64, word: Word) {
        let attempt = self.talks[&talk].ends[0].attempt;
        let at = self.talks[&talk].ends[0].machine;
        let word = Ok(Box::new(word));
        self.machines[at].input(Input::Pairing(PairingInput::Word { attempt, word }));
        self.pass(5);
    }
}

fn guest_now(mesh: &Mesh, dial: &PairDial) -> u64 {
    mesh.machines[dial.at].now(mesh.time)
}
