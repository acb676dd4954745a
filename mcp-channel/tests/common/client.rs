//! An MCP client that speaks raw lines to a channel running in a thread of this process.

use super::DEADLINE;
use ecorelay_mcp_channel::{ChannelOptions, serve};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

pub(crate) struct Client {
    to_channel: UnixStream,
    from_channel: BufReader<UnixStream>,
    /// Notifications that came while an answer was waited for.
    pub(crate) notifications: VecDeque<Value>,
    last_id: u64,
    ended: mpsc::Receiver<()>,
}

impl Client {
    /// Starts a channel.
    pub(crate) fn start(options: ChannelOptions) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ended_tx, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let writer = theirs.try_clone().unwrap();
            runtime.block_on(serve(options, theirs, writer)).unwrap();
            runtime.shutdown_background();
            // The test may have ended before.
            let _ = ended_tx.send(());
        });
        ours.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            to_channel: ours.try_clone().unwrap(),
            from_channel: BufReader::new(ours),
            notifications: VecDeque::new(),
            last_id: 0,
            ended,
        }
    }

    /// Starts a channel and initializes it as the client `name`.
    pub(crate) fn initialized(options: ChannelOptions, name: &str) -> Self {
        let mut client = Self::start(options);
        client.initialize(name, "2025-11-25");
        client.notify("notifications/initialized");
        client
    }

    pub(crate) fn initialize(&mut self, name: &str, version: &str) -> Value {
        self.request(
            "initialize",
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}),
        )
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.to_channel.write_all(bytes).unwrap();
    }

    pub(crate) fn notify(&mut self, method: &str) {
        let line = json!({"jsonrpc": "2.0", "method": method});
        self.send_raw(format!("{line}\n").as_bytes());
    }

    /// Sends a request; returns its id.
    pub(crate) fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let line =
            json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.send_raw(format!("{line}\n").as_bytes());
        self.last_id
    }

    /// Returns the next message of the channel.
    pub(crate) fn next(&mut self) -> Value {
        let mut line = String::new();
        self.from_channel.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the channel has closed");
        serde_json::from_str(&line).unwrap()
    }

    /// Waits for the answer with this id; keeps the notifications that come before it.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.next();
            if message.get("method").is_some() {
                self.notifications.push_back(message);
            } else {
                assert_eq!(message["id"], id, "{message}");
                return message;
            }
        }
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.answer(id)
    }

    pub(crate) fn notification(&mut self) -> Value {
        if let Some(notification) = self.notifications.pop_front() {
            return notification;
        }
        let message = self.next();
        assert!(message.get("method").is_some(), "{message}");
        message
    }

    pub(crate) fn begin_tool(&mut self, name: &str, arguments: Value) -> u64 {
        self.begin("tools/call", json!({"name": name, "arguments": arguments}))
    }

    /// Returns the JSON text of a tool's result, and whether it is an error.
    pub(crate) fn tool_answer(&mut self, id: u64) -> (String, bool) {
        let answer = self.answer(id);
        let result = &answer["result"];
        assert!(result.get("structuredContent").is_none());
        assert_eq!(result["content"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(result["content"][0]["type"], "text");
        let failed = match result.get("isError") {
            None => false,
            Some(is_error) => {
                assert_eq!(is_error, true);
                true
            }
        };
        let text = result["content"][0]["text"].as_str().unwrap().to_owned();
        (text, failed)
    }

    pub(crate) fn tool(&mut self, name: &str, arguments: Value) -> (String, bool) {
        let id = self.begin_tool(name, arguments);
        self.tool_answer(id)
    }

    /// Closes the channel's standard input and waits for the channel to end.
    pub(crate) fn close_and_wait(self) {
        self.to_channel.shutdown(Shutdown::Write).unwrap();
        self.ended.recv_timeout(DEADLINE).unwrap();
    }
}
