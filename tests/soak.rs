//! Half an hour of moderate load on three hubs whose links go and come: no accepted message is
//! lost or doubled, and no hub grows. `SOAK_MINUTES` sets another time.
//!
//! In network namespaces cables are cut; where those are not allowed, hubs are killed instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::machine::{Machine, mesh, pair, wait_all_linked};
use support::netns::Lan;
use support::raw::RawClient;
use support::{announce, wait_until};

const HUBS: [&str; 3] = ["a", "b", "c"];
const GROUP: &str = "soak";
const ROOM: &str = "soak";

/// The time between two rounds of a sender; a round is one message to each other hub.
const ROUND: Duration = Duration::from_millis(250);
/// Every so many rounds there is one for the group and one for the room.
const SHARED_EVERY: usize = 8;
/// The time between two looks of a reader.
const LOOK: Duration = Duration::from_millis(200);
/// How often the memory of the hubs is measured.
const SAMPLE: Duration = Duration::from_secs(5);
/// A hub may have this many times the memory it had after the first third.
const GROWTH: f64 = 1.5;
/// Growth below this is no growth, in KiB.
const SLACK: u64 = 8 * 1_024;

#[test]
#[ignore = "takes half an hour; SOAK_MINUTES sets another time"]
fn nothing_is_lost_and_nothing_grows_while_links_go_and_come() {
    let test = "nothing_is_lost_and_nothing_grows_while_links_go_and_come";
    let minutes = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|m| m.parse().ok())
        .unwrap_or(30.0);
    let time = Duration::from_secs_f64(60.0 * minutes);
    let lan = Lan::new(test);
    let mut machines = match &lan {
        Some(lan) => mesh(lan, HUBS),
        None => {
            let mut machines = HUBS.map(Machine::on_loopback);
            pair(&mut machines);
            machines
        }
    };
    make_group(&machines);

    let (stop, all_sent) = (AtomicBool::new(false), AtomicBool::new(false));
    let sockets = HUBS.map(|hub| socket_of(&machines, hub));
    std::thread::scope(|scope| {
        // Should anything here panic, the others must end too.
        let release = Release([&stop, &all_sent]);
        let (stop, all_sent) = (&stop, &all_sent);
        let senders = [0, 1, 2].map(|at| {
            let socket = sockets[at].clone();
            scope.spawn(move || Sender::new(at, socket).run(stop))
        });
        let readers = [0, 1, 2].map(|at| {
            let socket = sockets[at].clone();
            scope.spawn(move || Reader::new(at, socket).run(all_sent))
        });

        let memory = disturb(&mut machines, lan.is_some(), time);
        stop.store(true, Ordering::SeqCst);
        let sent = senders.map(|sender| sender.join().expect("a sender"));
        wait_all_linked(&mut machines);
        for machine in &mut machines {
            machine.status_within(Duration::from_secs(180), "empty outboxes", |status| {
                let hubs = status["hubs"].as_array()?;
                hubs.iter().all(|hub| hub["outbox"] == 0).then_some(())
            });
        }
        all_sent.store(true, Ordering::SeqCst);
        let read = readers.map(|reader| reader.join().expect("a reader"));
        drop(release);
        compare(&sent, &read);
        memory.assert_flat();
    });
}

/// Cuts one cable after the other, or kills one hub after the other, until the time is over.
fn disturb(machines: &mut [Machine; 3], cables: bool, time: Duration) -> Memory {
    let end = Instant::now() + time;
    let mut memory = Memory::default();
    let mut random = 0x9e37_79b9_u64;
    let mut below = |most: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695);
        (random >> 33) % most
    };
    let mut flaps = 0;
    let mut pause = |machines: &[Machine; 3], seconds: u64| {
        let until = end.min(Instant::now() + Duration::from_secs(seconds));
        while Instant::now() < until {
            memory.measure(machines);
            std::thread::sleep(SAMPLE.min(until.saturating_duration_since(Instant::now())));
        }
    };
    while Instant::now() < end {
        pause(machines, 10 + below(20));
        let victim = below(3) as usize;
        flaps += 1;
        if cables {
            machines[victim].cut();
            // Sometimes too short for anybody to notice.
            pause(machines, 2 + below(25));
            machines[victim].mend();
        } else {
            machines[victim].kill_9();
            machines[victim].start();
        }
    }
    announce(&format!("MEASURED: soak: {flaps} links lost in {time:?}"));
    memory
}

/// The memory of each hub over time, in KiB.
#[derive(Default)]
struct Memory([Vec<u64>; 3]);

impl Memory {
    fn measure(&mut self, machines: &[Machine; 3]) {
        for (machine, samples) in machines.iter().zip(&mut self.0) {
            let status = std::fs::read_to_string(format!("/proc/{}/status", machine.pid()));
            let status = status.expect("the status of a hub's process");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            samples.push(number.expect("its memory"));
        }
    }

    /// Checks that no hub needs more at the end than after the first third.
    fn assert_flat(&self) {
        for (hub, samples) in HUBS.iter().zip(&self.0) {
            let third = samples.len() / 3;
            let early = samples[third..2 * third]
                .iter()
                .max()
                .copied()
                .unwrap_or_default();
            let late = samples[2 * third..]
                .iter()
                .max()
                .copied()
                .unwrap_or_default();
            let first = samples.first().copied().unwrap_or_default();
            announce(&format!(
                "MEASURED: soak: hub {hub}: {first} KiB at first, up to {early} KiB in the second third, up to {late} KiB in the last"
            ));
            let most = (early as f64 * GROWTH) as u64 + SLACK;
            assert!(late <= most, "hub {hub} grows: {samples:?}");
        }
    }
}

/// Every reader and every sender is in the group.
fn make_group(machines: &[Machine; 3]) {
    let mut keepers: Vec<RawClient> = Vec::new();
    for machine in machines {
        keepers.push(machine.session("sender"));
        keepers.push(machine.session("reader"));
    }
    let maker = &mut keepers[0];
    wait_until("every session everywhere", || {
        let peers = maker.request(json!({"type": "list_peers"}));
        (peers["peers"].as_array()?.len() >= 5).then_some(())
    });
    let members = ["reader", "sender@b", "reader@b", "sender@c", "reader@c"];
    let made = maker.request(json!({"type": "group_create", "name": GROUP, "members": members}));
    assert_eq!(made["type"], "group_created", "{made}");
    for session in &mut keepers {
        wait_until("the group everywhere", || {
            let info = session.request(json!({"type": "group_info", "group": GROUP}));
            (info["members"].as_array()?.len() == 6).then_some(())
        });
    }
}

/// Sends numbered texts to the readers of the other hubs, the group and the room.
struct Sender {
    at: usize,
    socket: PathBuf,
    client: Option<RawClient>,
}

/// How many were accepted: of direct messages to each other reader, of texts in the group and in
/// the room.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    direct: usize,
    group: usize,
    room: usize,
}

impl Sender {
    fn new(at: usize, socket: PathBuf) -> Self {
        Self {
            at,
            socket,
            client: None,
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Sent {
        let mut sent = Sent::default();
        while !stop.load(Ordering::SeqCst) {
            let me = HUBS[self.at];
            for hub in HUBS.iter().filter(|hub| **hub != me) {
                let id = format!("{}-{hub}-{}", HUBS[self.at], sent.direct);
                let (to, text) = (format!("reader@{hub}"), sent.direct.to_string());
                self.accepted(json!({"type": "send", "to": to, "text": text, "msg_id": id}));
            }
            sent.direct += 1;
            if sent.direct % SHARED_EVERY == 0 {
                let text = sent.group.to_string();
                let id = format!("{}-group-{text}", HUBS[self.at]);
                self.accepted(
                    json!({"type": "group_send", "group": GROUP, "text": text, "msg_id": id}),
                );
                sent.group += 1;
                let text = sent.room.to_string();
                let id = format!("{}-room-{text}", HUBS[self.at]);
                self.accepted(
                    json!({"type": "room_msg", "room": ROOM, "text": text, "msg_id": id}),
                );
                sent.room += 1;
            }
            // The load is to be moderate.
            std::thread::sleep(ROUND);
        }
        sent
    }

    /// Sends until it is accepted; under the same id when the hub went away meanwhile.
    fn accepted(&mut self, line: Value) {
        loop {
            if self.client.is_none() {
                self.client = session(&self.socket, "sender");
            }
            if let Some(client) = &mut self.client {
                if let Some(answer) = client.try_request(line.clone()) {
                    client.forget();
                    assert_ne!(answer["type"], "err", "{line}: {answer}");
                    return;
                }
                self.client = None;
            }
        }
    }
}

/// Reads all that comes for one reader, and checks that each sender's texts are there in order.
struct Reader {
    at: usize,
    socket: PathBuf,
    read: Read,
}

/// How many texts of each sender came, and which ones in the room.
#[derive(Debug, Default)]
struct Read {
    direct: BTreeMap<String, usize>,
    group: BTreeMap<String, usize>,
    room: BTreeMap<String, BTreeSet<usize>>,
    /// Ids that were read: of one page that is shown again, nothing counts twice.
    known: BTreeSet<String>,
}

impl Reader {
    fn new(at: usize, socket: PathBuf) -> Self {
        Self {
            at,
            socket,
            read: Read::default(),
        }
    }

    fn run(mut self, all_sent: &AtomicBool) -> Read {
        loop {
            let client = wait_until("a hub to read from", || session(&self.socket, "reader"));
            if self.read_while_connected(client, all_sent).is_some() {
                return self.read;
            }
        }
    }

    /// Returns when everything is read; `None` when the hub went away before.
    fn read_while_connected(&mut self, mut client: RawClient, all_sent: &AtomicBool) -> Option<()> {
        loop {
            // Looked at first: what was sent before is then on the page.
            let last = all_sent.load(Ordering::SeqCst);
            let mut more = self.read_inbox(&mut client)?;
            more |= self.read_group(&mut client)?;
            for line in client.try_drain()? {
                self.take_room(&line);
            }
            if !more && last && self.group_is_whole(&mut client)? {
                return Some(());
            }
            if !more {
                std::thread::sleep(LOOK);
            }
        }
    }

    fn read_inbox(&mut self, client: &mut RawClient) -> Option<bool> {
        let page = client.try_request(json!({"type": "inbox", "limit": 100}))?;
        let messages = page["messages"].as_array().expect("messages");
        let mut ids = Vec::new();
        for message in messages {
            let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            let (id, from) = (word("msg_id"), word("from"));
            // What the hub itself says of the group is mail too.
            if message.get("group").is_none_or(Value::is_null) && self.read.known.insert(id.clone())
            {
                let next = self.read.direct.entry(from).or_default();
                assert_eq!(
                    word("text"),
                    next.to_string(),
                    "{}: {message}",
                    HUBS[self.at]
                );
                *next += 1;
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Some(false);
        }
        client.try_request(json!({"type": "read", "msg_ids": ids}))?;
        Some(true)
    }

    fn read_group(&mut self, client: &mut RawClient) -> Option<bool> {
        let history = client.try_request(json!({"type": "group_history", "group": GROUP}))?;
        assert!(history["gap"].is_null(), "{history}");
        let entries = history["messages"].as_array().expect("messages");
        for entry in entries.iter().filter(|entry| entry["type"] == "message") {
            let from = full(entry["from"].as_str().unwrap_or_default(), HUBS[self.at]);
            let next = self.read.group.entry(from).or_default();
            let number: usize = entry["text"].as_str().unwrap_or_default().parse().unwrap();
            // The page before may be shown again when the hub was killed behind it.
            assert!(
                number <= *next,
                "{}: {entry}, and not {next}",
                HUBS[self.at]
            );
            *next = (*next).max(number + 1);
        }
        Some(!entries.is_empty())
    }

    /// Returns whether nothing of the group is unread.
    fn group_is_whole(&self, client: &mut RawClient) -> Option<bool> {
        let info = client.try_request(json!({"type": "group_info", "group": GROUP}))?;
        Some(info["unread_count"] == 0)
    }

    fn take_room(&mut self, line: &Value) {
        if line["type"] != "incoming_room_msg" {
            return;
        }
        let from = full(line["from"].as_str().unwrap_or_default(), HUBS[self.at]);
        let number: usize = line["text"].as_str().unwrap_or_default().parse().unwrap();
        let once = self.read.room.entry(from).or_default().insert(number);
        assert!(once, "{}: twice: {line}", HUBS[self.at]);
    }
}

/// Checks that everything that was accepted was read.
fn compare(sent: &[Sent; 3], read: &[Read; 3]) {
    for (reader, read) in HUBS.iter().zip(read) {
        for (hub, sent) in HUBS.iter().zip(sent) {
            let sender = format!("sender@{hub}");
            let count = |of: &BTreeMap<String, usize>| of.get(&sender).copied().unwrap_or_default();
            let room = read.room.get(&sender).map_or(0, BTreeSet::len);
            announce(&format!(
                "MEASURED: soak: {sender} to reader@{reader}: {} direct, {} in the group, {room} of {} in the room",
                count(&read.direct),
                count(&read.group),
                sent.room
            ));
            if hub != reader {
                assert_eq!(
                    count(&read.direct),
                    sent.direct,
                    "direct, {sender} to {reader}"
                );
            }
            assert_eq!(
                count(&read.group),
                sent.group,
                "in the group, {sender} to {reader}"
            );
        }
    }
}

/// Connects as a session that confirms its pushes and is in the room.
fn session(socket: &std::path::Path, name: &str) -> Option<RawClient> {
    let mut client = RawClient::try_connect(socket)?;
    client.confirm_pushes();
    let answer = client.try_request(json!({"type": "register", "name": name, "cwd": "/w",
        "git_branch": "main", "protocol_version": "6"}))?;
    // The session before may not be seen as gone yet.
    if answer["type"] != "ack" {
        return None;
    }
    client.try_request(json!({"type": "join_room", "room": ROOM}))?;
    Some(client)
}

fn socket_of(machines: &[Machine; 3], hub: &str) -> PathBuf {
    let machine = machines.iter().find(|machine| machine.hub_id == hub);
    machine.expect("a hub of this name").home.socket()
}

fn full(name: &str, hub: &str) -> String {
    match name.contains('@') {
        true => name.to_owned(),
        false => format!("{name}@{hub}"),
    }
}

/// Sets these when it is dropped.
struct Release<'f>([&'f AtomicBool; 2]);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0
            .iter()
            .for_each(|flag| flag.store(true, Ordering::SeqCst));
    }
}
