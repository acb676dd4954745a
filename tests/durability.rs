//! What was accepted is never lost: the hub is killed with SIGKILL again and again, at random
//! moments and under load, and every message is read exactly once and in its sender's order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::home::TestHome;
use support::raw::RawClient;
use support::wait_until;

/// How often the hub is killed.
const KILLS: usize = 55;
/// Sessions that send.
const SENDERS: usize = 3;
/// Messages a sender has under way at once.
const WINDOW: usize = 8;
/// How many messages are accepted between two kills, at most.
const BETWEEN_KILLS: u64 = 60;
/// The longest time between the last of them and the kill, in microseconds.
const EXTRA_MICROS: u64 = 4_000;

#[test]
fn accepted_messages_survive_kill_9_at_any_moment_and_are_read_once_in_order() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let socket = home.socket();
    let mut random = Random::seeded();
    let accepted = AtomicUsize::new(0);
    let (stop, all_sent) = (AtomicBool::new(false), AtomicBool::new(false));

    let (sent, read) = std::thread::scope(|scope| {
        // Should anything here panic, the others must end too.
        let release = Release(&[&stop, &all_sent]);
        let (socket, accepted, stop, all_sent) = (&socket, &accepted, &stop, &all_sent);
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| scope.spawn(move || Sender::new(socket, n, DIRECT).run(accepted, stop)))
            .collect();
        let reader = scope.spawn(move || Reader::new(socket).run(all_sent));

        for _ in 0..KILLS {
            let goal = accepted.load(Ordering::SeqCst) + 1 + random.below(BETWEEN_KILLS) as usize;
            wait_until("messages to be accepted", || {
                (accepted.load(Ordering::SeqCst) >= goal).then_some(())
            });
            // Nothing is waited for here: the moment is random on purpose.
            std::thread::sleep(Duration::from_micros(random.below(EXTRA_MICROS)));
            hub.kill_9();
            hub.restart();
        }
        stop.store(true, Ordering::SeqCst);
        let sent: Vec<usize> = senders.into_iter().map(|s| s.join().unwrap()).collect();
        all_sent.store(true, Ordering::SeqCst);
        let read = reader.join().unwrap();
        drop(release);
        (sent, read)
    });

    for (n, count) in sent.iter().enumerate() {
        assert!(*count > KILLS, "sender {n} sent only {count}");
        assert_eq!(read[&format!("s{n}")], *count, "read of sender {n}");
    }
    let mut late = RawClient::session_6(&socket, "sink", json!({})).0;
    let page = late.request(json!({"type": "inbox"}));
    assert_eq!(
        (&page["messages"], &page["remaining"]),
        (&json!([]), &json!(0))
    );
}

#[test]
fn accepted_group_messages_survive_kill_9_and_stand_once_in_the_history() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let socket = home.socket();
    let mut random = Random::seeded();
    let members: Vec<String> = (0..SENDERS).map(|n| format!("s{n}")).collect();
    let mut reader = session(&socket, "reader").expect("a hub that nobody kills yet");
    let group = json!({"type": "group_create", "name": "sink", "members": members});
    assert_eq!(reader.request(group)["type"], "group_created");
    drop(reader);

    let accepted = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let sent: Vec<usize> = std::thread::scope(|scope| {
        let release = Release(&[&stop]);
        let (socket, accepted, stop) = (&socket, &accepted, &stop);
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| scope.spawn(move || Sender::new(socket, n, GROUP).run(accepted, stop)))
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            let goal = accepted.load(Ordering::SeqCst) + 1 + random.below(20) as usize;
            wait_until("messages to be accepted", || {
                let all = senders.iter().all(|sender| sender.is_finished());
                (all || accepted.load(Ordering::SeqCst) >= goal).then_some(())
            });
            hub.kill_9();
            hub.restart();
        }
        drop(release);
        senders.into_iter().map(|s| s.join().unwrap()).collect()
    });

    assert_eq!(sent, [GROUP.most; SENDERS]);
    let mut reader = session(&socket, "reader").expect("a hub that nobody kills any more");
    let history = reader.request(json!({"type": "group_history", "group": "sink"}));
    assert_eq!(history["unread_remaining"], 0);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let entries = history["messages"].as_array().expect("messages");
    for entry in entries.iter().filter(|entry| entry["type"] == "message") {
        let count = seen.entry(entry["from"].as_str().unwrap()).or_default();
        assert_eq!(entry["text"], count.to_string(), "{entry}");
        *count += 1;
    }
    assert_eq!(seen.len(), SENDERS);
    assert!(seen.values().all(|count| *count == GROUP.most), "{seen:?}");
}

/// What a sender sends.
#[derive(Debug, Clone, Copy)]
struct Kind {
    request: &'static str,
    /// The key of the place it goes to.
    place: &'static str,
    answer: &'static str,
    /// How many messages one sender sends at most.
    most: usize,
}

/// Direct messages.
const DIRECT: Kind = Kind {
    request: "send",
    place: "to",
    answer: "send_ack",
    most: usize::MAX,
};

/// Group messages; of a group, the last 500 entries are kept.
const GROUP: Kind = Kind {
    request: "group_send",
    place: "group",
    answer: "group_ack",
    most: 150,
};

/// Sends numbered messages to `sink`, each under an id of its own, until told to stop; after a
/// lost connection it sends again what was not acknowledged.
struct Sender<'s> {
    socket: &'s Path,
    name: String,
    what: Kind,
    next: usize,
    /// Sent, but not acknowledged yet.
    open: BTreeSet<usize>,
}

impl<'s> Sender<'s> {
    fn new(socket: &'s Path, n: usize, what: Kind) -> Self {
        Self {
            socket,
            name: format!("s{n}"),
            what,
            next: 0,
            open: BTreeSet::new(),
        }
    }

    /// Returns how many messages were sent; every one of them was accepted.
    fn run(mut self, accepted: &AtomicUsize, stop: &AtomicBool) -> usize {
        let stopped = || stop.load(Ordering::SeqCst);
        while !self.open.is_empty() || (self.next < self.what.most && !stopped()) {
            if let Some(client) = session(self.socket, &self.name) {
                self.send_while_connected(client, accepted, &stopped);
            }
        }
        self.next
    }

    fn send_while_connected(
        &mut self,
        mut client: RawClient,
        accepted: &AtomicUsize,
        stopped: &impl Fn() -> bool,
    ) -> Option<()> {
        for n in self.open.clone() {
            client.try_send(&self.message(n)).then_some(())?;
        }
        loop {
            while self.open.len() < WINDOW && self.next < self.what.most && !stopped() {
                let line = self.message(self.next);
                self.open.insert(self.next);
                self.next += 1;
                client.try_send(&line).then_some(())?;
            }
            if self.open.is_empty() {
                return Some(());
            }
            let answer = client.try_next_of(&[self.what.answer, "err"])?;
            assert_eq!(answer["type"], self.what.answer, "{}: {answer}", self.name);
            let n = answer["req_id"].as_str().unwrap().parse().unwrap();
            assert_eq!(answer["msg_id"], format!("{}-{n}", self.name));
            assert!(self.open.remove(&n), "{}: {answer} was not open", self.name);
            accepted.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn message(&self, n: usize) -> Value {
        let mut line = json!({"text": n.to_string(), "msg_id": format!("{}-{n}", self.name),
            "req_id": n.to_string()});
        line["type"] = json!(self.what.request);
        line[self.what.place] = json!("sink");
        line
    }
}

/// Reads `sink`'s mailbox page by page and checks what it sees.
struct Reader<'s> {
    socket: &'s Path,
    /// How many messages of each sender were seen; the next one must have this number.
    seen: HashMap<String, usize>,
    /// The messages of which the hub has said that they are read.
    read: HashSet<String>,
}

impl<'s> Reader<'s> {
    fn new(socket: &'s Path) -> Self {
        Self {
            socket,
            seen: HashMap::new(),
            read: HashSet::new(),
        }
    }

    /// Returns how many messages of each sender were read.
    fn run(mut self, all_sent: &AtomicBool) -> HashMap<String, usize> {
        loop {
            let Some(mut client) = session(self.socket, "sink") else {
                continue;
            };
            client.confirm_pushes();
            while let Some(last) = self.read_page(&mut client, all_sent) {
                if last {
                    return self.seen;
                }
            }
        }
    }

    /// Reads one page; returns whether it was the last one, or `None` when the hub went away.
    fn read_page(&mut self, client: &mut RawClient, all_sent: &AtomicBool) -> Option<bool> {
        let page = wait_until("mail or the end", || {
            // Looked at first: what was sent before is then on the page.
            let last = all_sent.load(Ordering::SeqCst);
            let page = client.try_request(json!({"type": "inbox", "limit": 100}));
            client.forget();
            match page {
                Some(page) if page["messages"] == json!([]) && !last => None,
                page => Some(page),
            }
        })?;
        let messages = page["messages"].as_array().expect("messages");
        if messages.is_empty() {
            return Some(true);
        }
        let ids: Vec<String> = messages.iter().map(|m| self.check(m)).collect();
        let different: HashSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len(), "twice on one page: {ids:?}");
        let answer = client.try_request(json!({"type": "read", "msg_ids": ids}))?;
        assert_eq!(answer["type"], "ack", "{answer}");
        self.read.extend(ids);
        Some(false)
    }

    /// Checks that a message comes in its turn; returns its id.
    fn check(&mut self, message: &Value) -> String {
        let id = message["msg_id"].as_str().unwrap().to_owned();
        let from = message["from"].as_str().unwrap().to_owned();
        let n: usize = message["text"].as_str().unwrap().parse().unwrap();
        assert_eq!(id, format!("{from}-{n}"));
        assert!(!self.read.contains(&id), "{id} was read and is shown again");
        let seen = self.seen.entry(from).or_default();
        // It is shown again as long as the hub has not said that it is read.
        assert!(n <= *seen, "{id} came although only {seen} came before");
        *seen = (*seen).max(n + 1);
        id
    }
}

/// Returns a registered version "6" session, or `None` when the hub went away meanwhile.
fn session(socket: &Path, name: &str) -> Option<RawClient> {
    let mut client = RawClient::connect(socket);
    let answer = client.try_request(json!({"type": "register", "name": name, "cwd": "/w",
        "git_branch": "", "protocol_version": "6", "session_key": format!("key of {name}")}))?;
    assert_eq!(answer["type"], "ack", "{answer}");
    Some(client)
}

/// Sets flags when it is dropped.
struct Release<'f>(&'f [&'f AtomicBool]);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::SeqCst);
        }
    }
}

/// A small random sequence (xorshift); its seed is printed and can be set.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let set = std::env::var("ECORELAY_TEST_SEED").ok();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = set.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
        println!("ECORELAY_TEST_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
