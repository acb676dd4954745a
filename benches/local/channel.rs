//! The channel of one session, `ecorelay mcp`: how soon it answers, and what it holds in memory.

use crate::memory::memory_of_a_process;
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{Client, DEADLINE};
use crate::shared::floor::answerer;
use crate::shared::hub::{Hub, program};
use crate::shared::machine;
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Channels whose memory is measured.
const CHANNELS: usize = 3;
/// The client that the channels are started by.
const CLIENT: &str = "bench";

/// Measures the start of a channel beside a running hub, and its memory.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let (mut starts, mut floors) = (Series::default(), Series::default());
    for n in 0..plan.channel_starts {
        let mut least = answerer()?;
        floors.add_times(&[Conversation::start(&mut least)?.first_answer()?]);
        let mut mcp = hub.home().command(&["mcp"]);
        mcp.env("RELAY_PEER_ID", format!("starter-{n}"));
        starts.add_times(&[Conversation::start(&mut mcp)?.first_answer()?]);
    }
    table.add(Row {
        what: "ecorelay mcp: start → initialize answered, hub running".into(),
        unit: Unit::Time,
        subject: starts,
        floor: Some(("a process that answers one line", floors)),
        budgets: vec![Budget::AtMost(20e-3)],
    });

    let (mut memory, mut floor) = (Series::default(), Series::default());
    for n in 0..CHANNELS {
        floor.add(memory_of_a_process()?);
        let mut mcp = hub.home().command(&["mcp"]);
        mcp.env("RELAY_PEER_ID", format!("channel-{n}"));
        let mut channel = Conversation::start(&mut mcp)?;
        channel.register_as(CLIENT)?;
        memory.add(channel.resident()?);
    }
    table.add(Row {
        what: "channel memory (RSS), registered, after one tool call".into(),
        unit: Unit::Size,
        subject: memory,
        floor: Some(("a process that answers one line", floor)),
        budgets: vec![Budget::AtMost(6e6)],
    });
    Ok(())
}

fn initialize(client: &str) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": client, "version": "1"}
        }
    })
}

/// A process that is talked to over its standard input and output; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Conversation {
    child: Child,
    client: Client,
    began: Instant,
}

impl Conversation {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        // A pair of sockets instead of pipes, for a read of a pipe cannot have a deadline.
        let (ours, theirs) = UnixStream::pair()?;
        let input = Stdio::from(OwnedFd::from(theirs.try_clone()?));
        let output = Stdio::from(OwnedFd::from(theirs));
        command.stdin(input).stdout(output).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn();
        // The command holds their end; with it open, the end of the process would not be seen.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self {
            child: child
                .map_err(|error| format!("{} cannot be started: {error}", program().display()))?,
            client: Client::on(ours)?,
            began,
        })
    }

    /// Returns the time from the start to the first answer.
    fn first_answer(mut self) -> Outcome<Duration> {
        self.request(&initialize(CLIENT))?;
        let took = self.began.elapsed();
        self.end()?;
        Ok(took)
    }

    /// Returns its memory once it has answered.
    pub(crate) fn answered(mut self) -> Outcome<f64> {
        self.request(&initialize(CLIENT))?;
        self.resident()
    }

    /// Begins a session with a channel as this client; returns once it is registered.
    pub(crate) fn register_as(&mut self, client: &str) -> Outcome<()> {
        self.request(&initialize(client))?;
        self.client
            .write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        let answer = self.request(&json!({
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "relay_peers", "arguments": {}}
        }))?;
        if answer["result"]["isError"] == json!(true) || answer.get("result").is_none() {
            return Err(format!("relay_peers failed in the channel: {answer}").into());
        }
        Ok(())
    }

    fn request(&mut self, request: &Value) -> Outcome<Value> {
        self.client.write(&format!("{request}\n"))?;
        loop {
            let answer: Value = serde_json::from_slice(self.client.read()?)?;
            if answer.get("id").is_some() && answer.get("method").is_none() {
                return Ok(answer);
            }
        }
    }

    fn resident(&self) -> Outcome<f64> {
        machine::resident(self.child.id())
    }

    /// Closes its input and waits for its end.
    fn end(&mut self) -> Outcome<()> {
        self.client.close()?;
        let end = Instant::now() + DEADLINE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                return Err("a process did not end when its input ended".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
