//! A hub under test: the real program, in a process of its own, in a fresh data directory.

use super::client::Client;
use super::{Outcome, disk, machine};
use serde_json::Value;
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
        Self::create_as(None)
    }

    /// Makes a fresh one for a hub of this name.
    fn create_as(hub_id: Option<&str>) -> Outcome<Self> {
        let data = disk::folder()?;
        let named = hub_id.map(|id| format!("hub_id = \"{id}\"\n{CONFIG}"));
        let config = named.as_deref().unwrap_or(CONFIG);
        std::fs::write(data.path().join("config.toml"), config)?;
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
            .env("ECORELAY_MDNS", "0")
            .env("ECORELAY_MESH_LISTEN", "/ip4/127.0.0.1/tcp/0")
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
        Self::start_in(Home::create()?)
    }

    /// Starts a hub of this name in a fresh data directory.
    pub(crate) fn start_as(hub_id: &str) -> Outcome<Self> {
        Self::start_in(Home::create_as(Some(hub_id))?)
    }

    /// Starts a hub in a data directory.
    pub(crate) fn start_in(home: Home) -> Outcome<Self> {
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

    /// Asks something as the command line does, and returns the answer, a line of this type.
    pub(crate) fn ask(&self, request: &Value, answer: &str) -> Outcome<Value> {
        let mut client = Client::connect(&self.home.socket())?;
        client.write(&format!("{request}\n"))?;
        Ok(serde_json::from_slice(client.expect(answer)?)?)
    }

    /// Kills the hub and returns what it leaves.
    pub(crate) fn kill(self) -> Home {
        let Self { process, home, .. } = self;
        drop(process);
        home
    }

    /// Returns the number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Returns the data directory.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Returns what it holds in memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        machine::resident(self.pid())
    }
}

/// Returns the path of the program, for messages.
pub(crate) fn program() -> &'static Path {
    Path::new(PROGRAM)
}
