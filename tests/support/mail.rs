//! Direct messages as tests send and read them: numbered, so that a loss, a double or a change
//! of the order is seen.

use super::raw::RawClient;
use super::wait_until;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages a sender has under way at once.
const WINDOW: usize = 8;
/// As many messages as fit on a page of the inbox.
const PAGE: usize = 100;

/// Sends a message that must be accepted; returns the answer.
pub(crate) fn send(client: &mut RawClient, to: &str, text: &str) -> Value {
    let answer = client.request(json!({"type": "send", "to": to, "text": text}));
    assert_eq!(answer["type"], "send_ack", "to {to}: {answer}");
    answer
}

/// Reads a mailbox up to the message with the text `last`; returns sender and text of each one
/// before it. Every message is marked as read.
pub(crate) fn read_until(client: &mut RawClient, last: &str) -> Vec<(String, String)> {
    let mut read = Vec::new();
    loop {
        let page = wait_until(&format!("mail up to {last:?}; {} came", read.len()), || {
            let mut page = client.request(json!({"type": "inbox", "limit": PAGE}));
            client.forget();
            let messages = page["messages"].take();
            (messages != json!([])).then_some(messages)
        });
        let page = page.as_array().expect("messages");
        let ids: Vec<&Value> = page.iter().map(|message| &message["msg_id"]).collect();
        let answer = client.request(json!({"type": "read", "msg_ids": ids}));
        assert_eq!(answer["type"], "ack", "{answer}");
        for message in page {
            let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            if word("text") == last {
                return read;
            }
            read.push((word("from"), word("text")));
        }
    }
}

/// Checks that these are the messages of one sender, with the numbers from 0 to `count`, each
/// once and in order.
pub(crate) fn assert_numbered(read: &[(String, String)], from: &str, count: usize) {
    let numbers: Vec<&str> = read.iter().map(|(_, text)| text.as_str()).collect();
    for (at, (sender, text)) in read.iter().enumerate() {
        assert_eq!(sender, from, "message {at} ({text})");
        assert_eq!(*text, at.to_string(), "out of its place: {numbers:?}");
    }
    assert_eq!(read.len(), count, "messages from {from}");
}

/// A session that sends numbered messages and does not mind that its hub is killed: what was not
/// accepted is sent again under the same id.
pub(crate) struct NumberedSender {
    /// Where its hub listens.
    pub(crate) socket: PathBuf,
    /// Its name.
    pub(crate) name: String,
    /// Whom it writes to.
    pub(crate) to: String,
}

impl NumberedSender {
    /// Sends the messages of these numbers; returns when every one is accepted.
    pub(crate) fn send(&self, numbers: Range<usize>, accepted: &AtomicUsize) {
        let mut next = numbers.start;
        let mut open = BTreeSet::new();
        while next < numbers.end || !open.is_empty() {
            // `None` says that the hub went away: then from the start of what is open.
            let _ = self.send_while_connected(&mut next, numbers.end, &mut open, accepted);
        }
    }

    fn send_while_connected(
        &self,
        next: &mut usize,
        end: usize,
        open: &mut BTreeSet<usize>,
        accepted: &AtomicUsize,
    ) -> Option<()> {
        let mut client = wait_until("a hub to send through", || {
            let mut client = RawClient::try_connect(&self.socket)?;
            client.confirm_pushes();
            let line = json!({"type": "register", "name": self.name, "cwd": "/w",
                "git_branch": "main", "protocol_version": "6"});
            let answer = client.try_request(line)?;
            (answer["type"] == "ack").then_some(client)
        });
        for number in open.iter() {
            client.try_send(&self.message(*number)).then_some(())?;
        }
        loop {
            while open.len() < WINDOW && *next < end {
                open.insert(*next);
                *next += 1;
                client.try_send(&self.message(*next - 1)).then_some(())?;
            }
            if open.is_empty() {
                return Some(());
            }
            let answer = client.try_next_of(&["send_ack", "err"])?;
            assert_eq!(answer["type"], "send_ack", "{}: {answer}", self.name);
            let number = answer["req_id"].as_str().and_then(|id| id.parse().ok());
            assert!(
                number.is_some_and(|n| open.remove(&n)),
                "{answer} was not open"
            );
            accepted.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn message(&self, number: usize) -> Value {
        json!({"type": "send", "to": self.to, "text": number.to_string(),
            "msg_id": format!("{}-{number}", self.name), "req_id": number.to_string()})
    }
}
