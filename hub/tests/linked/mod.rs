//! Hubs with their stores, clients and links in one place; frames are carried by hand.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use ecorelay_hub::{
    ConnId, Effect, Effects, Hub, HubConfig, Ids, Input, Keys, LinkId, LinkPath, MemoryStore,
    MeshEffect, MeshInput, MeshPeers, Origin, PlainKeys, Tunables,
};
use ecorelay_protocol::link::Frame;
use ecorelay_protocol::{PeerId, decode_request, from_cbor};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

struct Seeded(fastrand::Rng);

impl Ids for Seeded {
    fn uuid(&mut self) -> String {
        format!("{:032x}", self.0.u128(..))
    }

    fn secret(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.0.u8(..))
    }
}

struct Machine {
    hub: Hub,
    store: MemoryStore,
    peer: PeerId,
    out: BTreeMap<ConnId, VecDeque<Value>>,
    wanted: MeshPeers,
    starts: u64,
}

/// A link as both ends know it.
struct Wire {
    ends: [(usize, LinkId); 2],
    /// Frames on their way to each end.
    frames: [VecDeque<std::sync::Arc<[u8]>>; 2],
}

pub struct Mesh {
    machines: Vec<Machine>,
    wires: Vec<Wire>,
    cut: BTreeSet<(usize, usize)>,
    pub now: u64,
    next: u64,
}

fn config(n: usize, starts: u64) -> HubConfig {
    HubConfig {
        hub_id: format!("hub{}", n + 1).parse().unwrap(),
        tunables: Tunables::default(),
        started: 1_800_000_000_000 + starts * 1_000,
        mesh_key: None,
        about: serde_json::Map::new(),
    }
}

fn keys(n: usize) -> PlainKeys {
    PlainKeys::numbered(u8::try_from(n + 1).unwrap())
}

impl Mesh {
    /// Hubs that have joined the first one's mesh and are linked.
    pub fn of(count: usize) -> Self {
        let mut mesh = Self {
            machines: Vec::new(),
            wires: Vec::new(),
            cut: BTreeSet::new(),
            now: 1_800_000_100_000,
            next: 0,
        };
        for n in 0..count {
            mesh.add();
            if n > 0 {
                mesh.invite_and_join(0, n);
            }
        }
        mesh.settle();
        mesh
    }

    fn add(&mut self) {
        let n = self.machines.len();
        let mut store = MemoryStore::default();
        let ids = Box::new(Seeded(fastrand::Rng::with_seed(n as u64)));
        let hub = Hub::new(config(n, 0), ids, Box::new(keys(n)), &mut store).unwrap();
        self.machines.push(Machine {
            hub,
            store,
            peer: keys(n).peer_id().clone(),
            out: BTreeMap::new(),
            wanted: MeshPeers::default(),
            starts: 0,
        });
        let addresses = vec![format!("/ip4/10.0.0.{n}/tcp/1")];
        self.input(n, Input::Mesh(MeshInput::Listening { addresses }));
    }

    pub fn invite_and_join(&mut self, from: usize, to: usize) {
        let (a, b) = (self.connect(from), self.connect(to));
        let ticket = self.ask(from, a, json!({"type": "invite"}));
        let line = json!({"type": "join", "ticket": ticket["ticket"]});
        let joined = self.ask(to, b, line);
        assert_eq!(joined["type"], "join_result", "{joined}");
        self.settle();
    }

    pub fn connect(&mut self, n: usize) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        let origin = Origin::Socket;
        self.input(n, Input::Connected { conn, origin });
        conn
    }

    pub fn session(&mut self, n: usize, name: &str) -> ConnId {
        let conn = self.connect(n);
        let line = json!({"type": "register", "name": name, "cwd": "/x", "protocol_version": "6", "agent": "test"});
        let ack = self.ask(n, conn, line);
        assert_eq!(ack["type"], "ack", "{ack}");
        conn
    }

    pub fn write(&mut self, n: usize, conn: ConnId, line: Value) {
        let incoming = decode_request(line.to_string().as_bytes());
        self.input(n, Input::Line { conn, incoming });
    }

    /// Writes a request and returns its answer; frames are carried, time passes if need be.
    pub fn ask(&mut self, n: usize, conn: ConnId, mut line: Value) -> Value {
        self.next += 1;
        let id = format!("r{}", self.next);
        line["req_id"] = json!(id);
        self.write(n, conn, line);
        for _ in 0..2_000 {
            self.carry();
            let out = self.machines[n].out.entry(conn).or_default();
            if let Some(at) = out.iter().position(|line| line["req_id"] == json!(id)) {
                return out.remove(at).unwrap();
            }
            self.pass(10);
        }
        panic!("no answer to {id}");
    }

    /// Returns the next line of a type; those before it are dropped.
    pub fn next(&mut self, n: usize, conn: ConnId, kind: &str) -> Value {
        let out = self.machines[n].out.entry(conn).or_default();
        while let Some(line) = out.pop_front() {
            if line["type"] == kind {
                return line;
            }
        }
        panic!("no line {kind}");
    }

    pub fn status(&mut self, n: usize) -> Value {
        let conn = self.connect(n);
        self.ask(n, conn, json!({"type": "status"}))["status"].clone()
    }

    /// Returns the ids of all messages in all mailboxes, in order.
    pub fn mailbox(&self, n: usize) -> Vec<String> {
        self.machines[n]
            .store
            .messages()
            .map(|m| m.msg_id.clone())
            .collect()
    }

    fn input(&mut self, n: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Effects::default();
            let machine = &mut self.machines[n];
            machine
                .hub
                .handle(self.now, input, &mut machine.store, &mut effects);
            assert!(machine.hub.failed().is_none());
            machine.store.commit().unwrap();
            machine.hub.batch_committed();
            let Effects { now, after } = effects;
            for effect in now.into_iter().chain(after) {
                inputs.extend(self.let_out(n, effect));
            }
        }
    }

    fn let_out(&mut self, n: usize, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Line {
                conn, bytes, tag, ..
            } => {
                let line = serde_json::from_slice(&bytes).unwrap();
                self.machines[n]
                    .out
                    .entry(conn)
                    .or_default()
                    .push_back(line);
                return tag.map(|tag| Input::Flushed {
                    conn,
                    tag,
                    ok: true,
                });
            }
            Effect::Close { conn } => return Some(Input::Disconnected { conn }),
            Effect::Stop => {}
            Effect::Mesh(MeshEffect::Frame { link, bytes }) => {
                for wire in &mut self.wires {
                    if let Some(end) = wire.ends.iter().position(|e| *e == (n, link)) {
                        wire.frames[1 - end].push_back(bytes);
                        break;
                    }
                }
            }
            Effect::Mesh(MeshEffect::Close { link }) => {
                if let Some(at) = self.wires.iter().position(|w| w.ends.contains(&(n, link))) {
                    // What was written before gets there.
                    let mut wire = self.wires.remove(at);
                    let end = wire.ends.iter().position(|e| *e == (n, link)).unwrap();
                    let (other, other_link) = wire.ends[1 - end];
                    for bytes in std::mem::take(&mut wire.frames[1 - end]) {
                        self.frame(other, other_link, &bytes);
                    }
                    self.down(other, other_link);
                    self.down(n, link);
                }
            }
            Effect::Mesh(MeshEffect::Hubs(peers)) => self.machines[n].wanted = peers,
            Effect::Mesh(MeshEffect::Publish { bytes }) => {
                let author = self.machines[n].peer.clone();
                let others: Vec<usize> = self
                    .wires
                    .iter()
                    .filter_map(|w| {
                        let end = w.ends.iter().position(|e| e.0 == n)?;
                        Some(w.ends[1 - end].0)
                    })
                    .collect();
                for other in others {
                    let publication = from_cbor(&bytes).map(Box::new);
                    let author = author.clone();
                    self.input(
                        other,
                        Input::Mesh(MeshInput::Gossip {
                            author,
                            publication,
                        }),
                    );
                }
            }
            Effect::Mesh(MeshEffect::Redial { .. } | MeshEffect::Key(_)) => {}
        }
        None
    }

    fn frame(&mut self, n: usize, link: LinkId, bytes: &[u8]) {
        let frame = Frame::decode(bytes).map(Box::new);
        self.input(n, Input::Mesh(MeshInput::Frame { link, frame }));
    }

    fn down(&mut self, n: usize, link: LinkId) {
        let reason = "closed".to_owned();
        self.input(n, Input::Mesh(MeshInput::LinkDown { link, reason }));
    }

    /// Opens links between hubs that want each other and can reach each other.
    fn link_up(&mut self) {
        for a in 0..self.machines.len() {
            for b in a + 1..self.machines.len() {
                let linked = self.wires.iter().any(|w| {
                    let ends = [w.ends[0].0, w.ends[1].0];
                    ends == [a, b] || ends == [b, a]
                });
                let wants = |x: usize, y: usize| {
                    let wanted = &self.machines[x].wanted;
                    wanted.hubs.iter().any(|(p, _)| *p == self.machines[y].peer)
                };
                if linked || self.cut.contains(&(a, b)) || !(wants(a, b) || wants(b, a)) {
                    continue;
                }
                let ends = [a, b].map(|n| {
                    self.next += 1;
                    (n, LinkId(self.next))
                });
                self.wires.push(Wire {
                    ends,
                    frames: Default::default(),
                });
                for (at, (n, link)) in ends.into_iter().enumerate() {
                    let input = MeshInput::LinkUp {
                        link,
                        peer: self.machines[ends[1 - at].0].peer.clone(),
                        address: format!("/ip4/10.0.0.{}/tcp/1", ends[1 - at].0),
                        path: LinkPath::Direct,
                    };
                    self.input(n, Input::Mesh(input));
                }
            }
        }
    }

    /// Carries frames until none are on their way.
    pub fn carry(&mut self) {
        self.link_up();
        while let Some((at, end)) =
            self.wires.iter().enumerate().find_map(|(at, wire)| {
                Some((at, (0..2).find(|end| !wire.frames[*end].is_empty())?))
            })
        {
            self.step(at, end);
        }
    }

    fn step(&mut self, at: usize, end: usize) {
        let wire = &mut self.wires[at];
        let (n, link) = wire.ends[end];
        if let Some(bytes) = wire.frames[end].pop_front() {
            self.frame(n, link, &bytes);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        self.now += ms;
        for n in 0..self.machines.len() {
            if self.machines[n]
                .hub
                .next_deadline()
                .is_some_and(|due| due <= self.now)
            {
                self.input(n, Input::Tick);
            }
        }
    }

    /// Lets a second pass, with everything that happens in it.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            self.carry();
            self.pass(50);
        }
    }

    /// Cuts the cable between two hubs; what is on its way is lost.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
        let both = |w: &Wire| {
            let ends = [w.ends[0].0, w.ends[1].0];
            ends.contains(&a) && ends.contains(&b)
        };
        while let Some(at) = self.wires.iter().position(both) {
            let wire = self.wires.remove(at);
            for (n, link) in wire.ends {
                self.down(n, link);
            }
        }
    }

    /// Mends the cable and carries a few frames only.
    pub fn join_cable(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
        self.link_up();
        for _ in 0..100 {
            let busy = self.wires.iter().enumerate().find_map(|(at, wire)| {
                Some((at, (0..2).find(|end| !wire.frames[*end].is_empty())?))
            });
            match busy {
                Some((at, end)) => self.step(at, end),
                None => break,
            }
        }
    }

    /// Kills a hub and starts it again with what was committed.
    pub fn restart(&mut self, n: usize) {
        let mine: Vec<usize> = (0..self.machines.len()).filter(|m| *m != n).collect();
        for other in mine {
            let was = self.cut.contains(&(n.min(other), n.max(other)));
            self.cut(n, other);
            if !was {
                self.cut.remove(&(n.min(other), n.max(other)));
            }
        }
        let machine = &mut self.machines[n];
        machine.starts += 1;
        machine.store.rollback();
        let ids = Box::new(Seeded(fastrand::Rng::with_seed(self.now)));
        let config = config(n, machine.starts);
        machine.hub = Hub::new(config, ids, Box::new(keys(n)), &mut machine.store).unwrap();
        machine.out.clear();
        let addresses = vec![format!("/ip4/10.0.0.{n}/tcp/1")];
        self.input(n, Input::Mesh(MeshInput::Listening { addresses }));
    }
}
