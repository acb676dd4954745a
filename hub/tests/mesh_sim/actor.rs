//! A simulated session on one of the hubs: a version "6" client as our channel is one, or a
//! version "5" client.
//!
//! A version "6" actor sends again, with the same id, what was not answered before its
//! connection was lost; it acknowledges what it has read; it shows nothing twice.

use crate::books::{Books, Letter};
use crate::mesh_world::Mesh;
use crate::mesh_world::machine::Machine;
use ecorelay_hub::{ConnId, GroupLoad};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};

/// The names that are taken and written to.
pub const NAMES: [&str; 4] = ["ann", "ben", "cat", "dan"];
/// A name nobody has until the end.
pub const STRANGER: &str = "zoe";
const ROOMS: [&str; 2] = ["r1", "r2"];
const GROUPS: [&str; 3] = ["g1", "g2", "g3"];

/// What may be answered, and to which machine the answer goes.
#[derive(Debug, Clone)]
struct Question {
    id: String,
    text: String,
    hub: usize,
}

#[derive(Debug)]
pub struct Actor {
    /// The machine's number times 100, and its own.
    pub number: usize,
    pub machine: usize,
    v6: bool,
    conn: Option<ConnId>,
    wanted: String,
    registered: Option<String>,
    counter: u64,
    /// Lines that were not answered yet, in order, with their ids.
    open: Vec<(String, Value)>,
    settling: VecDeque<Vec<String>>,
    shown: BTreeSet<String>,
    /// Pushes to confirm: the id and the text.
    unconfirmed: Vec<(String, String)>,
    questions: Vec<Question>,
    fetching: bool,
    renames: bool,
    renaming: Option<String>,
    joined: BTreeSet<&'static str>,
    rejoin: bool,
}

impl Actor {
    pub fn new(machine: usize, index: usize, v6: bool, renames: bool) -> Self {
        Self {
            number: machine * 100 + index,
            machine,
            v6,
            conn: None,
            wanted: NAMES[index % NAMES.len()].to_owned(),
            registered: None,
            counter: 0,
            open: Vec::new(),
            settling: VecDeque::new(),
            shown: BTreeSet::new(),
            unconfirmed: Vec::new(),
            questions: Vec::new(),
            fetching: false,
            renames,
            renaming: None,
            joined: BTreeSet::new(),
            rejoin: false,
        }
    }

    /// Returns an actor that only takes a name to read the mail that waits for it.
    pub fn heir(machine: usize, index: usize, name: &str) -> Self {
        Self {
            wanted: name.to_owned(),
            ..Self::new(machine, index, true, false)
        }
    }

    pub fn name(&self) -> Option<&str> {
        self.registered.as_deref()
    }

    /// Returns the rooms it believes to be in.
    pub fn rooms(&self) -> &BTreeSet<&'static str> {
        &self.joined
    }

    fn connection_lost(&mut self) {
        self.conn = None;
        if let Some(name) = self.registered.take() {
            self.wanted = name;
        }
        if !self.v6 {
            self.open.clear();
        }
        self.unconfirmed.clear();
        self.settling.clear();
        self.fetching = false;
        self.renaming = None;
        self.rejoin = true;
    }

    fn connect(&mut self, mesh: &mut Mesh) {
        let machine = &mut mesh.machines[self.machine];
        let Some(conn) = machine.connect() else {
            return;
        };
        self.conn = Some(conn);
        let mut line = Machine::register_line(&self.wanted, self.v6);
        if self.v6 {
            line["suffix"] = json!(false);
            line["session_key"] = json!(format!("key{}", self.number));
        }
        machine.write(conn, &line);
    }

    fn line(&self, mesh: &mut Mesh, line: &Value) {
        if let Some(conn) = self.conn {
            mesh.machines[self.machine].write(conn, line);
        }
    }

    /// Does one thing at random.
    pub fn act(&mut self, rng: &mut fastrand::Rng, mesh: &mut Mesh, books: &mut Books) {
        let Some(conn) = self.conn else {
            return self.connect(mesh);
        };
        if self.registered.is_none() {
            return;
        }
        let room = *rng.choice(&ROOMS).unwrap();
        let group = *rng.choice(&GROUPS).unwrap();
        match rng.u32(0..100) {
            0..=33 => self.send(rng, mesh, books),
            34..=44 => self.fetch(mesh, rng.usize(1..6)),
            45..=58 => {
                let result = *rng.choice(&["handed", "refused", "unknown"]).unwrap();
                self.confirm(mesh, books, result);
            }
            59..=61 => {
                mesh.machines[self.machine].disconnect(conn);
                self.connection_lost();
                self.joined.clear();
            }
            62..=63 if self.renames && self.renaming.is_none() => {
                let new = (*rng.choice(&NAMES).unwrap()).to_owned();
                // The rename may be done although its answer is never heard.
                books
                    .names
                    .entry(self.number)
                    .or_default()
                    .insert(new.clone());
                self.line(
                    mesh,
                    &json!({"type":"rename","new_name":new,"req_id":"ren"}),
                );
                self.renaming = Some(new);
            }
            64..=67 => {
                self.joined.insert(room);
                self.line(mesh, &json!({"type":"join_room","room":room,"req_id":"j"}));
            }
            68 => {
                self.joined.remove(room);
                self.line(mesh, &json!({"type":"leave_room","room":room,"req_id":"l"}));
            }
            69..=74 => {
                self.counter += 1;
                let text = format!("r:{}:{}", self.number, self.counter);
                let id = format!("r-{}-{}", self.number, self.counter);
                self.line(
                    mesh,
                    &json!({"type":"room_msg","room":room,"text":text,"msg_id":id,"req_id":"rm"}),
                );
            }
            75..=76 => {
                self.counter += 1;
                let question = format!("q:{}:{}", self.number, self.counter);
                self.line(
                    mesh,
                    &json!({"type":"broadcast","question":question,"req_id":"b"}),
                );
            }
            77..=83 => self.answer(mesh, books),
            84..=99 => self.group(rng, mesh, books, group),
            _ => {}
        }
    }

    fn anyone(rng: &mut fastrand::Rng, mesh: &Mesh) -> (String, usize) {
        let hub = rng.usize(0..mesh.machines.len());
        let name = if rng.u32(0..12) == 0 {
            STRANGER
        } else {
            rng.choice(&NAMES).unwrap()
        };
        (name.to_owned(), hub)
    }

    fn address(&self, rng: &mut fastrand::Rng, name: &str, hub: usize) -> String {
        // The own hub's id is as good as none.
        if hub == self.machine && rng.bool() {
            name.to_owned()
        } else {
            format!("{name}@hub{hub}")
        }
    }

    fn group(&mut self, rng: &mut fastrand::Rng, mesh: &mut Mesh, books: &mut Books, group: &str) {
        let (name, hub) = Self::anyone(rng, mesh);
        let peer = self.address(rng, &name, hub);
        self.counter += 1;
        let line = match rng.u32(0..20) {
            0..=3 => {
                let mut members = vec![peer];
                for _ in 0..rng.usize(0..4) {
                    let (name, hub) = Self::anyone(rng, mesh);
                    members.push(self.address(rng, &name, hub));
                }
                json!({"type":"group_create","name":group,"members":members,"req_id":"gc"})
            }
            4..=5 => json!({"type":"group_invite","group":group,"peer":peer,"req_id":"gi"}),
            6 => {
                books.removals = true;
                json!({"type":"group_remove","group":group,"peer":peer,"reason":"why not","req_id":"gr"})
            }
            7 => json!({"type":"group_leave","group":group,"req_id":format!("gl {group}")}),
            8 if rng.u32(0..3) == 0 => {
                json!({"type":"group_delete","group":group,"req_id":"gd"})
            }
            9..=12 => json!({"type":"group_history","group":group,"req_id":"gh"}),
            13 => json!({"type":"group_info","group":group,"req_id":"gin"}),
            _ => {
                let id = format!("g-{}-{}", self.number, self.counter);
                let text = format!("g:{}:{}", self.number, self.counter);
                let mut line = json!({"type":"group_send","group":group,"text":text,"req_id":format!("gs {group} {text}")});
                if self.v6 {
                    line["msg_id"] = json!(id);
                    self.open
                        .push((line["req_id"].as_str().unwrap().to_owned(), line.clone()));
                }
                line
            }
        };
        self.line(mesh, &line);
    }

    fn write_letter(
        &mut self,
        mesh: &mut Mesh,
        books: &mut Books,
        to: usize,
        name: &str,
        line: Value,
    ) {
        self.counter += 1;
        let id = format!("m-{}-{}", self.number, self.counter);
        let text = format!("m:{}:{}:{name}@hub{to}", self.number, self.counter);
        let letter = Letter {
            sender: self.number,
            order: self.counter,
            to,
            accepted: false,
            refused: false,
            told: false,
        };
        books.letters.insert(text.clone(), letter);
        let mut line = line;
        line["text"] = json!(text);
        line["req_id"] = json!(text);
        if self.v6 {
            line["msg_id"] = json!(id);
            books.texts.insert(id, text.clone());
            self.open.push((text, line.clone()));
        }
        self.line(mesh, &line);
    }

    fn send(&mut self, rng: &mut fastrand::Rng, mesh: &mut Mesh, books: &mut Books) {
        let (name, hub) = Self::anyone(rng, mesh);
        let to = self.address(rng, &name, hub);
        let urgent = rng.u32(0..8) == 0;
        self.write_letter(
            mesh,
            books,
            hub,
            &name,
            json!({"type":"send","to":to,"urgent":urgent}),
        );
    }

    fn answer(&mut self, mesh: &mut Mesh, books: &mut Books) {
        if let Some(question) = self.questions.pop() {
            // Whoever answers a message has read it.
            books.answered.insert(question.text);
            let line = json!({"type":"reply","ask_id":question.id});
            self.write_letter(mesh, books, question.hub, "reply", line);
        }
    }

    fn fetch(&mut self, mesh: &mut Mesh, limit: usize) {
        if self.conn.is_some() && !std::mem::replace(&mut self.fetching, true) {
            self.line(mesh, &json!({"type":"inbox","limit":limit,"req_id":"in"}));
        }
    }

    fn confirm(&mut self, mesh: &mut Mesh, books: &mut Books, result: &str) {
        let pushes = std::mem::take(&mut self.unconfirmed);
        if self.v6 && !pushes.is_empty() {
            let (ids, texts): (Vec<String>, Vec<String>) = pushes.into_iter().unzip();
            if result == "handed" {
                books.handed.extend(texts);
            }
            self.line(
                mesh,
                &json!({"type":"pushed","msg_ids":ids,"result":result,"path":"sim"}),
            );
        }
    }

    /// Reads what the hub has written.
    pub fn listen(&mut self, mesh: &mut Mesh, books: &mut Books) {
        let Some(conn) = self.conn else {
            return;
        };
        let closed = mesh.machines[self.machine].is_closed(conn);
        for line in mesh.machines[self.machine].lines(conn) {
            // A page that cannot be acknowledged any more is not shown.
            if !(closed && self.v6 && line["type"] == "inbox_result") {
                self.hear(mesh, books, conn, &line);
            }
        }
        if mesh.machines[self.machine].is_closed(conn) {
            self.connection_lost();
        }
    }

    fn registered(&mut self, mesh: &mut Mesh, books: &mut Books) {
        let name = self.wanted.clone();
        books
            .names
            .entry(self.number)
            .or_default()
            .insert(name.clone());
        self.registered = Some(name);
        if std::mem::take(&mut self.rejoin) {
            for room in self.joined.clone() {
                self.line(mesh, &json!({"type":"join_room","room":room,"req_id":"j"}));
            }
        }
        for (_, line) in self.open.clone() {
            self.line(mesh, &line);
        }
    }

    fn hear(&mut self, mesh: &mut Mesh, books: &mut Books, conn: ConnId, line: &Value) {
        let req_id = line["req_id"].as_str().unwrap_or_default();
        let settled = books.letters.contains_key(req_id) || req_id.starts_with("gs ");
        if settled && (line["type"] == "err" || line["type"].as_str().unwrap().ends_with("ack")) {
            self.open.retain(|(id, _)| id != req_id);
        }
        match line["type"].as_str().unwrap() {
            "ping" => self.line(mesh, &json!({"type":"pong","req_id":req_id})),
            "ack" if self.registered.is_none() && (req_id == "reg" || !self.v6) => {
                self.registered(mesh, books);
            }
            "ack" if req_id == "rd" => {
                for text in self.settling.pop_front().unwrap() {
                    *books.settled.entry(text).or_default() += 1;
                }
            }
            "err" if req_id == "rd" => drop(self.settling.pop_front()),
            "ack" if req_id == "ren" => self.registered = self.renaming.take(),
            "err" if req_id == "ren" => self.renaming = None,
            "err" if self.registered.is_none() => {
                mesh.machines[self.machine].disconnect(conn);
            }
            "err" => self.refused(books, req_id, line),
            "send_ack" => self.accepted(mesh, books, req_id, line),
            "group_ack" if req_id.starts_with("gs ") => self.said(mesh, books, req_id),
            "group_ack" if req_id.starts_with("gl ") => {
                // Whether the text of one who left is kept is not said.
                books.parted.insert((req_id[3..].to_owned(), self.number));
            }
            "inbox_result" => {
                self.fetching = false;
                self.take_page(mesh, books, conn, line);
            }
            "incoming_ask" => {
                let from = line["from"].as_str().unwrap();
                let question = line["question"].as_str().unwrap();
                books.check_from(self.machine, from, question, sender_of(question));
                self.pushed(books, &line["ask_id"], question, from);
            }
            "incoming_room_msg" => {
                let (from, text) = (
                    line["from"].as_str().unwrap(),
                    line["text"].as_str().unwrap(),
                );
                books.check_from(self.machine, from, text, sender_of(text));
                let times = books
                    .heard
                    .entry((self.number, text.to_owned()))
                    .or_default();
                *times += 1;
                self.unconfirmed
                    .push((line["msg_id"].as_str().unwrap().to_owned(), text.to_owned()));
            }
            "incoming_group_msg" => {
                let (from, text) = (
                    line["from"].as_str().unwrap(),
                    line["text"].as_str().unwrap(),
                );
                if text.starts_with("g:") {
                    books.check_from(self.machine, from, text, sender_of(text));
                }
                self.unconfirmed
                    .push((line["msg_id"].as_str().unwrap().to_owned(), text.to_owned()));
            }
            "incoming_message" | "incoming_reply" => {
                let (from, text) = (
                    line["from"].as_str().unwrap(),
                    line["text"].as_str().unwrap(),
                );
                if line["type"] == "incoming_reply" {
                    books.answers.insert(text.to_owned());
                }
                if let Some(letter) = books.letters.get(text) {
                    books.check_from(self.machine, from, text, letter.sender);
                    self.pushed(books, &line["msg_id"], text, from);
                } else {
                    self.unconfirmed
                        .push((line["msg_id"].as_str().unwrap().to_owned(), text.to_owned()));
                    note_told(books, line);
                }
            }
            "notice" => note_told(books, line),
            _ => {}
        }
    }

    /// A message or a question came that can be answered.
    fn pushed(&mut self, books: &mut Books, id: &Value, text: &str, from: &str) {
        let id = id.as_str().unwrap().to_owned();
        let hub = match from.split_once("@hub") {
            Some((_, hub)) => hub.parse().unwrap(),
            None => self.machine,
        };
        self.questions.push(Question {
            id: id.clone(),
            text: text.to_owned(),
            hub,
        });
        if self.questions.len() > 3 {
            self.questions.remove(0);
        }
        if self.v6 {
            self.unconfirmed.push((id, text.to_owned()));
        } else {
            books.handed.insert(text.to_owned());
        }
    }

    fn refused(&mut self, books: &mut Books, req_id: &str, line: &Value) {
        if let Some(letter) = books.letters.get_mut(req_id) {
            // A name and text of ours are always well-formed.
            assert_ne!(line["code"], "bad_args", "{line}");
            letter.refused = line["code"] != "mailbox_error";
        } else if req_id == "in" {
            self.fetching = false;
        }
    }

    fn accepted(&self, mesh: &Mesh, books: &mut Books, req_id: &str, line: &Value) {
        let id = line["msg_id"].as_str().unwrap().to_owned();
        let Some(letter) = books.letters.get_mut(req_id) else {
            return;
        };
        assert!(!letter.refused, "accepted after it was refused: {line}");
        letter.accepted = true;
        let written = &mesh.machines[letter.to].written;
        books.texts.insert(id, req_id.to_owned());
        if line["state"] == "delivered" {
            assert!(
                books.handed.contains(req_id) || written.contains(req_id),
                "{req_id} was never handed over: {line}"
            );
        }
    }

    fn said(&self, mesh: &Mesh, books: &mut Books, req_id: &str) {
        let mut parts = req_id.split(' ').skip(1);
        let (group, text) = (parts.next().unwrap(), parts.next().unwrap());
        let groups = mesh.machines[self.machine].durable().groups;
        let named = |g: &&GroupLoad| g.row.name.as_str() == group && g.row.deleted.is_none();
        if let Some(group) = groups.iter().find(named) {
            let uid = group.row.uid.clone();
            books.said.insert(text.to_owned(), (self.number, uid));
        }
    }

    fn take_page(&mut self, mesh: &mut Mesh, books: &mut Books, conn: ConnId, line: &Value) {
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        for message in line["messages"].as_array().unwrap() {
            let id = message["msg_id"].as_str().unwrap().to_owned();
            let text = message["text"].as_str().unwrap().to_owned();
            let letter = books.letters.contains_key(&text);
            if letter {
                texts.push(text.clone());
            } else {
                note_told(books, message);
            }
            if self.shown.insert(id.clone()) && letter {
                let from = message["from"].as_str().unwrap();
                books.show(self.number, self.machine, from, &text);
            }
            ids.push(id);
        }
        let machine = &mesh.machines[self.machine];
        if self.v6 && !ids.is_empty() && !machine.is_closed(conn) {
            self.settling.push_back(texts);
            self.line(mesh, &json!({"type":"read","msg_ids":ids,"req_id":"rd"}));
        }
    }

    /// Comes back if it is away, reads everything, confirms everything.
    pub fn come_to_rest(&mut self, mesh: &mut Mesh, books: &mut Books, round: usize) {
        if self.conn.is_none() {
            // A name that someone else holds now is given up for one of its own.
            if round > 5 {
                self.wanted = format!("rest{}", self.number);
            }
            return self.connect(mesh);
        }
        if self.registered.is_some() {
            self.confirm(mesh, books, "handed");
            self.fetch(mesh, 100);
        }
    }
}

/// Returns the actor who wrote a text `kind:actor:number`.
pub fn sender_of(text: &str) -> usize {
    text.split(':').nth(1).unwrap().parse().unwrap()
}

/// A line of the hub itself may tell a sender that its message was not taken: it names the id.
fn note_told(books: &mut Books, line: &Value) {
    let words = format!("{} {}", line["text"], line["reply_to"]);
    let ids = words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    for id in ids {
        if let Some(text) = books.texts.get(id)
            && let Some(letter) = books.letters.get_mut(text)
        {
            letter.told = true;
        }
    }
}
