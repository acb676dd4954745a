//! The daemon as a process: signals, files, logs, and what a kill leaves behind.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_config::DataDir;
use ecorelay_node::{DaemonOptions, ExitReason, run_daemon};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use support::{Client, DEADLINE, Home};

/// Tells the test program to be the daemon of this folder.
const ROLE: &str = "ECORELAY_TEST_DAEMON";

/// Not a test: what [`Daemon::start`] runs in a process of its own.
#[test]
#[ignore = "the daemon that the other tests start"]
fn daemon_process() {
    let Some(folder) = std::env::var_os(ROLE) else {
        return;
    };
    let exit = run_daemon(DaemonOptions {
        data_dir: DataDir::at(folder),
        config: support::config(),
        idle_exit: None,
    });
    assert_eq!(exit.unwrap(), ExitReason::Stopped);
}

/// A daemon in its own process; killed when the test is over.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(home: &Home) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daemon_process", "--ignored"])
            .env(ROLE, home.root())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the daemon answers and registers.
async fn register(home: &Home, name: &str) -> Client {
    let end = Instant::now() + DEADLINE;
    while tokio::net::UnixStream::connect(home.dir().socket())
        .await
        .is_err()
    {
        assert!(Instant::now() < end, "the daemon does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    home.registered(name, "5").await
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_and_its_files_are_private() {
    let home = Home::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start(&home);
        let mut alice = register(&home, "alice").await;
        let secret = "the text of a message";
        let ack = alice
            .ask(json!({ "type": "send", "to": "alice", "text": secret }))
            .await;
        assert_eq!(ack["type"], "send_ack", "{ack}");
        daemon.signal(signal);
        alice.closed().await;
        assert!(daemon.wait().success());
        assert!(!home.dir().socket().exists());
        assert!(!home.root().join("relay.db-wal").exists());
        assert_eq!(mode(&home.root()), 0o700);
        for name in ["relay.db", "identity.key", "hub.lock"] {
            assert_eq!(mode(&home.root().join(name)), 0o600, "{name}");
        }
        let logs: Vec<_> = std::fs::read_dir(home.dir().logs()).unwrap().collect();
        assert!(!logs.is_empty());
        for log in logs {
            let path = log.unwrap().path();
            assert_eq!(mode(&path), 0o600);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(secret));
            assert!(!text.is_empty());
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(line["level"].is_string(), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home);
    drop(register(&home, "bob").await);
    let mut alice = register(&home, "alice").await;
    let mut acknowledged = Vec::new();
    for n in 0..40 {
        let ack = alice
            .ask(json!({ "type": "send", "to": "bob", "text": format!("{n}") }))
            .await;
        acknowledged.push(ack["msg_id"].clone());
    }
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert!(home.dir().socket().exists(), "a kill leaves the socket");

    let _daemon = Daemon::start(&home);
    // The stale socket refuses until the new daemon has replaced it.
    let mut bob = register(&home, "bob").await;
    let page = bob.ask(json!({ "type": "inbox", "limit": 100 })).await;
    let found: Vec<_> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["msg_id"].clone())
        .collect();
    assert_eq!(found, acknowledged);
}

#[tokio::test]
async fn of_eight_that_start_at_once_one_runs() {
    let home = Home::new();
    let mut daemons: Vec<Daemon> = (0..8).map(|_| Daemon::start(&home)).collect();
    let mut client = register(&home, "a").await;
    let end = Instant::now() + DEADLINE;
    loop {
        daemons.retain_mut(|daemon| daemon.child.try_wait().unwrap().is_none());
        if daemons.len() == 1 {
            break;
        }
        assert!(Instant::now() < end, "{} run", daemons.len());
        assert!(client.is_answered().await);
    }
    assert!(client.is_answered().await);
}
