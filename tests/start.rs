//! How a hub comes to life, and what happens when it cannot: one winner among many, and a
//! sentence for every place, store or disk that does not do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use support::home::{ECORELAY, TestHome};
use support::mcp::McpClient;
use support::process::{Finished, run};
use support::raw::RawClient;
use support::{announce, is_root, wait_until};

/// How often eight channels race to start the hub.
const ROUNDS: usize = 20;
/// Channels that start at the same instant.
const CHANNELS: usize = 8;

#[test]
fn eight_channels_at_once_on_a_stale_socket_end_on_one_hub() {
    for round in 0..ROUNDS {
        let home = TestHome::new();
        leave_stale_socket(&home);
        let barrier = Barrier::new(CHANNELS);
        let channels: Vec<McpClient> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..CHANNELS)
                .map(|n| {
                    let (home, barrier) = (&home, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        McpClient::start(home, &format!("c{n}"))
                    })
                })
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        for (n, channel) in channels.iter().enumerate() {
            wait_until(&format!("c{n} to see the others (round {round})"), || {
                let seen = channel.ok("relay_peers", json!({}));
                assert_eq!(seen["me"], format!("c{n}"));
                (seen["peers"].as_array()?.len() == CHANNELS - 1).then_some(())
            });
        }
        wait_until("the losers of the race to be gone", || {
            (home.hubs().len() == 1).then_some(())
        });
    }
}

#[test]
fn a_second_hub_is_refused_and_the_first_goes_on() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let second = refused_start(&home.ecorelay(&["node", "run"]));
    let pid = format!("pid {}", hub.pid());
    assert!(
        second.contains("already running") && second.contains(&pid),
        "{second}"
    );
    assert_eq!(a.request(json!({"type": "ping"}))["type"], "pong");
    assert!(hub.runs());
}

#[test]
fn a_silent_program_in_the_sockets_place_is_replaced() {
    let home = TestHome::new();
    std::fs::create_dir_all(home.data()).unwrap();
    let _silent = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    home.run(&["send", "bob", "hi"]).expect_code(0);
    assert_eq!(home.hubs().len(), 1);
}

#[test]
fn a_hub_that_hangs_is_named_and_how_to_end_it() {
    let home = TestHome::new();
    let hub = home.hub();
    let pid = hub.pid();
    let process = home.hubs().pop().unwrap();
    process.kill(Signal::STOP);
    let refused = home.run(&["node", "restart", "--json"]).expect_code(3);
    let message = refused.json()["message"].to_string();
    process.kill(Signal::CONT);
    assert!(message.contains(&format!("`kill -9 {pid}`")), "{message}");
    home.run(&["peers"]).expect_code(0);
}

#[test]
fn a_hub_that_is_told_to_end_ends_cleanly_and_takes_its_socket_along() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    assert_eq!(hub.terminate(), Some(0));
    a.until_closed();
    assert!(!home.socket().exists());
}

#[test]
fn a_hub_can_be_restarted_again_and_again() {
    let home = TestHome::new();
    home.run(&["node", "start"]).expect_code(0);
    // The new one may come while the old one has left its socket but not yet its lock.
    for _ in 0..10 {
        let restarted = home.run(&["node", "restart", "--json"]).expect_code(0);
        assert_eq!(restarted.json()["stopped"], true);
    }
    wait_until("only the last one to be left", || {
        (home.hubs().len() == 1).then_some(())
    });
}

#[test]
fn a_hub_that_nobody_needs_ends_and_the_next_session_starts_another() {
    let home = TestHome::new();
    McpClient::start(&home, "alice").close();
    wait_until("the idle hub to end", || {
        home.hubs().is_empty().then_some(())
    });
    let alice = McpClient::start(&home, "alice");
    assert_eq!(alice.ok("relay_peers", json!({}))["me"], "alice");
}

#[test]
fn a_socket_path_that_does_not_fit_is_refused_with_the_way_out() {
    let home = TestHome::new();
    let deep = home.path().join("d".repeat(110));
    let mut command = home.ecorelay(&["peers", "--json"]);
    command.env("ECORELAY_DATA_DIR", &deep);
    let finished = run(command);
    assert!([1, 3].contains(&finished.code()), "{finished:?}");
    let message = finished.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("RELAY_HUB_SOCKET") && message.contains("107"),
        "{message}"
    );

    // The channel starts all the same and says it when it is asked for something.
    let mut command = home.ecorelay(&["mcp"]);
    command.env("ECORELAY_DATA_DIR", &deep);
    let channel = McpClient::start_with(&home, "deep", command);
    let message = channel.refused("relay_peers", json!({}), "hub_unreachable");
    assert!(message.contains("RELAY_HUB_SOCKET"), "{message}");
    drop(channel);

    // And the way out works.
    let mut command = home.ecorelay(&["mcp"]);
    command
        .env("ECORELAY_DATA_DIR", &deep)
        .env("RELAY_HUB_SOCKET", home.path().join("s.sock"));
    let channel = McpClient::start_with(&home, "short", command);
    channel.ok("relay_peers", json!({}));
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let home = TestHome::new();
    // Not even root can make a folder below a file.
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data");
    let mut command = home.ecorelay(&["node", "run"]);
    command.env("ECORELAY_DATA_DIR", &data);
    let words = refused_start(&command);
    assert!(words.contains(data.to_str().unwrap()), "{words}");

    let mut command = home.ecorelay(&["send", "bob", "hi", "--json"]);
    command.env("ECORELAY_DATA_DIR", &data);
    let finished = run(command).expect_code(3);
    assert_eq!(finished.json()["code"], "hub_unreachable");

    let mut command = home.ecorelay(&["mcp"]);
    command.env("ECORELAY_DATA_DIR", &data);
    let channel = McpClient::start_with(&home, "homeless", command);
    let message = channel.refused("relay_peers", json!({}), "hub_unreachable");
    assert!(message.contains(data.to_str().unwrap()), "{message}");
}

#[test]
fn a_corrupt_store_is_refused_and_kept() {
    let home = TestHome::new();
    store_with_a_message(&home);
    for damage in [Damage::Everything, Damage::Truncated] {
        damage.apply(&store(&home));
        let before = std::fs::read(store(&home)).unwrap();
        let words = refused_start(&home.ecorelay(&["node", "run"]));
        assert!(words.contains("relay.db"), "{damage:?}: {words}");
        assert!(
            std::fs::read(store(&home)).unwrap() == before,
            "{damage:?}: the file is kept"
        );
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_kept() {
    let home = TestHome::new();
    store_with_a_message(&home);
    let mut bytes = std::fs::read(store(&home)).unwrap();
    // SQLite keeps the version of the schema here, with the highest byte first.
    bytes[60..64].copy_from_slice(&1_000_u32.to_be_bytes());
    std::fs::write(store(&home), &bytes).unwrap();
    let words = refused_start(&home.ecorelay(&["node", "run"]));
    assert!(
        words.contains("relay.db") && words.contains("newer"),
        "{words}"
    );
    assert!(std::fs::read(store(&home)).unwrap() == bytes);
}

#[test]
fn a_store_that_cannot_be_written_is_refused_and_kept() {
    let home = TestHome::new();
    store_with_a_message(&home);
    let before = std::fs::read(store(&home)).unwrap();
    let data = home.data();
    let data = data.display();
    // Root may write whatever its mode is, but not on a read-only mount.
    let script = format!("mount --bind {data} {data} && mount -o remount,bind,ro {data}");
    let Some(command) = mounted(&home, &script, "a_store_that_cannot_be_written") else {
        return;
    };
    let words = refused_start(&command);
    assert!(words.contains(&data.to_string()), "{words}");
    assert!(std::fs::read(store(&home)).unwrap() == before);
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_heals() {
    let home = TestHome::new();
    std::fs::create_dir_all(home.data()).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=8m,mode=0700 tmpfs {}",
        home.data().display()
    );
    let Some(mut command) = mounted(&home, &script, "a_full_disk") else {
        return;
    };
    // The disk is only seen from inside; the socket must be outside.
    let socket = home.path().join("hub.sock");
    command.env("RELAY_HUB_SOCKET", &socket);
    let log = std::fs::File::create(home.path().join("full-disk.log")).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let mut hub = Running(command.spawn().unwrap());
    let mut a = RawClient::session(&socket, "a");
    drop(RawClient::session(&socket, "b"));
    let ballast = inside(&hub, &home.data().join("ballast"));
    let mut accepted = vec![send(&mut a, 0).expect("accepted while there is room")];

    fill(&ballast);
    let mut refusals = 0;
    // What SQLite still has room for in its files may go through.
    for n in 1..2_000 {
        match send(&mut a, n) {
            Ok(id) => accepted.push(id),
            Err(refusal) => {
                assert_eq!(refusal["code"], "mailbox_error", "{refusal}");
                assert!(refusal["message"].as_str().unwrap().len() > 10);
                refusals += 1;
                if refusals == 5 {
                    break;
                }
            }
        }
    }
    assert_eq!(refusals, 5, "the disk never was full");
    assert!(hub.0.try_wait().unwrap().is_none(), "the hub lives on");
    assert_eq!(a.request(json!({"type": "ping"}))["type"], "pong");

    std::fs::remove_file(&ballast).unwrap();
    let id = wait_until("room on the disk", || send(&mut a, 2_000).ok());
    accepted.push(id);
    let mut b = RawClient::session(&socket, "b");
    assert_eq!(
        read_all(&mut b),
        accepted,
        "exactly what was acknowledged, in order"
    );
}

/// How a store is damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Everything,
    Truncated,
}

impl Damage {
    fn apply(self, path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        match self {
            Self::Everything => bytes.fill(b'x'),
            Self::Truncated => bytes.truncate(50),
        }
        std::fs::write(path, bytes).unwrap();
    }
}

fn store(home: &TestHome) -> PathBuf {
    home.data().join("relay.db")
}

/// Lets a hub write a store and end cleanly.
fn store_with_a_message(home: &TestHome) {
    let mut hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    a.request(json!({"type": "send", "to": "a", "text": "kept"}));
    drop(a);
    assert_eq!(hub.terminate(), Some(0));
}

/// Runs a hub that must refuse to start; returns its words.
fn refused_start(command: &Command) -> String {
    let finished: Finished = run(clone_of(command));
    assert!([1, 3].contains(&finished.code()), "{finished:?}");
    let words = finished.stderr;
    assert!(words.len() > 20 && !words.contains("panicked"), "{words}");
    words
}

fn clone_of(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            copy.env(key, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

/// Leaves the file of a socket that nobody listens on, as a killed hub does.
fn leave_stale_socket(home: &TestHome) {
    std::fs::create_dir_all(home.data()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(home.socket()).unwrap());
    assert!(home.socket().exists());
}

/// Returns a hub in a mount namespace of its own in which `script` has run first; `None`, said
/// aloud, where that is not allowed.
fn mounted(home: &TestHome, script: &str, test: &str) -> Option<Command> {
    let mut trial = home.command("unshare");
    trial.args(["-m", "sh", "-ec", script]);
    if !is_root() || !run(trial).status.success() {
        announce(&format!("SKIPPED: {test}: needs root and mount namespaces"));
        return None;
    }
    let mut command = home.command("unshare");
    command.args(["-m", "sh", "-ec", &format!("{script}; exec \"$@\""), "sh"]);
    command.args([ECORELAY, "node", "run"]);
    Some(command)
}

/// Returns the path as seen by a process in its own mount namespace.
fn inside(hub: &Running, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", hub.0.id()));
    root.join(path.strip_prefix("/").unwrap())
}

/// Writes into the file until the disk is full.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [65_536, 4_096, 512, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn send(client: &mut RawClient, n: usize) -> Result<String, Value> {
    let text = format!("{n} {}", "x".repeat(2_000));
    let answer = client.request(json!({"type": "send", "to": "b", "text": text}));
    match answer["msg_id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(answer),
    }
}

fn read_all(client: &mut RawClient) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = client.request(json!({"type": "inbox", "limit": 100}));
        let messages = page["messages"].as_array().unwrap();
        if messages.is_empty() {
            return ids;
        }
        ids.extend(
            messages
                .iter()
                .map(|m| m["msg_id"].as_str().unwrap().to_owned()),
        );
    }
}

/// A child that is killed when it is dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
