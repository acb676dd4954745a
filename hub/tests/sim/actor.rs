//! A simulated session: a version "6" client as our channel is one, or a version "5" client.
//!
//! A version "6" actor sends again, with the same id, what was not answered before its
//! connection was lost; it acknowledges what it has read; it shows nothing twice.

use crate::machine::Machine;
use ecorelay_hub::ConnId;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};

/// The names the actors fight over.
pub const NAMES: [&str; 5] = ["ann", "ben", "cat", "dan", "eve"];

#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub to: String,
    pub text: String,
    pub accepted: bool,
    refused: bool,
}

#[derive(Debug)]
pub struct Actor {
    number: usize,
    v6: bool,
    conn: Option<ConnId>,
    wanted: String,
    registered: Option<String>,
    counter: u64,
    pub sent: Vec<Sent>,
    /// The direct messages it was shown in its inbox, in order.
    pub read: Vec<String>,
    /// Those of them whose reading the hub has confirmed.
    pub settled: BTreeSet<String>,
    /// What waits for that confirmation, page by page.
    settling: VecDeque<Vec<String>>,
    shown: BTreeSet<String>,
    unconfirmed: Vec<String>,
    asks: Vec<String>,
    fetching: bool,
    /// It may ask for another name.
    renames: bool,
    renaming: Option<String>,
}

impl Actor {
    pub fn new(number: usize, v6: bool, renames: bool) -> Self {
        Self {
            number,
            v6,
            conn: None,
            wanted: NAMES[number % NAMES.len()].to_owned(),
            registered: None,
            counter: 0,
            sent: Vec::new(),
            read: Vec::new(),
            settled: BTreeSet::new(),
            settling: VecDeque::new(),
            shown: BTreeSet::new(),
            unconfirmed: Vec::new(),
            asks: Vec::new(),
            fetching: false,
            renames,
            renaming: None,
        }
    }

    /// Returns an actor that only takes a name to read the mail that waits for it.
    pub fn heir(number: usize, name: &str) -> Self {
        Self {
            wanted: name.to_owned(),
            ..Self::new(number, true, false)
        }
    }

    pub fn name(&self) -> Option<&str> {
        self.registered.as_deref()
    }

    pub fn connection_lost(&mut self) {
        self.conn = None;
        if let Some(name) = self.registered.take() {
            self.wanted = name;
        }
        self.unconfirmed.clear();
        self.settling.clear();
        self.fetching = false;
        self.renaming = None;
    }

    fn connect(&mut self, machine: &mut Machine) {
        let conn = machine.connect();
        self.conn = Some(conn);
        let mut line = json!({"type":"register","name":self.wanted,"cwd":"/","git_branch":"b","protocol_version": if self.v6 {"6"} else {"5"}});
        if self.v6 {
            line["req_id"] = json!("reg");
            line["suffix"] = json!(false);
            line["session_key"] = json!(format!("key{}", self.number));
        }
        machine.write(conn, line);
    }

    /// Does one thing at random.
    pub fn act(&mut self, rng: &mut fastrand::Rng, machine: &mut Machine) {
        let Some(conn) = self.conn else {
            return self.connect(machine);
        };
        if self.registered.is_none() {
            return;
        }
        let room = if rng.bool() { "r1" } else { "r2" };
        match rng.u32(0..100) {
            0..=39 => {
                let to = rng.choice(NAMES).unwrap().to_owned();
                self.send(machine, to);
            }
            40..=54 => self.fetch(machine, rng.usize(1..6)),
            55..=69 => self.confirm(machine, rng.choice(["handed", "refused", "unknown"]).unwrap()),
            70..=73 => {
                machine.disconnect(conn);
                self.connection_lost();
            }
            74..=77 if self.renames && self.renaming.is_none() => {
                let new = rng.choice(NAMES).unwrap();
                self.renaming = Some(new.to_owned());
                machine.write(conn, json!({"type":"rename","new_name":new,"req_id":"ren"}));
            }
            78..=81 => machine.write(conn, json!({"type":"join_room","room":room,"req_id":"j"})),
            82..=83 => machine.write(conn, json!({"type":"leave_room","room":room,"req_id":"l"})),
            84..=87 => machine.write(conn, json!({"type":"room_msg","room":room,"text":"t","msg_id":rng.u64(..).to_string(),"req_id":"rm"})),
            88..=89 => machine.write(conn, json!({"type":"group_create","name":"g","members":[rng.choice(NAMES).unwrap()],"req_id":"gc"})),
            90..=92 => machine.write(conn, json!({"type":"group_send","group":"g","text":"t","req_id":"gs"})),
            93..=94 => machine.write(conn, json!({"type":"group_history","group":"g","req_id":"gh"})),
            95 => machine.write(conn, json!({"type":"group_delete","group":"g","req_id":"gd"})),
            96..=97 => machine.write(conn, json!({"type":"broadcast","question":"q","req_id":"b"})),
            _ => {
                if let Some(ask) = self.asks.pop() {
                    self.counter += 1;
                    machine.write(conn, json!({"type":"reply","ask_id":ask,"text":format!("reply{}:{}", self.number, self.counter),"req_id":"rep"}));
                }
            }
        }
    }

    fn send(&mut self, machine: &mut Machine, to: String) {
        self.counter += 1;
        let sent = Sent {
            id: format!("m-{}-{}", self.number, self.counter),
            text: format!("{}:{}:{to}", self.number, self.counter),
            to,
            accepted: false,
            refused: false,
        };
        self.write(machine, &sent);
        self.sent.push(sent);
    }

    fn write(&self, machine: &mut Machine, sent: &Sent) {
        if let Some(conn) = self.conn {
            let mut line = json!({"type":"send","to":sent.to,"text":sent.text,"req_id":sent.id});
            if self.v6 {
                line["msg_id"] = json!(sent.id);
            }
            machine.write(conn, line);
        }
    }

    fn fetch(&mut self, machine: &mut Machine, limit: usize) {
        if let Some(conn) = self.conn
            && !std::mem::replace(&mut self.fetching, true)
        {
            machine.write(conn, json!({"type":"inbox","limit":limit,"req_id":"in"}));
        }
    }

    fn confirm(&mut self, machine: &mut Machine, result: &str) {
        let ids = std::mem::take(&mut self.unconfirmed);
        if let (Some(conn), true, false) = (self.conn, self.v6, ids.is_empty()) {
            machine.write(
                conn,
                json!({"type":"pushed","msg_ids":ids,"result":result,"path":"sim"}),
            );
        }
    }

    /// Reads what the hub has written.
    pub fn listen(&mut self, machine: &mut Machine) {
        let Some(conn) = self.conn else {
            return;
        };
        let closed = machine.is_closed(conn);
        for line in machine.lines(conn) {
            // A page that cannot be acknowledged any more is not shown.
            if !(closed && self.v6 && line["type"] == "inbox_result") {
                self.hear(machine, conn, &line);
            }
        }
        if machine.is_closed(conn) {
            self.connection_lost();
        }
    }

    fn hear(&mut self, machine: &mut Machine, conn: ConnId, line: &Value) {
        let req_id = line["req_id"].as_str().unwrap_or_default();
        match line["type"].as_str().unwrap() {
            "ping" => machine.write(conn, json!({"type":"pong","req_id":req_id})),
            "ack" if self.registered.is_none() && (req_id == "reg" || !self.v6) => {
                self.registered = Some(self.wanted.clone());
                if self.v6 {
                    let again: Vec<Sent> = self
                        .sent
                        .iter()
                        .filter(|s| !s.accepted && !s.refused)
                        .cloned()
                        .collect();
                    for sent in again {
                        self.write(machine, &sent);
                    }
                }
            }
            "ack" if req_id == "rd" => self.settled.extend(self.settling.pop_front().unwrap()),
            "err" if req_id == "rd" => drop(self.settling.pop_front()),
            "ack" if req_id == "ren" => self.registered = self.renaming.take(),
            "err" if req_id == "ren" => self.renaming = None,
            "err" if self.registered.is_none() => machine.disconnect(conn),
            "err" => {
                if let Some(sent) = self.sent.iter_mut().find(|s| s.id == req_id) {
                    assert_ne!(line["code"], "bad_args", "{line}");
                    sent.refused = true;
                } else if req_id == "in" {
                    self.fetching = false;
                }
            }
            "send_ack" => {
                if line["state"] == "delivered" {
                    let id = line["msg_id"].as_str().unwrap();
                    assert!(
                        machine.handed.contains(id),
                        "{id} was never handed over: {line}"
                    );
                }
                if let Some(sent) = self.sent.iter_mut().find(|s| s.id == req_id) {
                    assert!(!sent.refused, "accepted after it was refused: {line}");
                    sent.accepted = true;
                }
            }
            "inbox_result" => {
                self.fetching = false;
                self.take_page(machine, conn, line);
            }
            "incoming_ask" => {
                let id = line["ask_id"].as_str().unwrap().to_owned();
                self.asks.push(id.clone());
                self.asks.truncate(3);
                self.unconfirmed.push(id);
            }
            kind if kind.starts_with("incoming_") => {
                self.unconfirmed
                    .push(line["msg_id"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }

    fn take_page(&mut self, machine: &mut Machine, conn: ConnId, line: &Value) {
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        for message in line["messages"].as_array().unwrap() {
            let id = message["msg_id"].as_str().unwrap().to_owned();
            ids.push(id.clone());
            let text = message["text"].as_str().unwrap().to_owned();
            let direct = text
                .split_once(':')
                .is_some_and(|(sender, _)| sender.parse::<u64>().is_ok());
            if direct {
                texts.push(text.clone());
            }
            if self.shown.insert(id) && direct {
                self.read.push(text);
            }
        }
        if self.v6 && !ids.is_empty() && !machine.is_closed(conn) {
            self.settling.push_back(texts);
            machine.write(conn, json!({"type":"read","msg_ids":ids,"req_id":"rd"}));
        }
    }

    /// Comes back if it is away, reads everything, confirms everything.
    pub fn come_to_rest(&mut self, machine: &mut Machine, round: usize) {
        if self.conn.is_none() {
            // A name that someone else holds now is given up for one of its own.
            if round > 5 {
                self.wanted = format!("rest{}", self.number);
            }
            return self.connect(machine);
        }
        if self.registered.is_some() {
            self.confirm(machine, "handed");
            self.fetch(machine, 100);
        }
    }
}
