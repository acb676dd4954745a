//! A hub under test: the real program, in a process of its own, in a fresh data directory.

use crate::client::{Client, message_id, send_line};
use crate::floor::answerer;
use crate::plan::Plan;
use crate::table::{Budget, Row, Series, Table, Unit};
use crate::{Outcome, disk, machine};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The program that is measured.
const PROGRAM: &str = env!("CARGO_BIN_EXE_ecorelay");
/// Storm budgets and the bound of a mailbox are not what is measured: they are raised.
const CONFIG: &str = "\
[limits]
push_burst = 1000000000
push_per_minute = 1000000000
conversation_burst = 1000000000
conversation_per_minute = 1000000000
broadcasts_per_minute = 1000000000
mailbox_unread = 100000
";
/// Sessions in the rows that have many.
pub(crate) const MANY: usize = 50;

/// A data directory, with its socket where its path is short.
#[derive(Debug)]
pub(crate) struct Home {
    data: TempDir,
    socket_folder: TempDir,
}

impl Home {
    /// Makes a fresh one.
    pub(crate) fn create() -> Outcome<Self> {
        let data = disk::folder()?;
        std::fs::write(data.path().join("config.toml"), CONFIG)?;
        Ok(Self {
            data,
            socket_folder: TempDir::new()?,
        })
    }

    /// Returns the hub's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket_folder.path().join("hub.sock")
    }

    /// Returns a command of the program that sees this data directory and nothing else.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.data.path())
            .env("HOME", self.data.path())
            .env("ECORELAY_DATA_DIR", self.data.path())
            .env("RELAY_HUB_SOCKET", self.socket())
            .env("ECORELAY_WS_PORT", "0")
            .env_remove("RELAY_PEER_ID")
            .env_remove("CLAUDE_CODE_MESSAGING_SOCKET")
            .stdin(Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.data.path().join("hub-output.log")
    }

    /// Starts a hub and returns it with the first client it accepted.
    pub(crate) fn start_hub(&self) -> Outcome<(HubProcess, Client)> {
        let log = File::create(self.log())?;
        let mut command = self.command(&["node", "run"]);
        command.stdout(log.try_clone()?).stderr(log);
        let mut hub = HubProcess(command.spawn()?);
        let gone = || match hub.0.try_wait() {
            Ok(None) => None,
            ended => {
                let said = std::fs::read_to_string(self.log()).unwrap_or_default();
                Some(format!("the hub ended ({ended:?}) and said: {said}"))
            }
        };
        let client = Client::connect_when_there(&self.socket(), gone)?;
        Ok((hub, client))
    }
}

/// A hub's process; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct HubProcess(Child);

impl Drop for HubProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running hub.
#[derive(Debug)]
pub(crate) struct Hub {
    // Dropped in this order: the process before its folder.
    process: HubProcess,
    /// Watches, so that the hub stays although no session is there.
    _keeper: Client,
    home: Home,
}

impl Hub {
    /// Starts a hub in a fresh data directory.
    pub(crate) fn start() -> Outcome<Self> {
        let home = Home::create()?;
        let (process, mut keeper) = home.start_hub()?;
        keeper.write("{\"type\":\"watch\",\"req_id\":\"w\"}\n")?;
        keeper.expect("ack")?;
        Ok(Self {
            process,
            _keeper: keeper,
            home,
        })
    }

    /// Connects and registers a session.
    pub(crate) fn session(&self, name: &str) -> Outcome<Client> {
        let mut client = Client::connect(&self.home.socket())?;
        client.register(name)?;
        Ok(client)
    }

    /// Makes a name known whose session is not there.
    pub(crate) fn absent(&self, name: &str) -> Outcome<()> {
        self.session(name).map(drop)
    }

    /// Returns the data directory.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Returns what it holds in memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        machine::resident(self.process.0.id())
    }
}

/// Returns the path of the program, for messages.
pub(crate) fn program() -> &'static Path {
    Path::new(PROGRAM)
}

/// Measures the memory of a hub: without sessions, with many, and after it has worked.
pub(crate) fn measure_memory(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let (mut idle, mut many, mut worked) = <(Series, Series, Series)>::default();
    let mut floor = Series::default();
    for _ in 0..plan.rounds {
        let hub = Hub::start()?;
        idle.add(hub.resident()?);
        let mut sessions = (0..MANY)
            .map(|n| hub.session(&format!("s{n}")))
            .collect::<Outcome<Vec<_>>>()?;
        many.add(hub.resident()?);
        work(&mut sessions, plan.samples * 10)?;
        worked.add(hub.resident()?);
        floor.add(memory_of_a_process()?);
    }
    let floor = Some(("a process that answers one line", floor));
    for (what, subject, budgets) in [
        (
            "hub memory (RSS), idle".to_owned(),
            idle,
            vec![Budget::AtMost(15e6)],
        ),
        (
            format!("hub memory, {MANY} sessions"),
            many,
            vec![Budget::AtMost(20e6)],
        ),
        (
            format!(
                "hub memory, {MANY} sessions, after {} messages",
                plan.samples * 10
            ),
            worked,
            vec![],
        ),
    ] {
        table.add(Row {
            what,
            unit: Unit::Size,
            subject,
            floor: floor.clone(),
            budgets,
        });
    }
    Ok(())
}

/// Lets the sessions send to each other in turn, each message confirmed.
fn work(sessions: &mut [Client], messages: usize) -> Outcome<()> {
    let text = "x".repeat(200);
    for n in 0..messages {
        let (from, to) = (n % sessions.len(), (n + 1) % sessions.len());
        let id = message_id();
        sessions[from].write(&send_line(&format!("s{to}"), &id, &text))?;
        sessions[to].expect("incoming_message")?;
        sessions[to].confirm(&id)?;
        sessions[from].expect("send_ack")?;
    }
    Ok(())
}

/// Returns the memory of the smallest process of this language that does something.
pub(crate) fn memory_of_a_process() -> Outcome<f64> {
    let mut command = answerer()?;
    let process = crate::channel::Conversation::start(&mut command)?;
    process.answered()
}
