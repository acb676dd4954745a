//! Sessions for tests that say exactly what happens, and a mesh that is made the real way.

use super::Mesh;
use super::machine::Machine;
use ecorelay_hub::ConnId;
use serde_json::{Value, json};

/// How long an answer may take, in ms of the world's time.
const ANSWER_MS: u64 = 2_000;

/// A session of a test.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub machine: usize,
    pub conn: ConnId,
}

impl Mesh {
    /// Returns a mesh of so many hubs, made with one ticket, all linked.
    pub fn formed(machines: usize) -> Self {
        let mut mesh = Self::new(machines, 7);
        mesh.form();
        mesh
    }

    /// Makes the mesh: the first hub invites, the others join, everybody gets to know everybody.
    pub fn form(&mut self) {
        let ticket = self.invite(0);
        for at in 1..self.machines.len() {
            let joined = self.join(at, &ticket);
            assert_eq!(joined["type"], "join_result", "{joined}");
        }
        self.pass(5_000);
    }

    /// Returns the text of a ticket.
    pub fn invite(&mut self, at: usize) -> String {
        let answer = self.command(at, json!({"type":"invite","uses":100}));
        let ticket = answer["ticket"].as_str();
        ticket.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub fn join(&mut self, at: usize, ticket: &str) -> Value {
        self.command(at, json!({"type":"join","ticket":ticket}))
    }

    pub fn status(&mut self, at: usize) -> Value {
        self.command(at, json!({"type":"status"}))["status"].clone()
    }

    /// Does what the command line does: connects, asks, disconnects.
    pub fn command(&mut self, at: usize, line: Value) -> Value {
        let conn = self.machines[at].connect().expect("the hub is down");
        let client = Client { machine: at, conn };
        let answer = self.ask(client, line);
        self.machines[at].disconnect(conn);
        answer
    }

    /// Registers a version "6" session.
    pub fn session(&mut self, at: usize, name: &str) -> Client {
        self.register(at, name, true)
    }

    pub fn register(&mut self, at: usize, name: &str, v6: bool) -> Client {
        let conn = self.machines[at].connect().expect("the hub is down");
        self.machines[at].write(conn, &Machine::register_line(name, v6));
        self.pass(self.habits.batch_ms * 4 + 1);
        let client = Client { machine: at, conn };
        // The hub may ask in between whether the session is there.
        let (asked, answers) = self
            .take(client)
            .into_iter()
            .partition(|l| l["type"] == "ping");
        self.machines[at].put_back(conn, asked);
        let answers: Vec<Value> = answers;
        let answer = answers.into_iter().next().unwrap_or(Value::Null);
        assert_eq!(answer["type"], "ack", "{answer}");
        client
    }

    pub fn leave(&mut self, client: Client) {
        self.machines[client.machine].disconnect(client.conn);
        self.pass(self.habits.batch_ms * 4 + 1);
    }

    /// Sends a request and returns the line that answers it; what else comes stays.
    pub fn ask(&mut self, client: Client, mut line: Value) -> Value {
        line["req_id"] = json!("q");
        self.machines[client.machine].write(client.conn, &line);
        let (mut answer, mut others) = (Value::Null, Vec::new());
        for _ in 0..ANSWER_MS {
            for line in self.take(client) {
                if line["req_id"] == "q" && answer.is_null() {
                    answer = line;
                } else {
                    others.push(line);
                }
            }
            if !answer.is_null() {
                break;
            }
            self.pass(1);
        }
        self.machines[client.machine].put_back(client.conn, others);
        answer
    }

    /// Returns the lines that wait for a client.
    pub fn take(&mut self, client: Client) -> Vec<Value> {
        self.machines[client.machine].lines(client.conn)
    }

    /// Returns the lines of one type that wait for a client.
    pub fn take_type(&mut self, client: Client, kind: &str) -> Vec<Value> {
        let lines = self.take(client).into_iter();
        lines.filter(|l| l["type"] == kind).collect()
    }

    /// Confirms every push that waits for a version "6" client, and returns those lines.
    pub fn confirm(&mut self, client: Client, result: &str) -> Vec<Value> {
        let mut lines = self.take(client);
        lines.retain(|l| l["type"].as_str().unwrap().starts_with("incoming_"));
        let id = |l: &Value| l.get("msg_id").unwrap_or(&l["ask_id"]).clone();
        let ids: Vec<Value> = lines.iter().map(id).collect();
        if !ids.is_empty() {
            let line = json!({"type":"pushed","msg_ids":ids,"result":result,"path":"test"});
            self.machines[client.machine].write(client.conn, &line);
        }
        lines
    }

    /// Returns the texts in a session's inbox; they are read by that.
    pub fn inbox(&mut self, client: Client) -> Vec<String> {
        let page = self.ask(client, json!({"type":"inbox","limit":100}));
        let messages = page["messages"].as_array().unwrap();
        let ids: Vec<&Value> = messages.iter().map(|m| &m["msg_id"]).collect();
        if !ids.is_empty() {
            self.ask(client, json!({"type":"read","msg_ids":ids}));
        }
        let text = |m: &Value| m["text"].as_str().unwrap().to_owned();
        messages.iter().map(text).collect()
    }

    /// Returns the names a session is shown.
    pub fn peers(&mut self, client: Client) -> Vec<String> {
        let answer = self.ask(client, json!({"type":"list_peers"}));
        let peers = answer["peers"].as_array().unwrap();
        let name = |p: &Value| p["name"].as_str().unwrap().to_owned();
        peers.iter().map(name).collect()
    }
}
