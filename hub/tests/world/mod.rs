//! A hub, its store and its clients in one place, with a clock of their own.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use ecorelay_hub::{
    ConnId, Effect, Effects, Hub, HubConfig, Ids, Input, MemoryStore, Origin, PlainKeys,
    StoreError, Tunables,
};
use ecorelay_protocol::decode_request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub struct Seeded(pub fastrand::Rng);

impl Ids for Seeded {
    fn uuid(&mut self) -> String {
        format!("{:032x}", self.0.u128(..))
    }

    fn secret(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.0.u8(..))
    }
}

pub struct World {
    pub hub: Hub,
    pub store: MemoryStore,
    pub now: u64,
    pub closed: BTreeSet<ConnId>,
    pub stopped: bool,
    /// Lines written to each client and not yet looked at.
    out: BTreeMap<ConnId, VecDeque<Value>>,
    next_conn: u64,
}

fn keys() -> Box<PlainKeys> {
    Box::new(PlainKeys::numbered(1))
}

pub fn config(tunables: Tunables) -> HubConfig {
    HubConfig {
        hub_id: "here".parse().unwrap(),
        tunables,
        started: 1_800_000_000_000,
        mesh_key: None,
        about: serde_json::Map::new(),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(Tunables::default())
    }

    pub fn with(tunables: Tunables) -> Self {
        let mut store = MemoryStore::default();
        let ids = Box::new(Seeded(fastrand::Rng::with_seed(7)));
        let hub = Hub::new(config(tunables), ids, keys(), &mut store).unwrap();
        Self {
            hub,
            store,
            now: 1_800_000_000_000,
            closed: BTreeSet::new(),
            stopped: false,
            out: BTreeMap::new(),
            next_conn: 0,
        }
    }

    /// Kills the hub and starts it again with what was committed; all connections are gone.
    pub fn restart(&mut self) {
        self.store.rollback();
        let ids = Box::new(Seeded(fastrand::Rng::with_seed(self.now)));
        self.hub = Hub::new(config(Tunables::default()), ids, keys(), &mut self.store).unwrap();
        self.out.clear();
    }

    pub fn connect(&mut self) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.run(vec![Input::Connected {
            conn,
            origin: Origin::Socket,
        }]);
        conn
    }

    /// Runs inputs as one batch, and what follows from written lines as further ones.
    pub fn run(&mut self, inputs: Vec<Input>) {
        let mut inputs = inputs;
        while !inputs.is_empty() {
            let mut effects = Effects::default();
            for input in std::mem::take(&mut inputs) {
                self.hub
                    .handle(self.now, input, &mut self.store, &mut effects);
            }
            let error = match self.hub.failed().cloned() {
                Some(error) => Some(error),
                None if self.hub.dirty() => self.store.commit().err(),
                None => None,
            };
            inputs.extend(self.deliver(std::mem::take(&mut effects.now)));
            match error {
                None => self.hub.batch_committed(),
                Some(error) => {
                    self.store.rollback();
                    self.hub
                        .batch_failed(self.now, &error, &mut self.store, &mut effects)
                        .unwrap();
                }
            }
            inputs.extend(self.deliver(std::mem::take(&mut effects.after)));
        }
    }

    fn deliver(&mut self, effects: Vec<Effect>) -> Vec<Input> {
        let mut follow = Vec::new();
        for effect in effects {
            match effect {
                Effect::Line {
                    conn, bytes, tag, ..
                } => {
                    let line = serde_json::from_slice(&bytes).unwrap();
                    let open = !self.closed.contains(&conn);
                    if open {
                        self.out.entry(conn).or_default().push_back(line);
                    }
                    if let Some(tag) = tag {
                        follow.push(Input::Flushed {
                            conn,
                            tag,
                            ok: open,
                        });
                    }
                }
                Effect::Close { conn } => {
                    self.closed.insert(conn);
                    follow.push(Input::Disconnected { conn });
                }
                Effect::Mesh(_) | Effect::Pairing(_) => {}
                Effect::Stop => self.stopped = true,
            }
        }
        follow
    }

    pub fn line(&self, conn: ConnId, line: Value) -> Input {
        Input::Line {
            conn,
            incoming: decode_request(line.to_string().as_bytes()),
        }
    }

    pub fn send(&mut self, conn: ConnId, line: Value) {
        let input = self.line(conn, line);
        self.run(vec![input]);
    }

    /// Sends a request and returns the first line that answers it.
    pub fn ask(&mut self, conn: ConnId, mut line: Value) -> Value {
        line["req_id"] = json!("q");
        let kind = line["type"].clone();
        self.send(conn, line);
        let out = self.out.entry(conn).or_default();
        let answers = |l: &Value| {
            l["req_id"] == "q"
                || (kind == "register" && (l["type"] == "ack" || l["type"] == "err"))
                || (kind == "broadcast" && l["type"] == "broadcast_ack")
        };
        match out.iter().position(answers) {
            Some(at) => out.remove(at).unwrap(),
            None => Value::Null,
        }
    }

    pub fn take(&mut self, conn: ConnId) -> Vec<Value> {
        self.out.remove(&conn).unwrap_or_default().into()
    }

    /// Returns the lines of one type that wait for a client.
    pub fn take_type(&mut self, conn: ConnId, kind: &str) -> Vec<Value> {
        self.take(conn)
            .into_iter()
            .filter(|l| l["type"] == kind)
            .collect()
    }

    pub fn v5(&mut self, name: &str) -> ConnId {
        let conn = self.connect();
        let answer = self.ask(conn, json!({"type":"register","name":name,"cwd":"/w","git_branch":"main","protocol_version":"5"}));
        assert_eq!(answer, json!({"type":"ack"}));
        conn
    }

    pub fn v6(&mut self, name: &str) -> ConnId {
        let conn = self.connect();
        let answer = self.ask(conn, json!({"type":"register","name":name,"cwd":"/w","protocol_version":"6","agent":"claude-code"}));
        assert_eq!(answer["type"], "ack", "{answer}");
        conn
    }

    /// Confirms every push that waits for a version "6" client, and returns those lines.
    pub fn confirm(&mut self, conn: ConnId, result: &str) -> Vec<Value> {
        let lines = self.take(conn);
        let mut ids = Vec::new();
        for line in &lines {
            if line["type"].as_str().unwrap().starts_with("incoming_") {
                let id = if line["type"] == "incoming_ask" {
                    &line["ask_id"]
                } else {
                    &line["msg_id"]
                };
                ids.push(id.clone());
            }
        }
        self.send(
            conn,
            json!({"type":"pushed","msg_ids":ids,"result":result,"path":"test"}),
        );
        lines
    }

    pub fn gone(&mut self, conn: ConnId) {
        self.closed.insert(conn);
        self.run(vec![Input::Disconnected { conn }]);
    }

    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(due) = self.hub.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.run(vec![Input::Tick]);
        }
        self.now = until;
    }

    pub fn fail_store(&mut self, error: Option<StoreError>) {
        self.store.set_failing(error);
    }

    pub fn inbox(&mut self, conn: ConnId) -> Vec<String> {
        let page = self.ask(conn, json!({"type":"inbox","limit":100}));
        let messages = page["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|m| m["text"].as_str().unwrap().to_owned())
            .collect()
    }
}
