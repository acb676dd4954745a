//! Brings what arrives from the hub into the live session, over the best path that is there,
//! and tells the hub what became of each message: handed, refused or unknown.
//!
//! What no path can take waits here, as far as one text holds it, until somebody attaches or
//! asks, or a path is there again; what was read in the inbox meanwhile is forgotten.

use super::attached::fate;
use super::notification::Notification;
use super::routes::{Route, Routes};
use super::{About, Attachment, Handover, Paths, Ready, Verdict, Way};
use crate::content;
use crate::link::Link;
use crate::remembered::Remembered;
use ecorelay_adapters::{Batch, Offer, Parcel, PushChoice, PushItem, PushPath, Surroundings};
use ecorelay_config::DataDir;
use ecorelay_protocol::{HubLine, PushResult};
use serde_json::json;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Arrivals that wait for the pusher; more wait with the connection, which is bounded as well.
pub(crate) const ARRIVALS: usize = 16;
/// Events that wait for the pusher.
pub(crate) const EVENTS: usize = 64;
/// Pauses before a path that refused is tried again unasked; the last one repeats.
const AGAIN_AFTER_S: [u64; 5] = [2, 5, 15, 30, 60];

/// Something to bring into the session.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A line of the hub.
    Line(Box<HubLine>),
    /// A notice of this channel.
    Notice(String),
}

/// Something that matters for what is to be brought in.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody takes texts from now on.
    Attached(Attachment),
    /// One who attached is gone.
    Detached(u64),
    /// A hook asks for what is there; nothing is answered where that is nothing.
    Take(oneshot::Sender<Handover>),
    /// Messages were read in the inbox, which holds so many more.
    Read { ids: Vec<String>, remaining: usize },
    /// The history of a group was read.
    ReadGroup(String),
    /// More is known of the session: a path that refused may be there now.
    SessionKnown,
}

/// What a pusher is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) link: Link,
    pub(crate) around: Surroundings,
    pub(crate) dir: Option<DataDir>,
    pub(crate) session: watch::Receiver<Option<String>>,
    pub(crate) choice: PushChoice,
}

/// The task that pushes.
#[derive(Debug)]
pub(crate) struct Pusher {
    link: Link,
    /// What became of what was shown; what was refused may come again.
    shown: Remembered<(PushPath, Verdict)>,
    batch: Batch,
    /// Messages in the batch of which the hub knows that they wait.
    told: HashSet<String>,
    /// Messages on their way.
    under_way: HashSet<String>,
    deliveries: JoinSet<Delivered>,
    routes: Routes,
    notification: Notification,
    switched_off: bool,
    /// A text is on its way by a route; the next one waits for its fate.
    busy: bool,
    /// Something has changed since every route refused, or none was there.
    may_try: bool,
    /// How often in a row all of them refused.
    failures: usize,
    again: Option<Instant>,
}

/// A text whose fate is known.
#[derive(Debug)]
struct Delivered {
    parcel: Parcel,
    path: PushPath,
    verdict: Verdict,
    /// The place of the route among the wanted ones; `None` for a text that a hook took.
    place: Option<usize>,
    own: Option<Box<Paths>>,
}

/// Pushes for as long as the session lasts.
pub(crate) async fn run(
    parts: Parts,
    mut arrivals: mpsc::Receiver<Arrival>,
    mut events: mpsc::Receiver<Event>,
    mut ready: watch::Receiver<Option<Ready>>,
) {
    let Ok(Some(client)) = ready.wait_for(Option::is_some).await.map(|r| r.clone()) else {
        return;
    };
    let mut pusher = Pusher::new(parts, client);
    loop {
        pusher.show_way();
        let due = pusher.due();
        tokio::select! {
            arrival = arrivals.recv() => {
                let Some(arrival) = arrival else { return };
                pusher.on_arrival(arrival).await;
            }
            Some(event) = events.recv() => pusher.on_event(event),
            Some(done) = pusher.deliveries.join_next() => match done {
                Ok(done) => pusher.on_delivered(done).await,
                // Loud: what waits for the fate of that text would wait for ever.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return,
            },
            () = until(due), if due.is_some() => pusher.may_try = true,
        }
        pusher.go_on().await;
    }
}

async fn until(due: Option<Instant>) {
    sleep_until(due.unwrap_or_else(Instant::now).into()).await;
}

impl Pusher {
    fn new(parts: Parts, client: Ready) -> Self {
        let about = About {
            around: parts.around,
            dir: parts.dir,
            session: parts.session,
            client: client.clone(),
        };
        let wanted = parts.choice.paths(client.assistant, &about.around);
        Self {
            link: parts.link,
            shown: Remembered::default(),
            batch: Batch::default(),
            told: HashSet::new(),
            under_way: HashSet::new(),
            deliveries: JoinSet::new(),
            routes: Routes::new(wanted, &about),
            notification: Notification::new(client),
            switched_off: parts.choice == PushChoice::Only(PushPath::None),
            busy: false,
            may_try: true,
            failures: 0,
            again: None,
        }
    }

    /// Returns when the next text is to be tried without anything else happening.
    fn due(&self) -> Option<Instant> {
        if self.busy {
            return None;
        }
        let written = self.batch.due(Instant::now())?;
        match self.may_try {
            true => Some(written),
            false => self.again.map(|again| again.max(written)),
        }
    }

    /// Says by which way the session is reached now; only a change goes further than this
    /// process.
    fn show_way(&self) {
        let way = match self.switched_off {
            true => Way::none("pushing is switched off here"),
            false => self.routes.way(),
        };
        self.link.set_push(way);
    }

    async fn on_arrival(&mut self, arrival: Arrival) {
        let item = match arrival {
            Arrival::Line(line) => content::push_item(*line),
            Arrival::Notice(text) => {
                let id = format!("notice-{}", uuid::Uuid::new_v4());
                Some(content::notice(id, text))
            }
        };
        let Some(item) = item else { return };
        let id = item.id.clone();
        if let Some((path, verdict)) = self.shown.get(&id).cloned() {
            // The hub asks again because it did not get the confirmation.
            return self.confirm(&[id], path, verdict).await;
        }
        if self.under_way.contains(&id) {
            return;
        }
        if self.batch.holds(&id) {
            self.told.remove(&id);
            return;
        }
        if self.switched_off {
            let verdict = Verdict::refused("pushing is switched off here");
            return self.confirm(&[id], PushPath::None, verdict).await;
        }
        let path = match self.routes.first(0) {
            Some((_, PushPath::Channel)) => return self.notify(item).await,
            Some((_, path)) => path,
            None => self.routes.best(),
        };
        match self.batch.offer(item) {
            Offer::Waits => self.may_try = true,
            Offer::Counted => self.confirm(&[id], path, batched()).await,
        }
    }

    /// Sends one message as a notification: it needs no batch, for nothing is lost in a burst.
    async fn notify(&mut self, item: PushItem) {
        let id = item.id.clone();
        let verdict = self.notification.send(item).await;
        self.conclude(vec![id], PushPath::Channel, verdict).await;
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Attached(attachment) => {
                self.routes.attach(attachment);
                self.may_try = true;
                self.failures = 0;
            }
            Event::Detached(id) => self.routes.detach(id),
            Event::SessionKnown => {
                self.routes.look();
                self.may_try = true;
            }
            Event::Read { ids, remaining } => self.batch.read(&ids, remaining),
            Event::ReadGroup(group) => self.batch.read_group(&group),
            Event::Take(taker) => {
                let Some(parcel) = self.batch.take_all(Instant::now()) else {
                    return;
                };
                let (handover, answer) = Handover::of(&parcel);
                // Who is gone lets the answer go too, and that is noticed.
                let _ = taker.send(handover);
                self.under_way.extend(parcel.ids.iter().cloned());
                self.deliveries.spawn(async move {
                    Delivered {
                        parcel,
                        path: PushPath::Hook,
                        verdict: fate(answer, PushPath::Hook).await,
                        place: None,
                        own: None,
                    }
                });
            }
        }
    }

    /// Sends the next text on its way, if it is time and there is a way; else says of what
    /// waits that it does.
    async fn go_on(&mut self) {
        let now = Instant::now();
        if self.busy || !self.may_try || self.batch.due(now).is_none() {
            return;
        }
        if self.routes.first(0).is_none() {
            let path = self.routes.best();
            self.may_try = false;
            let why = if path == PushPath::None {
                "this client takes no notifications".to_owned()
            } else {
                let why = self.routes.way().detail;
                why.unwrap_or_else(|| format!("no {path} at this moment"))
            };
            return self.tell_waiting(path, Verdict::refused(why)).await;
        }
        let Some(parcel) = self.batch.take(now) else {
            return;
        };
        self.under_way.extend(parcel.ids.iter().cloned());
        if let Some((place, route)) = self.routes.next(0) {
            self.send(place, route, parcel);
        } else {
            // Not reached: the first one was there.
            self.put_back(parcel);
        }
    }

    fn send(&mut self, place: usize, route: Route, parcel: Parcel) {
        self.busy = true;
        self.deliveries.spawn(async move {
            let path = route.path();
            let (verdict, own) = route.deliver(&parcel).await;
            Delivered {
                parcel,
                path,
                verdict,
                place: Some(place),
                own,
            }
        });
    }

    async fn on_delivered(&mut self, done: Delivered) {
        self.routes.give_back(done.own);
        self.routes.said(done.path, &done.verdict);
        let refused = done.verdict.result == PushResult::Refused;
        if let Some(place) = done.place {
            if refused && let Some((next, route)) = self.routes.next(place + 1) {
                return self.send(next, route, done.parcel);
            }
            self.busy = false;
        }
        if !refused {
            self.failures = 0;
            self.may_try = true;
            for id in &done.parcel.ids {
                self.under_way.remove(id);
                self.told.remove(id);
            }
            return self
                .conclude(done.parcel.ids, done.path, done.verdict)
                .await;
        }
        let counted = self.put_back(done.parcel);
        if !counted.is_empty() {
            self.confirm(&counted, done.path, batched()).await;
        }
        self.tell_waiting(done.path, done.verdict).await;
        if done.place.is_some() {
            let pause = AGAIN_AFTER_S[self.failures.min(AGAIN_AFTER_S.len() - 1)];
            self.failures += 1;
            self.may_try = false;
            let may_work = self.routes.may_come_back() || self.routes.first(0).is_some();
            self.again = may_work.then(|| Instant::now() + Duration::from_secs(pause));
        } else {
            self.may_try = true;
        }
    }

    /// Lets a text wait; returns the messages that only count from now on.
    fn put_back(&mut self, parcel: Parcel) -> Vec<String> {
        for id in &parcel.ids {
            self.under_way.remove(id);
        }
        let counted = self.batch.put_back(parcel);
        for id in &counted {
            self.told.remove(id);
        }
        counted
    }

    /// Tells the hub of what waits why it does, once.
    async fn tell_waiting(&mut self, path: PushPath, verdict: Verdict) {
        let waiting: HashSet<String> = self.batch.ids().map(str::to_owned).collect();
        self.told.retain(|id| waiting.contains(id));
        let untold: Vec<String> = waiting.difference(&self.told).cloned().collect();
        if !untold.is_empty() {
            self.confirm(&untold, path, verdict).await;
            self.told.extend(untold);
        }
    }

    /// Remembers what became of messages and tells the hub.
    async fn conclude(&mut self, ids: Vec<String>, path: PushPath, verdict: Verdict) {
        if verdict.result != PushResult::Refused {
            for id in &ids {
                self.shown.insert(id, (path, verdict.clone()));
            }
        }
        self.confirm(&ids, path, verdict).await;
    }

    async fn confirm(&self, ids: &[String], path: PushPath, verdict: Verdict) {
        let mut line = json!({
            "type": "pushed", "msg_ids": ids,
            "result": verdict.result.as_str(), "path": path.as_str(),
        });
        if let Some(detail) = verdict.detail {
            line["detail"] = detail.into();
        }
        self.link.tell(&line).await;
    }
}

fn batched() -> Verdict {
    Verdict::refused("batched; in the inbox")
}
