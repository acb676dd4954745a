//! A hermetic home: its own folders, its own hub, a clean environment, nothing left behind.

use super::process::{Finished, run};
use super::raw::RawClient;
use super::{found_within, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The program under test.
pub(crate) const ECORELAY: &str = env!("CARGO_BIN_EXE_ecorelay");

/// A temporary HOME with a data directory in it. When it is dropped, every process that was
/// started in it is killed and the folder is removed.
pub(crate) struct TestHome {
    folder: tempfile::TempDir,
    /// The network namespace in which its programs run, if not the test's own.
    namespace: Option<String>,
    /// Further variables of its programs.
    variables: Vec<(String, String)>,
}

impl TestHome {
    /// Makes a home. Its path is short, because a socket's path may have 107 bytes at most.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("er-")
            .tempdir_in("/tmp")
            .expect("a temporary folder");
        std::fs::create_dir(folder.path().join("home")).expect("the home folder");
        Self {
            folder,
            namespace: None,
            variables: Vec::new(),
        }
    }

    /// Makes a home whose programs run in the network namespace of this name.
    pub(crate) fn in_namespace(name: &str) -> Self {
        let mut home = Self::new();
        home.namespace = Some(name.to_owned());
        home
    }

    /// Gives every program of this home one more variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the folder that holds everything of this test.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns HOME.
    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Returns the data directory; it exists once a hub has run.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Returns the hub's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("hub.sock")
    }

    /// Returns a program with the environment of this home and nothing else.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("ECORELAY_DATA_DIR", self.data())
            .env("ECORELAY_WS_PORT", "0")
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home());
        if self.namespace.is_none() {
            // Hubs of other homes, and of the network, must not find this one.
            command
                .env("ECORELAY_MDNS", "0")
                .env("ECORELAY_MESH_LISTEN", "/ip4/127.0.0.1/tcp/0");
        }
        command
    }

    /// Returns `ecorelay` with these arguments.
    pub(crate) fn ecorelay(&self, args: &[&str]) -> Command {
        let mut command = self.command(ECORELAY);
        command.args(args);
        command
    }

    /// Runs `ecorelay` with these arguments to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        run(self.ecorelay(args))
    }

    /// Starts a hub in the foreground and keeps it in use, so that it does not leave when idle.
    pub(crate) fn hub(&self) -> TestHub<'_> {
        TestHub::start(self)
    }

    /// Returns the processes that were started in this home.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes_of(self.path())
    }

    /// Returns the hubs of this home that run now.
    pub(crate) fn hubs(&self) -> Vec<Process> {
        let mut processes = self.processes();
        processes.retain(Process::is_hub);
        processes
    }

    /// Kills the hub with SIGKILL, whoever has started it.
    pub(crate) fn kill_hub(&self) {
        kill_hub_of(self.path());
    }
}

/// As [`TestHome::kill_hub`], for the home at this path.
pub(crate) fn kill_hub_of(home: &Path) {
    for process in processes_of(home).iter().filter(|p| p.is_hub()) {
        process.kill(Signal::KILL);
    }
}

/// Returns the processes of the home at this path: it stands in their environment, in front of
/// the data directory, whatever that is called.
fn processes_of(home: &Path) -> Vec<Process> {
    let mine = format!("ECORELAY_DATA_DIR={}/", home.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // A process that ends meanwhile is none.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|&b| b == 0);
        if variables.any(|variable| variable.starts_with(mine.as_bytes())) {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = words.split(|&b| b == 0).filter(|word| !word.is_empty());
            let command = words.map(|w| String::from_utf8_lossy(w).into_owned());
            found.push(Process {
                pid,
                command: command.collect(),
            });
        }
    }
    found
}

impl Drop for TestHome {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(&self.data().join("logs"));
            print_logs(self.path());
        }
        // Killing one may let another appear that was just being started.
        let gone = found_within(Duration::from_secs(10), || {
            let processes = self.processes();
            for process in &processes {
                process.kill(Signal::KILL);
            }
            processes.is_empty().then_some(())
        });
        if gone.is_none() {
            super::announce(&format!("still running: {:?}", self.processes()));
        }
    }
}

fn print_logs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_none_or(|end| end != "log") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(40).collect();
        println!("--- the end of {}", entry.path().display());
        for line in tail.iter().rev() {
            println!("{line}");
        }
    }
}

/// A process that was started in a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    /// Its command line.
    pub(crate) command: Vec<String>,
}

impl Process {
    /// Returns whether it is `ecorelay node run`.
    pub(crate) fn is_hub(&self) -> bool {
        self.command.iter().any(|word| word.ends_with("ecorelay"))
            && self.command.windows(2).any(|two| two == ["node", "run"])
    }

    /// Sends it a signal; one that is gone already is no matter.
    pub(crate) fn kill(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// A hub that runs in the foreground as a child of the test.
pub(crate) struct TestHub<'home> {
    home: &'home TestHome,
    child: Child,
    /// A connection that watches counts as use: the hub stays although no session is there.
    keeper: Option<RawClient>,
}

impl<'home> TestHub<'home> {
    fn start(home: &'home TestHome) -> Self {
        let (child, keeper) = Self::launch(home);
        Self {
            home,
            child,
            keeper: Some(keeper),
        }
    }

    fn launch(home: &TestHome) -> (Child, RawClient) {
        let mut child = Self::spawn(home);
        let keeper = Self::connect(home, &mut child);
        (child, keeper)
    }

    /// Starts a hub process in this home and does not wait for it.
    pub(crate) fn spawn(home: &TestHome) -> Child {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(home.path().join("hub-output.log"))
            .expect("the hub's output file");
        let mut command = home.ecorelay(&["node", "run"]);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the output file once more"))
            .stderr(log);
        command.spawn().expect("start the hub")
    }

    /// Waits until the hub listens; returns a connection that watches it.
    pub(crate) fn connect(home: &TestHome, child: &mut Child) -> RawClient {
        let mut keeper = wait_until("the hub to listen", || {
            if let Some(status) = child.try_wait().expect("wait for the hub") {
                panic!("the hub ended at once: {status}");
            }
            RawClient::try_connect(&home.socket())
        });
        keeper.send(&json!({"type": "watch"}));
        keeper
    }

    /// Returns the process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the hub with SIGKILL and waits for its end.
    pub(crate) fn kill_9(&mut self) {
        self.keeper = None;
        self.child.kill().expect("kill the hub");
        self.child.wait().expect("wait for the killed hub");
    }

    /// Starts a hub again after [`TestHub::kill_9`].
    pub(crate) fn restart(&mut self) {
        let (child, keeper) = Self::launch(self.home);
        self.child = child;
        self.keeper = Some(keeper);
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("signal the hub");
        let status = super::process::ended_within(&mut self.child, super::DEADLINE);
        status.expect("the hub ends on SIGTERM").code()
    }

    /// Returns whether the hub still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("wait for the hub").is_none()
    }
}

impl Drop for TestHub<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
