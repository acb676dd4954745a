//! One hub with its store, clock and clients: the body as the brain knows it. It runs batches,
//! crashes between any two of their steps, and comes back with what was committed.

use ecorelay_hub::{
    AttemptId, ConnId, Door, Effect, Effects, Hub, HubConfig, Ids, Input, LinkId, MemoryStore,
    MeshEffect, MeshInput, MeshPeers, Origin, PairingEffect, PairingInput, PlainKeys, Store,
    StoreError, Tunables,
};
use ecorelay_protocol::{PeerId, Psk, decode_request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The time at which every world begins, in ms since 1970.
pub const BEGIN: u64 = 1_800_000_000_000;

/// Where a hub dies.
#[derive(Debug, Clone, Copy)]
pub enum Crash {
    /// After so many of the effects that go out before the commit.
    BeforeCommit(usize),
    /// After so many of the effects that go out after the commit.
    AfterCommit(usize),
}

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the brain wants done on the mesh, in order.
    pub mesh: Vec<MeshEffect>,
    /// What the brain wants done while hubs pair, in order.
    pub pairing: Vec<PairingEffect>,
    /// The batch failed: all links are to be closed.
    pub failed: bool,
    /// The hub died in it.
    pub died: bool,
    /// The key in use is another now: all links end.
    pub key_changed: bool,
}

/// A clock that runs by itself: its own offset, its own pace; within one life of its hub it
/// never goes back, as the body's.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What it shows at the time `set`.
    base: u64,
    set: u64,
    /// Thousandths of a ms it gains or loses in a second.
    pub drift: i64,
}

impl Clock {
    fn at(&self, time: u64) -> u64 {
        let passed = time - self.set;
        let gained = i64::try_from(passed).unwrap() * self.drift / 1_000_000;
        (self.base + passed).saturating_add_signed(gained)
    }

    /// Returns the first time at which it shows `shown`.
    fn time_of(&self, shown: u64) -> u64 {
        let ahead = i64::try_from(shown.saturating_sub(self.base)).unwrap();
        let mut time = self
            .set
            .saturating_add_signed(ahead * 1_000_000 / (1_000_000 + self.drift));
        while self.at(time) < shown {
            time += 1;
        }
        time
    }

    fn turn(&mut self, time: u64, by: i64) {
        self.base = self.at(time).saturating_add_signed(by);
        self.set = time;
    }
}

struct Seeded(fastrand::Rng);

impl Ids for Seeded {
    fn uuid(&mut self) -> String {
        format!("{:032x}", self.0.u128(..))
    }

    fn secret(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.0.u8(..))
    }
}

pub struct Machine {
    pub number: usize,
    pub hub_id: String,
    pub peer: PeerId,
    /// `None` while it is down.
    pub hub: Option<Hub>,
    pub store: MemoryStore,
    pub clock: Clock,
    /// How often its hub was started.
    pub lives: u64,
    /// `mesh.key`.
    pub key: Option<Psk>,
    /// Whom the brain wants to be connected to; `None` until it said so.
    pub peers: Option<MeshPeers>,
    /// What the pairing listener is for.
    pub door: Door,
    pub crash: Option<Crash>,
    pub tunables: Tunables,
    /// Now and then a pushed line finds its client's queue full.
    pub drops_pushes: bool,
    /// Texts that were written to version "5" clients: handed over by that.
    pub written: BTreeSet<String>,
    /// Version "5" clients.
    old: BTreeSet<ConnId>,
    queue: VecDeque<Input>,
    out: BTreeMap<ConnId, VecDeque<Value>>,
    closed: BTreeSet<ConnId>,
    next_conn: u64,
    next_link: u64,
    next_attempt: u64,
    rng: fastrand::Rng,
    pub trace: bool,
}

impl Machine {
    /// Returns a machine whose hub runs, with a clock that is right.
    pub fn new(number: usize, seed: u64) -> Self {
        let keys = PlainKeys::numbered(u8::try_from(number + 1).unwrap());
        let mut machine = Self {
            number,
            hub_id: format!("hub{number}"),
            peer: ecorelay_hub::Keys::peer_id(&keys).clone(),
            hub: None,
            store: MemoryStore::default(),
            clock: Clock {
                base: BEGIN,
                set: 0,
                drift: 0,
            },
            lives: 0,
            key: None,
            peers: None,
            door: Door::default(),
            crash: None,
            tunables: Tunables::default(),
            drops_pushes: false,
            written: BTreeSet::new(),
            old: BTreeSet::new(),
            queue: VecDeque::new(),
            out: BTreeMap::new(),
            closed: BTreeSet::new(),
            next_conn: 0,
            next_link: 0,
            next_attempt: 0,
            rng: fastrand::Rng::with_seed(seed),
            trace: std::env::var("SIM_TRACE").is_ok(),
        };
        machine.start(0);
        machine
    }

    /// Starts the hub with what is on disk.
    pub fn start(&mut self, time: u64) {
        let config = HubConfig {
            hub_id: self.hub_id.parse().unwrap(),
            tunables: self.tunables.clone(),
            started: self.clock.at(time),
            mesh_key: self.key.clone(),
            about: serde_json::Map::new(),
        };
        let keys = PlainKeys::numbered(u8::try_from(self.number + 1).unwrap());
        let ids = Box::new(Seeded(self.rng.fork()));
        let hub = Hub::new(config, ids, Box::new(keys), &mut self.store).unwrap();
        self.hub = Some(hub);
        self.lives += 1;
        self.queue.push_back(Input::Mesh(MeshInput::Listening {
            addresses: vec![self.address()],
        }));
    }

    /// Returns where it listens.
    pub fn address(&self) -> String {
        format!("/ip4/10.0.0.{}/tcp/4001", self.number + 1)
    }

    /// Returns where its pairing listener is.
    pub fn pairing_address(&self) -> String {
        format!("10.0.0.{}:7000", self.number + 1)
    }

    pub fn now(&self, time: u64) -> u64 {
        self.clock.at(time)
    }

    /// Sets the clock: forward at any time, back only while the hub is down.
    pub fn turn_clock(&mut self, time: u64, by: i64) {
        let by = if self.hub.is_some() { by.max(0) } else { by };
        self.clock.turn(time, by);
    }

    /// kill -9: what was not committed is gone, and so is every connection.
    pub fn die(&mut self) {
        if self.trace {
            eprintln!("{} DIES {:?}", self.hub_id, self.crash);
        }
        self.crash = None;
        self.store.rollback();
        self.queue.clear();
        self.closed.extend((1..=self.next_conn).map(ConnId));
        self.hub = None;
        self.peers = None;
        self.door = Door::default();
    }

    pub fn is_up(&self) -> bool {
        self.hub.is_some()
    }

    pub fn store_fails(&mut self, fails: bool) {
        self.store.set_failing(fails.then_some(StoreError::Full));
    }

    /// Returns a fresh number for a link.
    pub fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    /// Returns a fresh number for a conversation.
    pub fn new_attempt(&mut self) -> AttemptId {
        self.next_attempt += 1;
        AttemptId(self.next_attempt)
    }

    /// The brain says what the pairing listener is for.
    fn set_door(&mut self, door: Door) {
        let open = |door: &Door| door.window.is_some() || door.members || !door.tickets.is_empty();
        if open(&door) != open(&self.door) {
            let addresses = open(&door).then(|| self.pairing_address());
            self.queue
                .push_back(Input::Pairing(PairingInput::Listening {
                    addresses: addresses.into_iter().collect(),
                }));
        }
        self.door = door;
    }

    pub fn input(&mut self, input: Input) {
        if self.is_up() {
            self.queue.push_back(input);
        }
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Returns the time at which the brain wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        let shown = self.hub.as_ref()?.next_deadline()?;
        Some(self.clock.time_of(shown))
    }

    pub fn connect(&mut self) -> Option<ConnId> {
        self.hub.as_ref()?;
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let origin = Origin::Socket;
        self.queue.push_back(Input::Connected { conn, origin });
        Some(conn)
    }

    pub fn write(&mut self, conn: ConnId, line: &Value) {
        if !self.closed.contains(&conn) {
            if self.trace {
                eprintln!("{} {conn:?} > {line}", self.hub_id);
            }
            if line["protocol_version"] == "5" {
                self.old.insert(conn);
            }
            let incoming = decode_request(line.to_string().as_bytes());
            self.queue.push_back(Input::Line { conn, incoming });
        }
    }

    pub fn disconnect(&mut self, conn: ConnId) {
        if self.closed.insert(conn) {
            self.queue.push_back(Input::Disconnected { conn });
        }
    }

    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.contains(&conn)
    }

    pub fn lines(&mut self, conn: ConnId) -> Vec<Value> {
        self.out.remove(&conn).unwrap_or_default().into()
    }

    /// Puts lines back that were taken too early.
    pub fn put_back(&mut self, conn: ConnId, lines: Vec<Value>) {
        if !lines.is_empty() {
            let out = self.out.entry(conn).or_default();
            for line in lines.into_iter().rev() {
                out.push_front(line);
            }
        }
    }

    /// Runs one batch of at most so many inputs.
    pub fn batch(&mut self, time: u64, most: usize) -> Outcome {
        let now = self.now(time);
        let mut outcome = Outcome::default();
        let Some(mut hub) = self.hub.take() else {
            return outcome;
        };
        let mut effects = Effects::default();
        for _ in 0..most.min(self.queue.len()) {
            if let Some(input) = self.queue.pop_front() {
                hub.handle(now, input, &mut self.store, &mut effects);
            }
        }
        let mut before = std::mem::take(&mut effects.now);
        if let Some(Crash::BeforeCommit(let_out)) = self.crash {
            before.truncate(let_out);
            self.let_out(before, &mut outcome);
            self.die();
            outcome.died = true;
            return outcome;
        }
        self.let_out(before, &mut outcome);
        let error = match hub.failed().cloned() {
            Some(error) => Some(error),
            None if hub.dirty() => self.store.commit().err(),
            None => None,
        };
        match error {
            None => hub.batch_committed(),
            Some(error) => {
                outcome.failed = true;
                self.store.rollback();
                hub.batch_failed(now, &error, &mut self.store, &mut effects)
                    .unwrap();
            }
        }
        let mut after = std::mem::take(&mut effects.now);
        after.append(&mut effects.after);
        self.hub = Some(hub);
        if let Some(Crash::AfterCommit(let_out)) = self.crash {
            after.truncate(let_out);
            self.let_out(after, &mut outcome);
            self.die();
            outcome.died = true;
            return outcome;
        }
        self.let_out(after, &mut outcome);
        outcome
    }

    fn let_out(&mut self, effects: Vec<Effect>, outcome: &mut Outcome) {
        for effect in effects {
            match effect {
                Effect::Line {
                    conn,
                    bytes,
                    tag,
                    may_drop,
                } => {
                    let open = !self.closed.contains(&conn);
                    let fits = !(may_drop && self.drops_pushes) || self.rng.u32(0..50) > 0;
                    if open && fits {
                        let line: Value = serde_json::from_slice(&bytes).unwrap();
                        if self.trace {
                            eprintln!("{} {conn:?} < {line}", self.hub_id);
                        }
                        if let Some(text) =
                            line["text"].as_str().filter(|_| self.old.contains(&conn))
                        {
                            self.written.insert(text.to_owned());
                        }
                        self.out.entry(conn).or_default().push_back(line);
                    }
                    if let Some(tag) = tag {
                        let ok = open && fits;
                        self.queue.push_back(Input::Flushed { conn, tag, ok });
                        if open && !fits {
                            self.queue.push_back(Input::Drained { conn });
                        }
                    }
                }
                Effect::Close { conn } => self.disconnect(conn),
                Effect::Mesh(MeshEffect::Hubs(peers)) => {
                    if self.trace {
                        eprintln!("{} wants {peers:?}", self.hub_id);
                    }
                    self.peers = Some(peers);
                }
                Effect::Mesh(MeshEffect::Key(key)) => {
                    let before = self.key.replace(key);
                    outcome.key_changed |= before.is_some() && before != self.key;
                }
                Effect::Mesh(effect) => outcome.mesh.push(effect),
                Effect::Pairing(PairingEffect::Door(door)) => self.set_door(door),
                Effect::Pairing(effect) => outcome.pairing.push(effect),
                Effect::Stop => unreachable!("nobody stops a hub here"),
            }
        }
    }

    /// Returns everything durable, as it is in memory.
    pub fn durable(&self) -> ecorelay_hub::Durable {
        self.store.clone().load().unwrap()
    }

    /// Returns the register line of a session.
    pub fn register_line(name: &str, v6: bool) -> Value {
        let version = if v6 { "6" } else { "5" };
        let mut line = json!({"type":"register","name":name,"cwd":"/w","git_branch":"main","protocol_version":version});
        if v6 {
            line["agent"] = json!("claude-code");
            line["req_id"] = json!("reg");
        }
        line
    }
}
