//! The session of a program that speaks no MCP: whoever wraps the program holds the session
//! for it and brings the messages in by means of its own.
//!
//! Messages wait here until they are taken, in order; [`WrappedSession::take`] then makes one
//! text of them. What waits long is told to the hub as refused, with the reason, and as handed
//! once it is.

use crate::client::StartHub;
use crate::content;
use crate::link::{self, Link};
use crate::name;
use crate::push::Way;
use crate::push::pusher::{ARRIVALS, Arrival};
use crate::remembered::Remembered;
use crate::tools::Retry;
use ecorelay_adapters::{Batch, Offer, Parcel, PushItem, PushPath, Surroundings};
use ecorelay_config::DataDir;
use ecorelay_protocol::limits::INBOX_PAGE;
use ecorelay_protocol::{HubLine, MessageKind, PushResult, Refusal};
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages that wait to be taken, and the room they take; more are left to the inbox.
const WAITING: usize = 1_000;
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// A message that waited this long may have been read in the inbox meanwhile.
const MAY_BE_READ: Duration = Duration::from_secs(1);
/// How long the hub may take to say what is unread; without its word everything is.
const UNREAD_WITHIN: Duration = Duration::from_secs(2);
/// The way that whoever wraps the program is.
const PATH: PushPath = PushPath::Terminal;

/// Whose session it is.
#[derive(Debug, Clone)]
pub struct WrappedOptions {
    /// The hub's data directory.
    pub dir: DataDir,
    /// How a hub is started where none runs.
    pub start: StartHub,
    /// The program's name, as peers see it.
    pub agent: String,
    /// A random secret: commands that show it may act for the session.
    pub session_key: String,
    /// What stands around the program; the name comes from here.
    pub around: Surroundings,
}

impl WrappedOptions {
    /// Returns a new secret for a session.
    pub fn new_key() -> String {
        uuid::Uuid::new_v4().to_string()
    }
}

/// Something that came from the hub; [`WrappedSession::accept`] deals with it.
#[derive(Debug)]
pub struct WrappedArrival(Arrival);

/// One session, present for as long as this is kept.
#[derive(Debug)]
pub struct WrappedSession {
    link: Link,
    arrivals: mpsc::Receiver<Arrival>,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    batch: Batch,
    /// What became of what was brought in; what was refused may come again.
    shown: Remembered<(PushResult, Option<String>)>,
    _background: JoinSet<()>,
}

#[derive(Debug)]
struct Waiting {
    item: PushItem,
    since: Instant,
    /// The hub knows that it waits.
    told: bool,
}

impl WrappedSession {
    /// Returns a session that registers in the background, and a sentence about a wish for a
    /// name that could not be met. Needs a tokio runtime.
    pub fn start(options: WrappedOptions) -> (Self, Option<String>) {
        let (arrival_tx, arrivals) = mpsc::channel(ARRIVALS);
        let resolved = name::resolve(&options.around);
        let (link, mut tie) = link::link(
            resolved.name,
            Ok(options.dir),
            options.start,
            options.around.cwd,
            arrival_tx,
        );
        tie.session_key = options.session_key;
        link.set_agent(&options.agent);
        link.set_push(Way::by(PATH));
        let mut background = JoinSet::new();
        background.spawn(tie.run());
        link.want();
        let session = Self {
            link,
            arrivals,
            waiting: VecDeque::new(),
            bytes: 0,
            batch: Batch::default(),
            shown: Remembered::default(),
            _background: background,
        };
        (session, resolved.notice)
    }

    /// Waits until the session is registered and returns its name.
    ///
    /// # Errors
    /// Why the hub cannot be reached; the session goes on trying.
    pub async fn registered(&self) -> Result<String, Refusal> {
        self.link
            .call(&json!({"type": "list_rooms"}), Retry::Harmless)
            .await?;
        Ok(self.name())
    }

    /// Returns the session's name: the wanted one until it is registered.
    pub fn name(&self) -> String {
        self.link.name()
    }

    /// Returns what comes next from the hub. Safe to give up on and call again.
    pub async fn arrival(&mut self) -> WrappedArrival {
        match self.arrivals.recv().await {
            Some(arrival) => WrappedArrival(arrival),
            None => std::future::pending().await,
        }
    }

    /// Takes what came in, to wait here.
    pub async fn accept(&mut self, arrival: WrappedArrival) {
        let item = match arrival.0 {
            Arrival::Line(line) => content::push_item(*line),
            Arrival::Notice(text) => {
                let id = format!("notice-{}", uuid::Uuid::new_v4());
                Some(content::notice(id, text))
            }
        };
        let Some(item) = item else { return };
        if let Some((result, detail)) = self.shown.get(&item.id).cloned() {
            // The hub asks again because it did not get the confirmation.
            return self.confirm(&[item.id], result, detail).await;
        }
        if self.waiting.iter().any(|known| known.item.id == item.id) {
            return;
        }
        if self.waiting.len() >= WAITING || self.bytes + item.body.len() > WAITING_BYTES {
            let why = "too many messages wait for this program".to_owned();
            return self
                .confirm(&[item.id], PushResult::Refused, Some(why))
                .await;
        }
        self.bytes += item.body.len();
        self.waiting.push_back(Waiting {
            item,
            since: Instant::now(),
            told: false,
        });
    }

    /// Returns since when the first message waits.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.since)
    }

    /// Returns since when the first message waits of which the hub was not told yet that it
    /// has to.
    pub fn untold_since(&self) -> Option<Instant> {
        let first = self.waiting.iter().find(|waiting| !waiting.told);
        first.map(|first| first.since)
    }

    /// Tells the hub why the messages that are here have to wait.
    pub async fn tell_waiting(&mut self, why: &str) {
        let untold = self.waiting.iter_mut().filter(|waiting| !waiting.told);
        let ids: Vec<String> = untold
            .map(|waiting| {
                waiting.told = true;
                waiting.item.id.clone()
            })
            .collect();
        if !ids.is_empty() {
            let detail = format!("{why}; in the inbox, and brought in when that is over");
            self.confirm(&ids, PushResult::Refused, Some(detail)).await;
        }
    }

    /// Returns one text of the messages that wait; `None` where all were read in the inbox
    /// meanwhile. What does not stand in the text is counted in it.
    pub async fn take(&mut self) -> Option<Parcel> {
        let read = self.read_meanwhile().await;
        let mut left_out = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let id = waiting.item.id.clone();
            if read.contains(&id) {
                continue;
            }
            if self.batch.offer(waiting.item) == Offer::Counted {
                left_out.push(id);
            }
        }
        self.bytes = 0;
        if !left_out.is_empty() {
            let why = Some("batched; in the inbox".to_owned());
            self.confirm(&left_out, PushResult::Refused, why).await;
        }
        // The pace is the taker's.
        let due = self.batch.due(Instant::now())?;
        self.batch.take(due)
    }

    /// Tells the hub what became of messages that were taken.
    pub async fn conclude(&mut self, ids: &[String], result: PushResult, detail: Option<String>) {
        if result != PushResult::Refused {
            for id in ids {
                self.shown.insert(id, (result, detail.clone()));
            }
        }
        self.confirm(ids, result, detail).await;
    }

    /// Returns which of the messages that wait were read in the inbox meanwhile, as far as the
    /// hub says so in time.
    async fn read_meanwhile(&self) -> HashSet<String> {
        let old: Vec<&PushItem> = self
            .waiting
            .iter()
            .filter(|waiting| waiting.since.elapsed() >= MAY_BE_READ)
            .map(|waiting| &waiting.item)
            // What the inbox holds; the rest cannot be read there.
            .filter(|item| matches!(item.kind, MessageKind::Message | MessageKind::Reply))
            .collect();
        if old.is_empty() {
            return HashSet::new();
        }
        let line = json!({"type": "inbox", "limit": INBOX_PAGE});
        let asked = self.link.call(&line, Retry::Harmless);
        let Ok(Ok(HubLine::InboxResult {
            messages,
            remaining: 0,
            ..
        })) = tokio::time::timeout(UNREAD_WITHIN, asked).await
        else {
            return HashSet::new();
        };
        let unread: HashSet<&str> = messages.iter().map(|m| m.msg_id.as_str()).collect();
        let read = old.into_iter().map(|item| &item.id);
        read.filter(|id| !unread.contains(id.as_str()))
            .cloned()
            .collect()
    }

    async fn confirm(&self, ids: &[String], result: PushResult, detail: Option<String>) {
        let mut line = json!({
            "type": "pushed", "msg_ids": ids, "result": result.as_str(), "path": PATH.as_str(),
        });
        if let Some(detail) = detail {
            line["detail"] = detail.into();
        }
        self.link.tell(&line).await;
    }
}
