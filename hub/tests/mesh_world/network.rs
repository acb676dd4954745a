//! What lies between the hubs: links as pairs of queues, cables that can be cut, gossip.
//!
//! A link carries frames in order until it is cut; each side learns of the cut in its own time,
//! or never, when its hub dies first. Frames that are under way when a cable is cut are lost;
//! those written before a link is closed still arrive.

use ecorelay_hub::LinkId;
use std::collections::{BTreeMap, BTreeSet};

/// The two machines of a pair, the smaller number first.
pub fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

/// One end of a link.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub machine: usize,
    pub link: LinkId,
    /// In which life of the machine's hub.
    pub life: u64,
    /// The brain there was told that it is up, and not that it is down.
    pub up: bool,
    /// When the last frame on its way to this end arrives.
    last_arrival: u64,
    /// Frames that arrive here after this time are lost.
    pub deaf_from: u64,
    /// How many frames are on their way to it, and their bytes.
    pub under_way: usize,
    pub bytes_under_way: usize,
}

/// One link.
#[derive(Debug)]
pub struct Wire {
    pub ends: [End; 2],
    /// Nothing more can be written to it.
    pub dead: bool,
}

impl Wire {
    pub fn new(machines: [(usize, LinkId, u64); 2]) -> Self {
        let end = |(machine, link, life)| End {
            machine,
            link,
            life,
            up: true,
            last_arrival: 0,
            deaf_from: u64::MAX,
            under_way: 0,
            bytes_under_way: 0,
        };
        Self {
            ends: machines.map(end),
            dead: false,
        }
    }

    /// Returns when a frame that is written now arrives at this end: behind those before it.
    pub fn arrival(&mut self, side: usize, time: u64) -> u64 {
        let end = &mut self.ends[side];
        end.last_arrival = end.last_arrival.max(time);
        end.last_arrival
    }

    /// Returns when everything that was written has arrived at this end.
    pub fn drained(&self, side: usize) -> u64 {
        self.ends[side].last_arrival
    }
}

/// Who reaches whom.
#[derive(Debug, Default)]
pub struct Network {
    pub wires: BTreeMap<u64, Wire>,
    pub next_wire: u64,
    /// On which side of the partition each machine is.
    pub sides: Vec<u8>,
    /// Cables that are cut.
    pub cut: BTreeSet<(usize, usize)>,
    /// Pairs between which a dial is under way.
    pub dialling: BTreeSet<(usize, usize)>,
}

impl Network {
    pub fn reaches(&self, a: usize, b: usize) -> bool {
        self.sides[a] == self.sides[b] && !self.cut.contains(&pair(a, b))
    }

    /// Returns the end of a machine's link: its wire and side.
    pub fn end_of(&self, machine: usize, link: LinkId, life: u64) -> Option<(u64, usize)> {
        self.wires.iter().find_map(|(id, wire)| {
            let side = wire
                .ends
                .iter()
                .position(|e| e.machine == machine && e.link == link && e.life == life)?;
            Some((*id, side))
        })
    }

    /// Returns the wires between two machines that are not yet gone on both ends.
    pub fn between(&self, a: usize, b: usize) -> impl Iterator<Item = (u64, &Wire)> {
        let wires = self.wires.iter().map(|(id, wire)| (*id, wire));
        wires.filter(move |(_, w)| pair(w.ends[0].machine, w.ends[1].machine) == pair(a, b))
    }

    /// Returns the machines that gossip from one gets to over live links, hop by hop.
    pub fn gossip_reaches(&self, from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::from([from]);
        let mut todo = vec![from];
        while let Some(at) = todo.pop() {
            for wire in self.wires.values().filter(|w| !w.dead) {
                let [a, b] = wire.ends.map(|e| e.machine);
                let other = match at {
                    at if at == a => b,
                    at if at == b => a,
                    _ => continue,
                };
                if self.reaches(at, other) && reached.insert(other) {
                    todo.push(other);
                }
            }
        }
        reached.remove(&from);
        reached
    }
}
