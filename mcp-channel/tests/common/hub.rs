//! A hub that answers the handshake and registrations by itself and leaves the rest to the test.

use super::DEADLINE;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

/// What a client wrote, and on which connection.
pub(crate) struct Asked {
    pub(crate) line: Value,
    connection: UnixStream,
}

pub(crate) struct FakeHub {
    asked: mpsc::Receiver<Asked>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    listener: UnixListener,
}

impl FakeHub {
    /// Listens on `hub.sock` in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        let path = dir.join("hub.sock");
        // A stale socket of the hub before this one.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let (asked_tx, asked) = mpsc::channel();
        let connections: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let (accepting, kept) = (listener.try_clone().unwrap(), connections.clone());
        std::thread::spawn(move || {
            for connection in accepting.incoming() {
                let Ok(connection) = connection else { return };
                kept.lock().unwrap().push(connection.try_clone().unwrap());
                let asked_tx = asked_tx.clone();
                std::thread::spawn(move || read(connection, &asked_tx));
            }
        });
        Self {
            asked,
            connections,
            listener,
        }
    }

    /// Returns the next line of a client that is not answered by itself.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.recv_timeout(DEADLINE).unwrap()
    }

    /// Waits for a line of this type; lines of other types are passed over.
    pub(crate) fn asked_for(&self, kind: &str) -> Asked {
        loop {
            let asked = self.asked();
            if asked.line["type"] == kind {
                return asked;
            }
        }
    }

    /// Returns whether nothing was asked so far.
    pub(crate) fn idle(&self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// Cuts all connections and stops listening, as kill -9 does; the socket file stays.
    pub(crate) fn kill(self) {
        // SAFETY-free way to wake the accepting thread: shut the listening socket down.
        let stream = UnixStream::from(std::os::fd::OwnedFd::from(self.listener));
        let _ = stream.shutdown(Shutdown::Both);
        for connection in self.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Asked {
    /// Answers with `fields`, the req_id added.
    pub(crate) fn answer(&mut self, mut fields: Value) {
        fields["req_id"] = self.line["req_id"].clone();
        self.push(&fields);
    }

    /// Writes a line on the same connection.
    pub(crate) fn push(&mut self, line: &Value) {
        self.connection
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    /// Cuts this connection.
    pub(crate) fn cut(&self) {
        self.connection.shutdown(Shutdown::Both).unwrap();
    }
}

fn read(connection: UnixStream, asked: &mpsc::Sender<Asked>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut text = String::new();
    while reader.read_line(&mut text).is_ok_and(|count| count > 0) {
        let line: Value = serde_json::from_str(&text).unwrap();
        text.clear();
        let mut one = Asked {
            line,
            connection: connection.try_clone().unwrap(),
        };
        if one.line == json!({"type": "ping", "req_id": "bootstrap"}) {
            let pong = "{\"type\":\"pong\",\"req_id\":\"bootstrap\"}\n";
            one.connection.write_all(pong.as_bytes()).unwrap();
            continue;
        }
        if one.line["type"] == "register" {
            let name = one.line["name"].clone();
            one.answer(json!({"type": "ack", "hub_id": "fake", "unread": 0, "name": name}));
        }
        if asked.send(one).is_err() {
            return;
        }
    }
}
