//! The program: its first words, its exit codes, its status, its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use support::hub::Hub;
use support::wire::hear;

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecorelay-rendezvous"));
    command.env_remove("STATE_DIRECTORY");
    command.arg("--data-dir").arg(dir);
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    program(dir).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running server and the address it says first.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(dir: &Path, port: u16, arguments: &[&str]) -> Self {
        let listen = format!("/ip4/127.0.0.1/tcp/{port}");
        let mut child = program(dir)
            .args(["--listen", &listen])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ecorelay rendezvous add ");
        let Some(address) = address.map(ToOwned::to_owned) else {
            let mut error = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut error);
            panic!("{line}{error}");
        };
        Self { child, address }
    }

    /// Asks it to end; returns how it did and what it had logged.
    fn stop(mut self) -> (ExitStatus, String) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        let mut log = String::new();
        let mut error = self.child.stderr.take().unwrap();
        error.read_to_string(&mut log).unwrap();
        let status = self.child.wait().unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
        (status, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_identity_and_tells_the_hubs() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(dir.path(), 0, &[]);
    let hub = Hub::new(&first.address);
    let mut entered = hub.enter(1).await;
    entered.others(0).await;
    let id = first.address.rsplit('/').next().unwrap().to_owned();
    let (status, log) = first.stop();
    assert!(status.success(), "{log}");
    let last = hear::<ecorelay_protocol::rendezvous::ToHub>(&mut entered.stream).await;
    assert!(format!("{last:?}").contains("closing"));
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(log.contains("external"), "it says what to set: {log}");
    let second = Running::start(dir.path(), 0, &["--log-format", "text"]);
    assert!(second.address.ends_with(&id));
    Hub::new(&second.address).enter(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_how_it_is_and_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let none = run(dir.path(), &["status"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("--data-dir"));
    let server = Running::start(dir.path(), 0, &[]);
    let hub = Hub::new(&server.address);
    let _entered = hub.enter(1).await;
    let _ = hub.reserve().await;
    let shown = run(dir.path(), &["status", "--json"]);
    let shown = text(&shown.stdout);
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    for (key, value) in [("meshes", 1), ("hubs", 1), ("reservations", 1)] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["addresses"][0], server.address.as_str());
    let page = text(&run(dir.path(), &["status"]).stdout);
    assert!(page.contains(&server.address) && page.contains("hubs          1"));
    let hub = hub.peer.to_base58();
    assert!(!shown.contains(&hub) && !page.contains(&hub));
    let mode = std::fs::metadata(dir.path().join("status.sock")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
}

#[test]
fn check_says_what_a_start_would_do_and_what_is_in_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let free = ["--check", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let checked = run(dir.path(), &free);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains("a new one is made"));
    assert!(!dir.path().join("identity.key").exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let checked = run(dir.path(), &["--check", "--listen", &listen]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("is taken"));
    let started = run(dir.path(), &["--listen", &listen]);
    assert_eq!(started.status.code(), Some(1));
    assert!(text(&started.stderr).contains(&listen));
    std::fs::write(dir.path().join("identity.key"), "nonsense").unwrap();
    let checked = run(dir.path(), &free);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("damaged"));
}

#[test]
fn wrong_settings_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rendezvous.toml");
    std::fs::write(&file, "lisen = ['/ip4/127.0.0.1/tcp/0']").unwrap();
    let config = file.to_str().unwrap();
    for (arguments, words) in [
        (vec!["--check", "--config", config], "lisen"),
        (vec!["--limit", "hubs_per_mesh=0"], "limits.hubs_per_mesh"),
        (vec!["--limit", "hubs_per_mesh"], "NAME=NUMBER"),
        (vec!["--listen", "0.0.0.0:4001"], "/ip4/0.0.0.0/tcp/4001"),
        (vec!["--config", "/nowhere.toml"], "/nowhere.toml"),
        (vec!["--log-level", "loud"], "debug"),
        (vec!["--what"], "--what"),
    ] {
        let refused = run(dir.path(), &arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let error = text(&refused.stderr);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}
