//! A node in a temporary folder and a raw client of its socket. Every wait has a deadline.
#![allow(dead_code)] // each test program uses a part of this

pub(crate) mod mesh;

use ecorelay_config::{Config, DataDir};
use ecorelay_node::{Node, NodeBuilder};
use serde_json::{Value, json};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How long anything may take: generous, because slow cores may be shared by many tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// A temporary home for nodes.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn dir(&self) -> DataDir {
        DataDir::at(self.root())
    }

    /// Returns a builder for a node here, without a WebSocket endpoint and with generous budgets.
    pub(crate) fn builder(&self) -> NodeBuilder {
        Node::builder().data_dir(self.dir()).config(config())
    }

    pub(crate) async fn start(&self) -> Node {
        soon("the node", self.builder().start()).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.dir()).await
    }

    /// Returns a client that is registered.
    pub(crate) async fn registered(&self, name: &str, version: &str) -> Client {
        let mut client = self.client().await;
        client
            .send(json!({
                "type": "register", "name": name, "cwd": "/tmp", "git_branch": "main",
                "protocol_version": version,
            }))
            .await;
        let answer = client.line().await;
        assert_eq!(answer["type"], "ack", "{answer}");
        client
    }
}

/// Returns settings in which no budget is in a test's way.
pub(crate) fn config() -> Config {
    let mut config = Config {
        ws_port: 0,
        ..Config::default()
    };
    config.limits.push_burst = 1_000_000;
    config.limits.conversation_burst = 1_000_000;
    config
}

/// A client that speaks raw lines.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub(crate) async fn connect(dir: &DataDir) -> Self {
        let stream = soon("a connection", UnixStream::connect(dir.socket()))
            .await
            .unwrap();
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
        }
    }

    pub(crate) async fn send(&mut self, value: Value) {
        self.send_bytes(format!("{value}\n").as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        soon("room to write", self.writer.write_all(bytes))
            .await
            .unwrap();
    }

    /// Writes until the hub no longer takes it; returns how much it took.
    pub(crate) async fn send_while_taken(&mut self, chunk: &[u8], most: usize) -> usize {
        let mut taken = 0;
        while taken < most {
            match soon("room to write", self.writer.write(chunk)).await {
                Ok(n) if n > 0 => taken += n,
                _ => break,
            }
        }
        taken
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        self.writer.shutdown().await.unwrap();
    }

    /// Returns the next line as text, or `None` at the end.
    pub(crate) async fn text(&mut self) -> Option<String> {
        let mut line = String::new();
        match soon("a line", self.reader.read_line(&mut line)).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }

    /// Returns the next line.
    pub(crate) async fn line(&mut self) -> Value {
        let text = self.text().await.expect("the connection has ended");
        serde_json::from_str(&text).unwrap()
    }

    /// Returns the next line of this type, and answers probes on the way.
    pub(crate) async fn line_of(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line().await;
            if line["type"] == kind {
                return line;
            }
            if line["type"] == "ping" {
                self.send(json!({ "type": "pong", "req_id": line["req_id"] }))
                    .await;
            }
        }
    }

    /// Asks and returns the answer, whatever is pushed in between.
    pub(crate) async fn ask(&mut self, mut request: Value) -> Value {
        request["req_id"] = json!("asked");
        self.send(request).await;
        loop {
            let line = self.line().await;
            if line["req_id"] == "asked" {
                return line;
            }
        }
    }

    /// Returns whether the hub still answers on this connection.
    pub(crate) async fn is_answered(&mut self) -> bool {
        self.ask(json!({ "type": "ping" })).await["type"] == "pong"
    }

    /// Waits until the hub has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.text().await.is_some() {}
    }
}
