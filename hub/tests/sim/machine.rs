//! The body of the simulated hub: batches, crashes, a failing store, a clock.

use crate::actor::Actor;
use ecorelay_hub::{
    ConnId, Effect, Effects, Hub, HubConfig, Ids, Input, MemoryStore, Origin, PlainKeys,
    StoreError, Tunables,
};
use ecorelay_protocol::decode_request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Where the hub dies.
#[derive(Debug, Clone, Copy)]
pub enum Crash {
    /// After so many of the effects that go out before the commit.
    BeforeCommit(usize),
    /// After so many of the effects that go out after the commit.
    AfterCommit(usize),
    BetweenBatches,
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
    hub: Hub,
    store: MemoryStore,
    now: u64,
    rng: fastrand::Rng,
    queue: VecDeque<Input>,
    out: BTreeMap<ConnId, VecDeque<Value>>,
    closed: BTreeSet<ConnId>,
    /// Every push a client was written, so that `delivered` can be checked.
    pub handed: BTreeSet<String>,
    next_conn: u64,
    crash: Option<Crash>,
    read: BTreeMap<String, (usize, usize)>,
    orders: Vec<Vec<String>>,
}

fn hub(rng: &mut fastrand::Rng, store: &mut MemoryStore) -> Hub {
    let config = HubConfig {
        hub_id: "sim".parse().unwrap(),
        tunables: Tunables::default(),
        started: 1_800_000_000_000,
        mesh_key: None,
        about: serde_json::Map::new(),
    };
    Hub::new(
        config,
        Box::new(Seeded(rng.fork())),
        Box::new(PlainKeys::numbered(1)),
        store,
    )
    .unwrap()
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut store = MemoryStore::default();
        Self {
            hub: hub(&mut rng, &mut store),
            store,
            now: 1_800_000_000_000,
            rng,
            queue: VecDeque::new(),
            out: BTreeMap::new(),
            closed: BTreeSet::new(),
            handed: BTreeSet::new(),
            next_conn: 0,
            crash: None,
            read: BTreeMap::new(),
            orders: Vec::new(),
        }
    }

    pub fn connect(&mut self) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.queue.push_back(Input::Connected {
            conn,
            origin: Origin::Socket,
        });
        conn
    }

    pub fn write(&mut self, conn: ConnId, line: Value) {
        if !self.closed.contains(&conn) {
            if std::env::var("SIM_TRACE").is_ok() {
                eprintln!("{} > {conn:?} {line}", self.now);
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

    pub fn crash_at(&mut self, crash: Crash) {
        self.crash = Some(crash);
        if matches!(crash, Crash::BetweenBatches) {
            self.die();
        }
    }

    pub fn store_fails(&mut self, fails: bool) {
        self.store.set_failing(fails.then_some(StoreError::Full));
    }

    pub fn no_more_trouble(&mut self) {
        self.crash = None;
        self.store.set_failing(None);
    }

    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(due) = self.hub.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.queue.push_back(Input::Tick);
            self.run_all();
        }
        self.now = until;
    }

    pub fn run_all(&mut self) {
        while !self.queue.is_empty() {
            let most = self.rng.usize(1..8);
            self.batch(most);
        }
    }

    pub fn run_some(&mut self, most: usize) {
        if !self.queue.is_empty() {
            self.batch(most);
        }
    }

    fn batch(&mut self, most: usize) {
        let mut effects = Effects::default();
        for _ in 0..most.min(self.queue.len()) {
            let input = self.queue.pop_front().unwrap();
            self.hub
                .handle(self.now, input, &mut self.store, &mut effects);
        }
        let mut now = std::mem::take(&mut effects.now);
        if let Some(Crash::BeforeCommit(let_out)) = self.crash {
            now.truncate(let_out);
            self.deliver(now);
            return self.die();
        }
        self.deliver(now);
        let error = match self.hub.failed().cloned() {
            Some(error) => Some(error),
            None if self.hub.dirty() => self.store.commit().err(),
            None => None,
        };
        match error {
            None => self.hub.batch_committed(),
            Some(error) => {
                self.store.rollback();
                self.hub
                    .batch_failed(self.now, &error, &mut self.store, &mut effects)
                    .unwrap();
            }
        }
        let mut after = std::mem::take(&mut effects.after);
        if let Some(Crash::AfterCommit(let_out)) = self.crash {
            after.truncate(let_out);
            self.deliver(after);
            return self.die();
        }
        self.deliver(after);
    }

    fn deliver(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Line {
                    conn,
                    bytes,
                    tag,
                    may_drop,
                } => {
                    let open = !self.closed.contains(&conn);
                    // Now and then a pushed line finds its client's queue full.
                    let fits = !may_drop || self.rng.u32(0..50) > 0;
                    if open && fits {
                        let line: Value = serde_json::from_slice(&bytes).unwrap();
                        if let Some(id) = line["msg_id"].as_str() {
                            self.handed.insert(id.to_owned());
                        }
                        if std::env::var("SIM_TRACE").is_ok() {
                            eprintln!("{} < {conn:?} {line}", self.now);
                        }
                        self.out.entry(conn).or_default().push_back(line);
                    }
                    if let Some(tag) = tag {
                        self.queue.push_back(Input::Flushed {
                            conn,
                            tag,
                            ok: open && fits,
                        });
                        if open && !fits {
                            self.queue.push_back(Input::Drained { conn });
                        }
                    }
                }
                Effect::Close { conn } => self.disconnect(conn),
                Effect::Mesh(_) | Effect::Pairing(_) => {}
                Effect::Stop => unreachable!(),
            }
        }
    }

    /// kill -9: what was not committed is gone, and so is every connection.
    fn die(&mut self) {
        if std::env::var("SIM_TRACE").is_ok() {
            eprintln!("{} DIES {:?}", self.now, self.crash);
        }
        self.crash = None;
        self.store.rollback();
        self.queue.clear();
        for conn in 1..=self.next_conn {
            self.closed.insert(ConnId(conn));
        }
        self.hub = hub(&mut self.rng, &mut self.store);
    }

    /// What holds at every moment.
    pub fn check_always(&mut self) {
        let mut ids = BTreeSet::new();
        for row in self.store.messages() {
            assert!(
                ids.insert(row.msg_id.clone()),
                "{} is in two places",
                row.msg_id
            );
        }
        assert!(self.store.rows() < 3_000, "the store grows without bound");
    }

    /// What holds when nothing is under way: no waiting answers, no unconfirmed pushes, no
    /// rooms without their sessions.
    pub fn check_at_rest(&self) {
        let mut hub_side = self.store.clone();
        let durable = ecorelay_hub::Store::load(&mut hub_side).unwrap();
        let total: usize = durable.mailboxes.iter().map(|m| m.unread).sum();
        assert_eq!(total, 0, "unread mail is left after everybody has read");
    }

    pub fn status(&mut self) -> Value {
        let conn = self.connect();
        self.write(conn, json!({"type":"status","req_id":"s"}));
        self.run_all();
        let lines = self.lines(conn);
        self.disconnect(conn);
        self.run_all();
        lines.into_iter().find(|l| l["req_id"] == "s").unwrap()["status"].clone()
    }

    pub fn note_readers<'a>(&mut self, actors: impl Iterator<Item = &'a Actor>) {
        for actor in actors {
            for text in &actor.read {
                self.read.entry(text.clone()).or_default().0 += 1;
            }
            for text in &actor.settled {
                self.read.entry(text.clone()).or_default().1 += 1;
            }
            self.orders.push(actor.read.clone());
        }
        self.pass(61_000);
        let status = self.status();
        assert_eq!(status["in_flight"], 0, "{status}");
        let live: BTreeSet<_> = status["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].clone().to_string())
            .collect();
        for room in status["rooms"].as_array().unwrap() {
            for member in room["members"].as_array().unwrap() {
                assert!(
                    live.contains(&member.to_string()),
                    "a ghost is in a room: {status}"
                );
            }
        }
    }

    /// Returns how many actors were shown a text, and how many of them the hub heard it from.
    pub fn times_read(&self, text: &str) -> (usize, usize) {
        self.read.get(text).copied().unwrap_or_default()
    }

    /// Texts are `sender:number:address`; what one reader got from one sender to one address rises.
    pub fn check_order(&self) {
        for read in &self.orders {
            let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for text in read {
                let mut parts = text.split(':');
                let mut part = || parts.next().unwrap();
                let (sender, number, to) = (part(), part().parse().unwrap(), part());
                let before = last.insert((sender, to), number);
                assert!(
                    before.is_none_or(|b| b < number),
                    "{sender} to {to}: {number} after {before:?}"
                );
            }
        }
    }
}
