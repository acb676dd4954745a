//! Several hubs and the network between them, in one thread and one seed.
//!
//! [`Mesh`] owns the true time and what happens next; [`machine::Machine`] is one hub with its
//! store, clock and clients; [`network::Network`] is who reaches whom over which links.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod client;
pub mod groups;
pub mod machine;
pub mod network;
pub mod pairing;
pub mod raw;

use ecorelay_hub::{DialFailure, Input, LinkId, LinkPath, MeshEffect, MeshInput};
use ecorelay_protocol::from_cbor;
use ecorelay_protocol::link::Frame;
use ecorelay_protocol::pairing::Word;
use machine::{Crash, Machine};
use network::{Network, Wire, pair};
use pairing::{PairDial, Talk};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A dead link is noticed after this long at the latest, in ms: the body's heartbeat.
const HEARTBEAT_MS: u64 = 15_000;
/// Longest wait between two dials of a pair, in ms.
const BACK_OFF_MS: u64 = 30_000;
/// Between two dials of hubs that have other keys, in ms: the handshake hangs, then comes the wait.
const DIAL_MS: u64 = 4_000;
/// A link that lived shorter than this is dialled again only after a wait, in ms.
const STEADY_MS: u64 = 10_000;
/// What the body lets wait for one link before it closes it.
const QUEUE_FRAMES: usize = 1_024;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A brain that wants to be woken this often without time passing never rests.
const WAKES: usize = 100;

/// How the network and the machines behave.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Longest delay of a frame, in ms.
    pub frame_ms: u64,
    /// Longest delay of a gossip message, in ms; more than one hop reorders.
    pub gossip_ms: u64,
    /// Gossip that is lost, and that comes twice, in percent.
    pub gossip_lost: u32,
    pub gossip_twice: u32,
    /// Longest time an input waits for its batch, in ms.
    pub batch_ms: u64,
    /// Most inputs of a batch.
    pub batch: usize,
    /// Longest time a hub stays down, in ms.
    pub down_ms: u64,
    /// Longest time until a link comes up, in ms.
    pub dial_ms: u64,
    /// Words of pairing with which their conversation breaks, in thousandths.
    pub words_lost: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            frame_ms: 1,
            gossip_ms: 1,
            gossip_lost: 0,
            gossip_twice: 0,
            batch_ms: 0,
            batch: 256,
            down_ms: 1_000,
            dial_ms: 10,
            words_lost: 0,
        }
    }
}

/// What has gone over the network.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Frames that arrived, by kind.
    pub frames: BTreeMap<&'static str, u64>,
    pub bytes: u64,
    /// Gossip messages that were published.
    pub gossip: u64,
    /// Links that came up.
    pub links: u64,
    /// Links that the brain closed.
    pub closed: u64,
    /// Links that the body closed because their queue was full.
    pub overflows: u64,
    /// The longest queue there was, in frames.
    pub longest: usize,
    /// Brains closed a link because of a frame that the body could not even read.
    pub unreadable: u64,
}

#[derive(Debug)]
enum Event {
    Batch(usize),
    Frame {
        wire: u64,
        side: usize,
        bytes: Arc<[u8]>,
    },
    Down {
        wire: u64,
        side: usize,
        reason: &'static str,
    },
    Gossip {
        from: usize,
        to: usize,
        bytes: Arc<[u8]>,
    },
    Dial(usize, usize),
    Restart(usize),
    PairDial(Box<PairDial>),
    Word {
        talk: u64,
        side: usize,
        word: Box<Word>,
    },
    TalkEnded {
        talk: u64,
        side: usize,
    },
}

pub struct Mesh {
    pub time: u64,
    pub machines: Vec<Machine>,
    pub net: Network,
    pub habits: Habits,
    pub traffic: Traffic,
    pub rng: fastrand::Rng,
    /// What peers that speak by hand were sent.
    pub raw: BTreeMap<(usize, LinkId), raw::Heard>,
    /// Conversations in which hubs pair.
    pub talks: BTreeMap<u64, Talk>,
    /// Those that a test leads by hand, and what hubs say in them.
    pub raw_talks: BTreeSet<u64>,
    pub raw_words: Vec<Word>,
    /// Words that were said in all of them.
    pub words: u64,
    /// Dials of pairing that are under way: machine, life and number.
    pair_dials: BTreeSet<(usize, u64, u64)>,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    /// Machines whose next batch is planned.
    planned: Vec<bool>,
    /// When the last link of a pair came up, and how long to wait before the next dial.
    dials: BTreeMap<(usize, usize), (u64, u64)>,
    trace: bool,
}

impl Mesh {
    pub fn new(machines: usize, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let machines: Vec<Machine> = (0..machines)
            .map(|number| Machine::new(number, rng.u64(..)))
            .collect();
        Self {
            time: 0,
            net: Network {
                sides: vec![0; machines.len()],
                ..Network::default()
            },
            habits: Habits::default(),
            traffic: Traffic::default(),
            rng,
            raw: BTreeMap::new(),
            talks: BTreeMap::new(),
            raw_talks: BTreeSet::new(),
            raw_words: Vec::new(),
            words: 0,
            pair_dials: BTreeSet::new(),
            events: BTreeMap::new(),
            next_event: 0,
            planned: vec![false; machines.len()],
            dials: BTreeMap::new(),
            machines,
            trace: std::env::var("SIM_TRACE").is_ok(),
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        let until = self.time + ms;
        let (mut wakes, mut at) = (0, self.time);
        loop {
            self.plan_batches();
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let wake = self.next_wake();
            let Some(next) = event.into_iter().chain(wake.map(|(time, _)| time)).min() else {
                break;
            };
            if next > until {
                break;
            }
            self.time = self.time.max(next);
            if self.time > at {
                (wakes, at) = (0, self.time);
            }
            if let Some((time, machine)) = wake
                && event.is_none_or(|event| time < event)
            {
                wakes += 1;
                assert!(
                    wakes < WAKES * self.machines.len(),
                    "{} asks to be woken without end",
                    self.machines[machine].hub_id
                );
                self.machines[machine].input(Input::Tick);
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happens(event);
            }
        }
        self.time = until;
    }

    fn plan(&mut self, in_ms: u64, event: Event) {
        self.plan_at(self.time + in_ms, event);
    }

    fn plan_at(&mut self, time: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((time, self.next_event), event);
    }

    fn upto(&mut self, ms: u64) -> u64 {
        self.rng.u64(0..=ms)
    }

    fn plan_batches(&mut self) {
        for at in 0..self.machines.len() {
            if !self.planned[at] && self.machines[at].is_up() && self.machines[at].waiting() > 0 {
                self.planned[at] = true;
                let wait = self.upto(self.habits.batch_ms);
                self.plan(wait, Event::Batch(at));
            }
        }
    }

    fn next_wake(&self) -> Option<(u64, usize)> {
        let idle = |m: &&Machine| !self.planned[m.number];
        let machines = self.machines.iter().filter(idle);
        machines
            .filter_map(|m| Some((m.deadline()?.max(self.time), m.number)))
            .min()
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Batch(at) => {
                self.planned[at] = false;
                let most = self.rng.usize(1..=self.habits.batch);
                self.batch(at, most);
            }
            Event::Frame { wire, side, bytes } => self.frame_arrives(wire, side, &bytes),
            Event::Down { wire, side, reason } => self.link_is_down(wire, side, reason),
            Event::Gossip { from, to, bytes } => {
                if self.machines[to].is_up() {
                    let author = self.machines[from].peer.clone();
                    let publication = from_cbor(&bytes).map(Box::new);
                    if self.trace {
                        eprintln!("{} hub{from} ~> hub{to} {publication:?}", self.time);
                    }
                    self.machines[to].input(Input::Mesh(MeshInput::Gossip {
                        author,
                        publication,
                    }));
                }
            }
            Event::Dial(a, b) => {
                self.net.dialling.remove(&(a, b));
                if self.wanted(a, b) && !self.has_link(a, b) {
                    self.link_up(a, b);
                } else if self.differ(a, b) {
                    self.dial_fails(a, b);
                }
            }
            Event::PairDial(dial) => self.pair_dial(dial),
            Event::Word { talk, side, word } => self.word_arrives(talk, side, word),
            Event::TalkEnded { talk, side } => self.talk_ended(talk, side),
            Event::Restart(at) => {
                if !self.machines[at].is_up() {
                    self.machines[at].start(self.time);
                    if self.trace {
                        eprintln!("{} hub{at} is back", self.time);
                    }
                }
            }
        }
    }

    /// Runs one batch of a machine and does on the network what it wants.
    pub fn batch(&mut self, at: usize, most: usize) {
        let outcome = self.machines[at].batch(self.time, most);
        for effect in outcome.mesh {
            self.do_mesh(at, effect);
        }
        for effect in outcome.pairing {
            self.do_pairing(at, effect);
        }
        if outcome.died {
            self.has_died(at);
        } else if outcome.key_changed {
            for (wire, side) in self.wires_of(at) {
                self.close(wire, side, "the key was changed");
            }
        } else if outcome.failed {
            for (wire, side) in self.wires_of(at) {
                self.close(wire, side, "the store failed");
            }
        }
        self.dial_all();
    }

    fn do_mesh(&mut self, at: usize, effect: MeshEffect) {
        let life = self.machines[at].lives;
        match effect {
            MeshEffect::Frame { link, bytes } => {
                if let Some(heard) = self.raw.get_mut(&(at, link)) {
                    heard.bytes += bytes.len();
                    heard.frames.push(Frame::decode(&bytes).unwrap());
                } else if let Some((wire, side)) = self.net.end_of(at, link, life) {
                    self.write(wire, side, bytes);
                }
            }
            MeshEffect::Close { link } => {
                if let Some(heard) = self.raw.get_mut(&(at, link)) {
                    heard.closed = true;
                } else if let Some((wire, side)) = self.net.end_of(at, link, life) {
                    self.traffic.closed += 1;
                    self.close(wire, side, "closed by the brain");
                }
            }
            MeshEffect::Publish { bytes } => self.publish(at, &bytes),
            MeshEffect::Redial { peer } => {
                let other = self.machines.iter().position(|m| m.peer == peer);
                for (wire, side) in self.wires_of(at) {
                    if Some(self.net.wires[&wire].ends[1 - side].machine) == other {
                        self.close(wire, side, "to be dialled anew");
                    }
                }
            }
            MeshEffect::Hubs(_) | MeshEffect::Key(_) => {}
        }
    }

    fn publish(&mut self, from: usize, bytes: &Arc<[u8]>) {
        self.traffic.gossip += 1;
        for to in self.net.gossip_reaches(from) {
            if self.rng.u32(0..100) < self.habits.gossip_lost {
                continue;
            }
            let twice = self.rng.u32(0..100) < self.habits.gossip_twice;
            for _ in 0..=u32::from(twice) {
                let wait = self.upto(self.habits.gossip_ms);
                let bytes = bytes.clone();
                self.plan(wait, Event::Gossip { from, to, bytes });
            }
        }
    }

    fn write(&mut self, wire: u64, side: usize, bytes: Arc<[u8]>) {
        let wait = self.upto(self.habits.frame_ms);
        let time = self.time + wait;
        let Some(link) = self.net.wires.get_mut(&wire).filter(|w| !w.dead) else {
            return;
        };
        let arrives = link.arrival(1 - side, time);
        let end = &mut link.ends[1 - side];
        if end.under_way >= QUEUE_FRAMES || end.bytes_under_way + bytes.len() > QUEUE_BYTES {
            self.traffic.overflows += 1;
            return self.close(wire, side, "its queue was full");
        }
        end.under_way += 1;
        end.bytes_under_way += bytes.len();
        self.traffic.longest = self.traffic.longest.max(end.under_way);
        let side = 1 - side;
        self.plan_at(arrives, Event::Frame { wire, side, bytes });
    }

    fn frame_arrives(&mut self, wire: u64, side: usize, bytes: &[u8]) {
        let Some(link) = self.net.wires.get_mut(&wire) else {
            return;
        };
        let end = &mut link.ends[side];
        end.under_way -= 1;
        end.bytes_under_way -= bytes.len();
        let end = *end;
        let machine = &mut self.machines[end.machine];
        if !end.up || self.time > end.deaf_from || machine.lives != end.life {
            return;
        }
        let frame = Frame::decode(bytes).map(Box::new);
        let kind = frame.as_ref().map_or("unreadable", |frame| kind_of(frame));
        *self.traffic.frames.entry(kind).or_default() += 1;
        self.traffic.bytes += bytes.len() as u64;
        if self.trace {
            let from = link.ends[1 - side].machine;
            eprintln!("{} hub{from} -> hub{} {frame:?}", self.time, end.machine);
        }
        let link = end.link;
        machine.input(Input::Mesh(MeshInput::Frame { link, frame }));
    }

    fn link_is_down(&mut self, wire: u64, side: usize, reason: &str) {
        let Some(link) = self.net.wires.get_mut(&wire) else {
            return;
        };
        let end = link.ends[side];
        link.ends[side].up = false;
        let machine = &mut self.machines[end.machine];
        if end.up && machine.is_up() && machine.lives == end.life {
            if self.trace {
                let other = link.ends[1 - side].machine;
                eprintln!(
                    "{} hub{} loses {:?} to hub{other}: {reason}",
                    self.time, end.machine, end.link
                );
            }
            machine.input(Input::Mesh(MeshInput::LinkDown {
                link: end.link,
                reason: reason.to_owned(),
            }));
        }
        let done = self.net.wires[&wire].ends.iter().all(|e| !e.up);
        if done {
            self.net.wires.remove(&wire);
        }
        self.dial_all();
    }

    fn wires_of(&self, at: usize) -> Vec<(u64, usize)> {
        let life = self.machines[at].lives;
        let wires = self.net.wires.iter();
        let side = |wire: &Wire| {
            wire.ends
                .iter()
                .position(|e| e.machine == at && e.life == life && e.up)
        };
        wires
            .filter_map(|(id, wire)| Some((*id, side(wire)?)))
            .collect()
    }

    /// Closes a link from one side: what was written before still arrives.
    fn close(&mut self, wire: u64, side: usize, reason: &'static str) {
        let (own, other) = (self.upto(20), self.upto(50));
        let Some(link) = self.net.wires.get_mut(&wire).filter(|w| !w.dead) else {
            return;
        };
        link.dead = true;
        let drained = link.drained(1 - side).max(self.time);
        self.plan(own, Event::Down { wire, side, reason });
        let side = 1 - side;
        self.plan_at(drained + other, Event::Down { wire, side, reason });
    }

    /// Cuts the cable under a link: what is under way is lost, each side notices in its time.
    pub fn cut(&mut self, wire: u64, notice_ms: u64) {
        let waits = [self.upto(notice_ms), self.upto(notice_ms)];
        let time = self.time;
        let Some(link) = self.net.wires.get_mut(&wire).filter(|w| !w.dead) else {
            return;
        };
        link.dead = true;
        for end in &mut link.ends {
            end.deaf_from = time;
        }
        for (side, wait) in waits.into_iter().enumerate() {
            let reason = "no heartbeat";
            self.plan(wait, Event::Down { wire, side, reason });
        }
    }

    /// Cuts every link whose machines no longer reach each other.
    pub fn cut_unreachable(&mut self) {
        let wires = self.net.wires.iter();
        let cut = wires.filter(|(_, w)| {
            let [a, b] = w.ends.map(|e| e.machine);
            !self.net.reaches(a, b)
        });
        for wire in cut.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.cut(wire, HEARTBEAT_MS);
        }
    }

    /// Splits the network, or makes it whole with equal sides.
    pub fn partition(&mut self, sides: Vec<u8>) {
        self.net.sides = sides;
        self.cut_unreachable();
        self.dial_all();
    }

    /// Lets everybody reach everybody again.
    pub fn heal(&mut self) {
        self.net.cut.clear();
        self.partition(vec![0; self.machines.len()]);
    }

    /// Kills a hub now, between two batches.
    pub fn kill(&mut self, at: usize) {
        if self.machines[at].is_up() {
            self.machines[at].die();
            self.has_died(at);
        }
    }

    /// Kills a hub in its next batch.
    pub fn crash(&mut self, at: usize, crash: Crash) {
        self.machines[at].crash = Some(crash);
    }

    fn has_died(&mut self, at: usize) {
        if self.trace {
            eprintln!("{} hub{at} died", self.time);
        }
        // The system closes the connections of a process; a machine that lost its power is silent.
        let power = self.rng.u32(0..3) == 0;
        self.talks_died(at, power);
        for (wire, side) in self.wires_of(at) {
            let wait = if power {
                self.upto(HEARTBEAT_MS)
            } else {
                self.upto(50)
            };
            let heard = if power { 0 } else { self.upto(wait) };
            if let Some(link) = self.net.wires.get_mut(&wire) {
                link.ends[side].up = false;
                link.dead = true;
                let other = &mut link.ends[1 - side];
                other.deaf_from = other.deaf_from.min(self.time + heard);
            }
            let (side, reason) = (1 - side, "the other end is gone");
            self.plan(wait, Event::Down { wire, side, reason });
        }
        let down = self.upto(self.habits.down_ms);
        self.plan(down, Event::Restart(at));
    }

    fn wanted(&self, a: usize, b: usize) -> bool {
        self.dialled(a, b) && self.machines[a].key == self.machines[b].key
    }

    /// Returns whether two hubs dial each other, but have other keys.
    fn differ(&self, a: usize, b: usize) -> bool {
        self.dialled(a, b) && self.machines[a].key != self.machines[b].key
    }

    /// The handshake of two hubs with other keys fails; who dialled hears of it.
    fn dial_fails(&mut self, a: usize, b: usize) {
        for (at, other) in [(a, b), (b, a)] {
            let address = self.machines[other].address();
            let peer = self.machines[other].peer.clone();
            let listed = self.machines[at].peers.as_ref();
            if !listed.is_some_and(|l| l.hubs.iter().any(|(p, _)| *p == peer)) {
                continue;
            }
            let hangs = self.rng.bool();
            let failure = if hangs {
                DialFailure::TimedOut
            } else {
                DialFailure::Handshake
            };
            let peer = Some(peer);
            self.machines[at].input(Input::Mesh(MeshInput::DialFailed {
                peer,
                address,
                failure,
            }));
        }
    }

    fn dialled(&self, a: usize, b: usize) -> bool {
        let [a, b] = [&self.machines[a], &self.machines[b]];
        let (Some(of_a), Some(of_b)) = (&a.peers, &b.peers) else {
            return false;
        };
        let lists = |from: &ecorelay_hub::MeshPeers, to: &Machine| {
            from.try_nearby
                || from.hubs.iter().any(|(peer, _)| *peer == to.peer)
                || from.addresses.iter().any(|a| a.starts_with(&to.address()))
        };
        a.is_up()
            && b.is_up()
            && self.net.reaches(a.number, b.number)
            && a.key.is_some()
            && b.key.is_some()
            && (lists(of_a, b) || lists(of_b, a))
            && !of_a.blocked.contains(&b.peer)
            && !of_b.blocked.contains(&a.peer)
    }

    fn has_link(&self, a: usize, b: usize) -> bool {
        self.net.between(a, b).any(|(_, wire)| !wire.dead)
    }

    /// Dials every pair that wants a link and has none; closes links that nobody wants any more.
    pub fn dial_all(&mut self) {
        for a in 0..self.machines.len() {
            for b in a + 1..self.machines.len() {
                if self.wanted(a, b) && !self.has_link(a, b) && self.net.dialling.insert((a, b)) {
                    let (since, wait) = self.dials.get(&(a, b)).copied().unwrap_or_default();
                    let wait = if since + STEADY_MS > self.time {
                        (2 * wait).clamp(100, BACK_OFF_MS)
                    } else {
                        0
                    };
                    self.dials.insert((a, b), (since, wait));
                    let wait = wait + self.upto(self.habits.dial_ms + wait / 2);
                    self.plan(wait, Event::Dial(a, b));
                } else if self.differ(a, b) && self.net.dialling.insert((a, b)) {
                    let wait = DIAL_MS + self.upto(DIAL_MS);
                    self.plan(wait, Event::Dial(a, b));
                }
            }
        }
    }

    fn link_up(&mut self, a: usize, b: usize) {
        let wait = self.dials.get(&pair(a, b)).map_or(0, |(_, wait)| *wait);
        self.dials.insert(pair(a, b), (self.time, wait));
        // An end that has not noticed that its old link is gone learns it now, before or after
        // it hears of the new one.
        let stale: Vec<u64> = self.net.between(a, b).map(|(id, _)| id).collect();
        let before = self.rng.bool();
        for wire in &stale {
            for side in 0..2 {
                let reason = "a new link takes its place";
                if before {
                    self.link_is_down(*wire, side, reason);
                } else {
                    let (wire, wait) = (*wire, self.upto(100));
                    self.plan(wait, Event::Down { wire, side, reason });
                }
            }
        }
        let ends = [a, b].map(|at| {
            let machine = &mut self.machines[at];
            (at, machine.new_link(), machine.lives)
        });
        self.net.next_wire += 1;
        self.net.wires.insert(self.net.next_wire, Wire::new(ends));
        self.traffic.links += 1;
        for (at, other, link) in [(a, b, ends[0].1), (b, a, ends[1].1)] {
            let (peer, address) = (
                self.machines[other].peer.clone(),
                self.machines[other].address(),
            );
            if self.trace {
                eprintln!("{} hub{at} has {link:?} to hub{other}", self.time);
            }
            self.machines[at].input(Input::Mesh(MeshInput::LinkUp {
                link,
                peer,
                address,
                path: LinkPath::Direct,
            }));
            self.machines[at].input(Input::Mesh(MeshInput::RoundTrip { link, micros: 500 }));
        }
    }

    /// Returns whether two machines have a link.
    pub fn linked(&self, a: usize, b: usize) -> bool {
        self.has_link(a, b)
    }

    /// Returns the live wires.
    pub fn live_wires(&self) -> Vec<u64> {
        let live = self.net.wires.iter().filter(|(_, w)| !w.dead);
        live.map(|(id, _)| *id).collect()
    }

    /// Closes a live link as the system does it, seen by both sides at once.
    pub fn reset(&mut self, wire: u64) {
        let side = usize::from(self.rng.bool());
        self.close(wire, side, "reset");
    }

    /// Gives a link's number at a machine.
    pub fn link_between(&self, at: usize, other: usize) -> Option<LinkId> {
        let (_, wire) = self.net.between(at, other).find(|(_, w)| !w.dead)?;
        wire.ends.iter().find(|e| e.machine == at).map(|e| e.link)
    }
}

/// Returns the name of a frame's kind.
pub fn kind_of(frame: &Frame) -> &'static str {
    match frame {
        Frame::Hello(_) => "hello",
        Frame::Refuse(_) => "refuse",
        Frame::Sync(_) => "sync",
        Frame::Message(_) => "message",
        Frame::Ack(_) => "ack",
        Frame::Receipt(_) => "receipt",
        Frame::Query(_) => "query",
        Frame::Entry(_) => "entry",
        Frame::Delta(_) => "delta",
        Frame::Want(_) => "want",
        Frame::Roster(_) => "roster",
        Frame::Published(_) => "published",
        Frame::Fill(_) => "fill",
        Frame::Publications(_) => "publications",
        Frame::GroupVersions(_) => "group_versions",
        Frame::GroupOps(_) => "group_ops",
        Frame::Rekey(_) => "rekey",
        Frame::Ping(_) => "ping",
        Frame::Pong(_) => "pong",
        Frame::Tickets(_) => "tickets",
        Frame::Unknown(_) => "unknown",
    }
}
